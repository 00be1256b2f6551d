import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vae_tf.distributions import (
    Bernoulli,
    Gaussian,
    GaussianLearnedScale,
    GaussianPixelScale,
)
from vae_tf.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
SHAPE = (6, 5, 4, 2)  # [B, H, W, C]
LOC = RNG.normal(size=SHAPE).astype("float32")
X = RNG.random(SHAPE).astype("float32")
LOG_SCALE = (RNG.normal(size=SHAPE) - 1).astype("float32")


def total(log_density):
    return log_density.sum((1, 2, 3))


def test_bernoulli_is_scipys():
    x = (X > 0.5).astype("float32")
    expected = total(stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-LOC.astype("float64")))))
    np.testing.assert_allclose(Bernoulli().distribution(LOC).log_prob(x), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("likelihood", "params", "scale"),
    [
        (Gaussian(0.3), {"loc": LOC}, 0.3),
        (GaussianLearnedScale(0.4), {"loc": LOC}, 0.4),
        (GaussianPixelScale(), {"loc": LOC, "log_scale": LOG_SCALE}, np.exp(LOG_SCALE)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_gaussians_are_scipys_normaliser_included(likelihood, params, scale):
    # GREY_LEVEL bounds the scale from below; these draws stay above it
    expected = total(stats.norm.logpdf(X.astype("float64"), LOC, scale))
    px = likelihood.distribution(params)
    np.testing.assert_allclose(px.log_prob(X), expected, rtol=1e-4)
    statistics = likelihood.statistics(params)
    np.testing.assert_allclose(statistics["image"], px.mean())
    shown = np.broadcast_to(statistics["scale"], SHAPE)
    np.testing.assert_allclose(shown, px.stddev(), rtol=1e-6)
    assert statistics["scale"].shape[0] == len(X)


def test_bernoulli_sums_to_one_over_all_images():
    images = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T.reshape(-1, 2, 2, 1)
    logits = np.broadcast_to(RNG.normal(size=(1, 2, 2, 1)), images.shape).astype("float32")
    density = np.exp(Bernoulli().distribution(logits).log_prob(images.astype("float32")))
    np.testing.assert_allclose(density.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("extreme", [-1e30, -100.0, 100.0, 1e30])
def test_extreme_outputs_stay_finite(dtype, extreme):
    raw = tf.fill([1, 2, 2, 1], tf.cast(extreme, dtype))
    mild = tf.zeros_like(raw)
    x = np.ones((1, 2, 2, 1), "float32")
    for likelihood, params in [
        (Bernoulli(), {"logits": raw}),
        (GaussianPixelScale(), {"loc": mild, "log_scale": raw}),
    ]:
        with tf.GradientTape() as tape:
            tape.watch(raw)
            log_prob = likelihood.distribution(params).log_prob(x)
        assert np.isfinite(log_prob).all()
        statistics = likelihood.statistics(params)
        assert all(np.isfinite(value).all() for value in statistics.values())
        del tape


@pytest.mark.slow
def test_learned_scale_finds_the_maximum_likelihood():
    likelihood = GaussianLearnedScale(1.0)
    optimizer = keras.optimizers.Adam(0.05)
    for _ in range(400):
        with tf.GradientTape() as tape:
            nll = -tf.reduce_mean(likelihood.distribution(LOC).log_prob(X))
        variables = likelihood.trainable_variables
        optimizer.apply(tape.gradient(nll, variables), variables)
    scale = likelihood.distribution(LOC).stddev().numpy().max()
    np.testing.assert_allclose(scale, np.sqrt(np.mean((X - LOC) ** 2)), rtol=1e-3)


def test_support():
    Bernoulli().check_support(X)
    Bernoulli().check_support((X > 0.5).astype("float32"), strict=True)
    with pytest.raises(DataError, match=r"from 0 to 1. Received: min=0, max=255. Divide"):
        Bernoulli().check_support(np.array([0, 255], "uint8"))
    with pytest.raises(DataError, match="defined for 0 and 1 alone"):
        Bernoulli().check_support(X, strict=True)
    with pytest.raises(DataError, match=r"1 NaN or infinite value\(s\), the first at index \(1,\)"):
        Gaussian().check_support(np.array([0, np.nan]))
    Gaussian().check_support(np.array([-7.0, 9.0]), strict=True)


@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.inf, "learned", None, True])
def test_scale_must_be_positive(scale):
    with pytest.raises(ConfigError, match="`scale` must be a finite number above 0"):
        Gaussian(scale)


@pytest.mark.parametrize(
    "likelihood",
    [Bernoulli(), Gaussian(0.2), GaussianLearnedScale(0.2, 0.01), GaussianPixelScale(0.01)],
    ids=lambda value: type(value).__name__,
)
def test_survives_serialization(likelihood):
    saved = keras.saving.serialize_keras_object(likelihood)
    assert keras.saving.deserialize_keras_object(saved).get_config() == likelihood.get_config()
    assert set(likelihood.parameter_shapes((3, 2, 1))) == set(likelihood.parameters)
