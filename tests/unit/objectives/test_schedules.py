import keras
import pytest

from vae_tf.errors import ConfigError
from vae_tf.objectives import Constant, LinearWarmup, as_schedule


def test_values():
    assert as_schedule(0.5)(7) == 0.5
    warmup = LinearWarmup(10, beta=2.0)
    assert [float(warmup(step)) for step in (0, 5, 10, 99)] == [0, 1, 2, 2]
    assert as_schedule(warmup) is warmup


@pytest.mark.parametrize("beta", [-1, float("nan"), float("inf"), "1", None, True])
def test_beta_must_be_a_weight(beta):
    with pytest.raises(ConfigError, match="`beta` must be a finite number of at least 0"):
        as_schedule(beta)


@pytest.mark.parametrize("steps", [0, -3, 1.5, True])
def test_steps_must_be_a_count(steps):
    with pytest.raises(ConfigError, match="`steps` must be a whole number"):
        LinearWarmup(steps)


@pytest.mark.parametrize("schedule", [Constant(0.3), LinearWarmup(7, 0.3)])
def test_survives_serialization(schedule):
    saved = keras.saving.serialize_keras_object(schedule)
    assert keras.saving.deserialize_keras_object(saved).get_config() == schedule.get_config()
