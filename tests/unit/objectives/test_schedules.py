import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf.errors import ConfigError
from vae_tf.objectives import (
    Capacity,
    Constant,
    CosineWarmup,
    Cyclical,
    LinearWarmup,
    Schedule,
    as_schedule,
)

from ..models.conftest import make


def test_values():
    assert as_schedule(0.5)(7) == 0.5
    warmup = LinearWarmup(10, beta=2.0)
    assert [float(warmup(step)) for step in (0, 5, 10, 99)] == [0, 1, 2, 2]
    assert as_schedule(warmup) is warmup


def at_all(schedule, times):
    return np.array([float(schedule(tf.constant(float(t)))) for t in times])


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_cosine_warmup_is_the_formula(beta):
    times = np.arange(0, 60, 0.5)
    expected = beta * np.where(times < 37, (1 - np.cos(np.pi * times / 37)) / 2, 1)
    np.testing.assert_allclose(at_all(CosineWarmup(37, beta), times), expected, atol=1e-6)


@pytest.mark.parametrize(("cycles", "rising"), [(4, 0.5), (3, 1.0), (1, 0.25)])
def test_cyclical_is_the_formula(cycles, rising):
    # Fu et al. 2019, equations 6 and 7: tau = mod(t, T / M) / (T / M), beta = tau / R up to 1
    times, length = np.arange(150), 120
    tau = np.mod(times, length / cycles) / (length / cycles)
    expected = 0.7 * np.where(times < length, np.minimum(1, tau / rising), 1)
    drawn = at_all(Cyclical(length, 0.7, cycles=cycles, rising=rising), times)
    np.testing.assert_allclose(drawn, expected, atol=1e-5)


@pytest.mark.parametrize("cycles", [3, 7, 10])
def test_cyclical_restarts_at_the_very_step(cycles):
    """A rounded t / T times M just short of a whole number would give the top, not the start."""
    for cycle in (1, 3, 11, 129, 1013):
        schedule = Cyclical(cycle * cycles, cycles=cycles)
        times = tf.range(0.0, cycle * cycles, cycle)
        plain, compiled = schedule(times), tf.function(schedule, jit_compile=True)(times)
        np.testing.assert_allclose(plain, 0.0, atol=1e-3)
        np.testing.assert_allclose(compiled, 0.0, atol=1e-3)


@pytest.mark.parametrize("beta", [-1, float("nan"), float("inf"), "1", None, True])
def test_beta_must_be_a_weight(beta):
    with pytest.raises(ConfigError, match="`beta` must be a finite number of at least 0"):
        as_schedule(beta)


@pytest.mark.parametrize("steps", [0, -3, 1.5, True])
def test_steps_must_be_a_count(steps):
    with pytest.raises(ConfigError, match="`steps` must be a whole number"):
        LinearWarmup(steps)
    with pytest.raises(ConfigError, match="`epochs` must be a whole number"):
        CosineWarmup(epochs=steps)


def test_time_is_in_steps_or_in_epochs():
    with pytest.raises(ConfigError, match=r"Received: neither\. Pass LinearWarmup\(epochs=10\)"):
        LinearWarmup()
    with pytest.raises(ConfigError, match="Received: both"):
        Cyclical(10, epochs=10)


def test_cycles_must_be_some():
    with pytest.raises(ConfigError, match="`cycles`"):
        Cyclical(10, cycles=0)
    for rising in (0, -1, 1.5):
        with pytest.raises(ConfigError, match="`rising`"):
            Cyclical(10, rising=rising)


