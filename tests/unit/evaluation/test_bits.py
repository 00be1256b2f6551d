"""Against models whose code lengths are known: the encoder is the prior, p(x|z) knows no z."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vae_tf import VAE
from vae_tf.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Mixed,
    Poisson,
)
from vae_tf.errors import ConfigError, DataError
from vae_tf.evaluation import bits_per_dimension

D = 4
LEVELS = np.arange(256, dtype="float32").reshape(64, D)


def constant(likelihood, **values):
    """Returns a VAE whose every decoder output is a constant: log p(x) = log p(x|any z)."""
    i, j = keras.Input((D,)), keras.Input((1,))

    def output(inputs, shape, value):
        size = int(np.prod(shape))
        dense = keras.layers.Dense(
            size, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(value)
        )
        return dense(inputs)

    encoder = keras.Model(i, {name: output(i, (1,), 0.0) for name in ("z_mean", "z_log_var")})
    shapes = likelihood.parameter_shapes((D,))
    outputs = {name: output(j, shape, values.get(name, 0.0)) for name, shape in shapes.items()}
    return VAE(encoder, keras.Model(j, outputs), likelihood=likelihood)


def test_uniform_over_256_levels_is_8_bits():
    bits = bits_per_dimension(constant(Categorical(256)), LEVELS, 3)
    assert bits.value == pytest.approx(8, abs=1e-5)
    assert bits.stderr == pytest.approx(0, abs=1e-5)
    assert bits.monte_carlo_stderr < 1e-3  # a variance within float32's eps of 0
    assert "Categorical" in bits.meaning
    assert "3 samples" in bits.meaning
    assert dataclasses.is_dataclass(bits)
    with pytest.raises(dataclasses.FrozenInstanceError):
        bits.value = 7.0


def test_binary_coins_are_one_bit():
    x = np.random.default_rng(0).integers(0, 2, (10, D)).astype("float32")
    assert bits_per_dimension(constant(Bernoulli()), x, 1).value == pytest.approx(1, abs=1e-6)


def test_discretized_logistic_is_its_masses():
    loc, log_scale = 0.4, -2.0
    vae = constant(DiscretizedLogistic(), loc=loc, log_scale=log_scale)
    x = np.random.default_rng(0).integers(60, 190, (50, D))
    edges = (x[..., None] + np.array([-0.5, 0.5])) / 255
    cdf = stats.logistic.cdf(edges, loc, np.exp(log_scale))
    each = -np.log2(cdf[..., 1] - cdf[..., 0]).mean(1)
    bits = bits_per_dimension(vae, (x / 255).astype("float32"), 2)
    assert bits.value == pytest.approx(each.mean(), rel=1e-5)
    assert bits.stderr == pytest.approx(each.std(ddof=1) / np.sqrt(50), rel=1e-3)


@pytest.mark.parametrize("levels", [256, 4])
def test_uniform_density_on_dequantized_data_is_log2_of_the_levels(levels):
    x = np.random.default_rng(0).integers(0, levels, (20, D)) / (levels - 1)
    vae = constant(ContinuousBernoulli())  # logits 0: density 1 on [0, 1]
    bits = bits_per_dimension(vae, x.astype("float32"), 2, levels=levels)
    assert bits.value == pytest.approx(np.log2(levels), abs=1e-5)
    assert "dequantized" in bits.meaning


def test_dequantized_density_bounds_the_code_of_the_levels():
    """log p(y) of a continuous Bernoulli is linear in y, so its mean over a level is exact."""
    logit, levels, n = -3.0, 8, 20_000
    x = np.random.default_rng(0).integers(0, levels, (n, D))
    vae = constant(ContinuousBernoulli(), logits=logit)
    bits = bits_per_dimension(vae, (x / (levels - 1)).astype("float32"), 1, levels=levels)
    log_normalizer = np.log(logit / np.expm1(logit))
    log_p = logit * (x + 0.5) / levels + log_normalizer
    expected = (-log_p / np.log(2)).mean() + np.log2(levels)
    # u ~ U[0, 1) moves log p by logit / levels * u, of standard deviation sqrt(1/12)
    error = abs(logit) / levels / np.sqrt(12 * n * D) / np.log(2)
    assert abs(bits.value - expected) < 4.5 * error
    ends = np.stack([x, x + 1], -1) / levels
    masses = np.diff(np.expm1(logit * ends) / np.expm1(logit), axis=-1)[..., 0]
    code = -np.log2(masses).mean()
    assert code < expected
    assert bits.value - code < 0.03  # and the bound is not far above it


def test_data_sets_are_batches_of_the_same():
    vae = constant(ContinuousBernoulli(), logits=2.0)
    whole = bits_per_dimension(vae, LEVELS / 255, 2, levels=256)
    dataset = tf.data.Dataset.from_tensor_slices((LEVELS / 255, np.zeros(64))).batch(27)
    batches = bits_per_dimension(vae, dataset, 2, levels=256)
    small = bits_per_dimension(vae, LEVELS / 255, 2, levels=256, batch_size=10)
    for other in (batches, small):
        assert other.value == pytest.approx(whole.value, rel=1e-6)
    assert whole.value != bits_per_dimension(vae, LEVELS / 255, 2, levels=256, seed=1).value
    categorical = constant(Categorical(256))
    numbers = tf.data.Dataset.from_tensor_slices(LEVELS).batch(30)
    assert bits_per_dimension(categorical, numbers, 1).value == pytest.approx(8, abs=1e-5)


def test_samples_of_z_are_averaged():
    """z decides: p(x) = E_z p(x|z) is closer to the data than E_z log p(x|z)."""
    vae = constant(Bernoulli())
    vae.decoder.layers[-1].kernel.assign(tf.fill([1, D], 3.0))
    x = np.array([[1, 0, 1, 0]] * 8, "float32")
    grid = np.linspace(-9, 9, 20_001)
    log_p = 2 * (-np.logaddexp(0, -3 * grid)) + 2 * (-np.logaddexp(0, 3 * grid))
    exact = -np.log2(np.trapezoid(np.exp(log_p) * stats.norm.pdf(grid), grid)) / D
    bits = bits_per_dimension(vae, x, 4000)
    assert abs(bits.value - exact) < 4.5 * bits.monte_carlo_stderr
    assert bits.monte_carlo_stderr < 0.02


def test_a_density_is_refused_without_levels():
    for likelihood in (Gaussian(), ContinuousBernoulli(), Mixed([(Gaussian(), D)])):
        message = f"need a probability. Received: {type(likelihood).__name__}, a density: .* units"
        with pytest.raises(ConfigError, match=message + ".*Pass levels=256"):
            bits_per_dimension(constant(likelihood), LEVELS / 255, 1)


def test_refusals():
    both = Mixed([(Gaussian(), 1), (Poisson(), D - 1)])
    with pytest.raises(ConfigError, match=r"Gaussian \(density\), Poisson \(probability\)"):
        bits_per_dimension(constant(both), LEVELS, 1, levels=256)
    with pytest.raises(ConfigError, match="Categorical is a probability already"):
        bits_per_dimension(constant(Categorical(256)), LEVELS, 1, levels=256)
    grey = constant(ContinuousBernoulli())
    with pytest.raises(DataError, match=r"on the 256 levels from 0 to 1.*Divide 0-255 images"):
        bits_per_dimension(grey, LEVELS, 1, levels=256)
    with pytest.raises(DataError, match="on the 9 levels from 0 to 1"):
        bits_per_dimension(grey, LEVELS / 255, 1, levels=9)
    dataset = tf.data.Dataset.from_tensor_slices(np.full((8, D), 0.3, "float32")).batch(4)
    with pytest.raises(DataError, match="on the 256 levels"):
        bits_per_dimension(grey, dataset, 1, levels=256)
    with pytest.raises(DataError, match="finite"):
        bits_per_dimension(grey, np.full((2, D), np.nan, "float32"), 1, levels=256)
    with pytest.raises(ConfigError, match="`levels` must be a whole number of at least 2"):
        bits_per_dimension(grey, LEVELS / 255, 1, levels=1)
    with pytest.raises(ConfigError, match="`vae` must be an instance of VAE"):
        bits_per_dimension(grey.encoder, LEVELS, 1)
    with pytest.raises(DataError, match="defined for 0 and 1 alone"):
        bits_per_dimension(constant(Bernoulli()), np.full((2, D), 0.5, "float32"), 1)
