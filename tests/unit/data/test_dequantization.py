import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vae_tf.data import dequantize
from vae_tf.errors import ConfigError

X = np.arange(256, dtype="float32").repeat(100) / 255


def test_stays_in_its_level_and_is_uniform_there():
    y = dequantize(X).numpy()
    assert y.dtype == "float32"
    u = y.astype("float64") * 256 - np.rint(X * 255)
    assert u.min() >= 0
    assert u.max() <= 1
    assert stats.kstest(u, "uniform").pvalue > 1e-4


def test_few_levels_and_images():
    x = np.array([0, 0.5, 1], "float32").reshape(1, 3, 1, 1)
    y = dequantize(x, 3).numpy()
    assert y.shape == x.shape
    np.testing.assert_array_equal(np.floor(y * 3).ravel(), [0, 1, 2])


def test_noise_is_a_function_of_seed_and_step():
    y = dequantize(X, seed=1, step=2)
    np.testing.assert_array_equal(y, dequantize(X, seed=1, step=2))
    for other in (dequantize(X, seed=1, step=3), dequantize(X, seed=2, step=2)):
        assert np.mean(other.numpy() == y) < 0.01


def test_new_noise_for_each_batch_of_a_data_set():
    batches = tf.data.Dataset.from_tensors(X).repeat(2)
    first, second = batches.enumerate().map(lambda step, x: dequantize(x, step=step))
    np.testing.assert_array_equal(first, dequantize(X, step=0))
    np.testing.assert_array_equal(second, dequantize(X, step=1))


@pytest.mark.parametrize("bad", [{"levels": 1}, {"levels": 2.0}, {"seed": -1}])
def test_refusals(bad):
    with pytest.raises(ConfigError, match="must be"):
        dequantize(X, **bad)