SCHEDULES = [
    Constant(0.3),
    LinearWarmup(7, 0.3),
    LinearWarmup(epochs=2),
    CosineWarmup(7),
    CosineWarmup(beta=0.3, epochs=2),
    Cyclical(9, 0.3, cycles=3, rising=0.7),
    Cyclical(epochs=9),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_survives_serialization(schedule):
    saved = keras.saving.serialize_keras_object(schedule)
    copy = keras.saving.deserialize_keras_object(saved)
    assert copy.get_config() == schedule.get_config()
    assert (copy.in_epochs, copy.length) == (schedule.in_epochs, schedule.length)
    times = np.arange(12)
    np.testing.assert_array_equal(at_all(copy, times), at_all(schedule, times))


def test_a_schedule_must_be_defined():
    with pytest.raises(ConfigError, match="Override it"):
        Schedule()(tf.constant(0.0))


# In a model: 40 examples, 4 steps an epoch


@pytest.fixture
def x():
    return (np.random.default_rng(0).random((40, 4, 3, 1)) > 0.5).astype("float32")


def eager(**kwargs):
    """A model that needs no compilation, which takes longer than its few steps."""
    vae = make(**kwargs)
    vae.compile("adam", run_eagerly=True)
    return vae


def betas(vae, x, epochs=1, **kwargs):
    return vae.fit(x, batch_size=10, epochs=epochs, verbose=0, **kwargs).history["beta"]


def test_epochs_are_counted_in_steps(x):
    vae = make(beta=LinearWarmup(epochs=3, beta=0.9))
    assert vae.warming_up
    steps = np.minimum(1, np.arange(16) / 12) * 0.9
    np.testing.assert_allclose(betas(vae, x, 4), steps.reshape(4, 4).mean(1), rtol=1e-6)
    assert not vae.warming_up


def test_cyclical_beta_in_a_model(x):
    history = betas(eager(beta=Cyclical(8, cycles=2, rising=0.5)), x, 3)
    rise = np.mean(np.minimum(1, np.arange(4) / 4 / 0.5))
    np.testing.assert_allclose(history, [rise, rise, 1.0], rtol=1e-6)


def test_a_reloaded_model_is_where_it_was(x, tmp_path):
    vae = eager(beta=CosineWarmup(epochs=4))
    with pytest.warns(match="CosineWarmup reaches its last value after 4 epochs; this run ends"):
        first = betas(vae, x, 2)
    vae.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.warming_up
    evaluated = [m.evaluate(x, return_dict=True, verbose=0) for m in (vae, copy)]
    assert evaluated[0] == evaluated[1]
    assert evaluated[0]["beta"] == pytest.approx(0.5)
    second = betas(copy, x, 2)  # ends with the schedule: no warning
    expected = (1 - np.cos(np.pi * np.arange(16) / 16)) / 2
    np.testing.assert_allclose(first + second, expected.reshape(4, 4).mean(1), rtol=1e-5)
    assert not copy.warming_up


def test_a_model_compiled_anew_starts_again(x):
    vae = eager(beta=LinearWarmup(4))
    betas(vae, x)
    assert not vae.warming_up
    vae.compile("adam", run_eagerly=True)
    assert vae.warming_up


@pytest.mark.slow
def test_a_schedule_longer_than_the_run_warns(x):
    with pytest.warns(match="LinearWarmup reaches its last value after 9 steps; .* after 8"):
        betas(eager(beta=LinearWarmup(9)), x, 2)
    with pytest.warns(match="Cyclical reaches its last value after 3 epochs; .* after 2"):
        betas(eager(beta=Cyclical(epochs=3)), x, 2)
    with pytest.warns(match="LinearWarmup reaches its last value after 5 steps; .* after 4"):
        betas(eager(kl_control=Capacity(LinearWarmup(5, 3.0))), x)
    betas(eager(beta=LinearWarmup(8)), x, 2)
    betas(eager(beta=LinearWarmup(epochs=2)), x, 2)


@pytest.mark.slow
def test_a_resumed_run_counts_what_is_behind_it(x):
    for warmup in (LinearWarmup(8), LinearWarmup(epochs=2)):
        vae = eager(beta=warmup)
        with pytest.warns(match="this run ends after"):
            betas(vae, x)
        betas(vae, x)  # 4 steps behind, 4 ahead
        assert not vae.warming_up
        vae = eager(beta=warmup)
        with pytest.warns(match="this run ends after"):
            betas(vae, x)
        betas(vae, x, 2, initial_epoch=1)
        assert not vae.warming_up
        fresh = eager(beta=warmup)
        if warmup.in_epochs:  # Keras says that five are over
            betas(fresh, x, 6, initial_epoch=5)
            assert not fresh.warming_up
        else:  # no step was taken
            with pytest.warns(match="this run ends after"):
                betas(fresh, x, 6, initial_epoch=5)


def test_accumulated_gradients_are_one_step(x):
    vae = eager(beta=LinearWarmup(epochs=2))
    vae.compile(keras.optimizers.Adam(gradient_accumulation_steps=2), run_eagerly=True)
    # An epoch of four batches is over after four, however many make a step: 0, 1/8, 2/8, 3/8, ...
    np.testing.assert_allclose(betas(vae, x, 3), [0.1875, 0.6875, 1.0])
    assert not vae.warming_up
    vae = eager(beta=LinearWarmup(5))
    vae.compile(keras.optimizers.Adam(gradient_accumulation_steps=2), run_eagerly=True)
    with pytest.warns(match="after 5 steps; this run ends after 4"):
        betas(vae, x, 2)


def test_time_passes_under_loss_scaling(x, set_dtype_policy):
    set_dtype_policy("mixed_float16")
    vae = eager(beta=LinearWarmup(4))
    vae.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=8.0))
    assert betas(vae, x) == [pytest.approx(0.375)]
    assert not vae.warming_up


def endless(x):
    while True:
        yield (x[:10],)


def test_data_that_do_not_tell_their_length(x):
    for beta in (LinearWarmup(epochs=2), CosineWarmup(epochs=2)):
        vae = eager(beta=beta)
        short = tf.data.Dataset.from_generator(
            lambda: iter([x[:10], x[10:20]]), output_signature=tf.TensorSpec([10, 4, 3, 1])
        )
        with pytest.warns(match="2 epochs; this run ends after 1|ran out of data"):
            seen = vae.fit(short, verbose=0, shuffle=False).history["beta"]
        assert seen == [0.0]  # how long the first epoch is shows at its end
        vae.compile(keras.optimizers.Adam(), run_eagerly=True)
        history = vae.fit(endless(x), steps_per_epoch=4, epochs=2, verbose=0, shuffle=False).history
        assert history["beta"][0] < history["beta"][1] < 1
        assert not vae.warming_up
    with pytest.warns(match="ran out of data"):  # Keras's, at any data set of unknown length
        eager(beta=LinearWarmup(2)).fit(short, verbose=0, shuffle=False)  # steps need no epochs
