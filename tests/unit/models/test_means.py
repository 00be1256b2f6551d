"""Several running means in one variable are as many of Keras's."""

import keras
import numpy as np
import pytest

from vae_tf.models.means import Means

NAMES = ("a", "b", "c")


def batches(weighted):
    rng = np.random.default_rng(0)
    for size in (5, 3, 8):
        values = {name: rng.normal(size=size).astype("float32") for name in NAMES}
        yield values, rng.random(size).astype("float32") if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
def test_they_are_keras_s(weighted):
    means, want = Means(NAMES), {name: keras.metrics.Mean() for name in NAMES}
    for values, weights in batches(weighted):
        means.update_state(values, weights)
        for name, value in values.items():
            want[name].update_state(value, sample_weight=weights)
        for name, mean in means.result().items():
            np.testing.assert_allclose(mean, want[name].result(), rtol=1e-6)


def test_values_that_are_not_there_count_nothing():
    means = Means(NAMES)
    means.update_state({"b": np.full(4, 2.0, "float32")})
    assert {name: float(mean) for name, mean in means.result().items()} == {"a": 0, "b": 2, "c": 0}


def test_before_the_first_batch_and_without_any_weight_they_are_zero():
    means = Means(NAMES)
    assert float(means.result()["a"]) == 0
    means.update_state({name: np.ones(2, "float32") for name in NAMES}, np.zeros(2, "float32"))
    assert float(means.result()["a"]) == 0
    means.update_state({name: np.ones(2, "float32") for name in NAMES})
    assert float(means.result()["a"]) == 1
    means.reset_state()
    assert float(means.result()["a"]) == 0
