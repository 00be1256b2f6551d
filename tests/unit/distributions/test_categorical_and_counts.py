"""Against SciPy in float64."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from vae_tf.distributions import Categorical, NegativeBinomial, Poisson
from vae_tf.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("event", [(3,), (2, 3, 2)], ids=str)
def test_categorical_is_the_softmax(event):
    k, n = 4, 6
    logits = RNG.normal(size=(n, *event, k))
    x = RNG.integers(0, k, (n, *event))
    likelihood = Categorical(k)
    flat = logits.reshape(n, *likelihood.parameter_shapes(event)["logits"]).astype("float32")
    log_p = special.log_softmax(logits, -1)
    each = np.take_along_axis(log_p, x[..., None], -1)
    px = likelihood.distribution(flat)
    np.testing.assert_allclose(
        px.log_prob(x.astype("float32")), each.reshape(n, -1).sum(-1), rtol=1e-5
    )
    statistics = likelihood.statistics(flat)
    np.testing.assert_array_equal(statistics["image"], logits.argmax(-1))
    np.testing.assert_allclose(statistics["probabilities"], np.exp(log_p), rtol=1e-5)
    np.testing.assert_allclose(px.mean(), np.exp(log_p) @ np.arange(k), rtol=1e-5)


def test_categorical_samples_and_sums_to_one():
    logits = np.array([[0.0, 1.0, -1.0]], "float32")
    px = Categorical(3).distribution(logits)
    p = np.exp(px.log_prob(np.arange(3.0, dtype="float32")[:, None, None])[:, 0])
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-6)
    n = 50_000
    counts = np.bincount(px.sample(n, seed=[1, 0]).numpy().astype(int).ravel(), minlength=3)
    assert np.all(np.abs(counts / n - p) < 4.5 * np.sqrt(p * (1 - p) / n))


@pytest.mark.parametrize("largest", [1.0, 6.0, 10.0, 16.0])
def test_poisson_is_scipys(largest):
    log_rate = RNG.uniform(-3, largest, 3000).astype("float32")
    rate = np.exp(log_rate.astype("float64"))
    x = np.concatenate([RNG.poisson(rate[:2000]), RNG.integers(0, 60, 1000)])
    log_mass = Poisson().distribution(log_rate[:, None]).log_prob(x[:, None].astype("float32"))
    expected = stats.poisson.logpmf(x, rate)
    # log(x) near 16 is rounded by 1e-6 and counts |x - rate| times, mostly below 4 sqrt(x)
    tolerance = 5e-6 + 5e-6 * np.sqrt(x) + 5e-6 * np.abs(expected)
    assert np.all(np.abs(log_mass - expected) < tolerance)


@pytest.mark.parametrize("x", [0.0, 15.0, 16.0, 17.0, 1000.0])
def test_poisson_gradient_is_the_residual(x):
    log_rate = tf.constant([[-2.0], [2.75], [2.8], [7.0]])
    with tf.GradientTape() as tape:
        tape.watch(log_rate)
        log_mass = Poisson().distribution(log_rate).log_prob(tf.fill([4, 1], x))
    residual = x - np.exp(log_rate.numpy().astype("float64"))
    np.testing.assert_allclose(tape.gradient(log_mass, log_rate), residual, rtol=1e-5, atol=1e-5)


def test_negative_binomial_is_scipys():
    n = 5000
    log_mean = RNG.uniform(-3, 8, n).astype("float32")
    log_dispersion = RNG.uniform(-9.9, 9.9, n).astype("float32")
    m, r = np.exp(log_mean.astype("float64")), np.exp(-log_dispersion.astype("float64"))
    p = r / (r + m)
    x = np.concatenate([stats.nbinom.rvs(r[:4000], p[:4000], random_state=1), RNG.poisson(5, 1000)])
    params = {"log_mean": log_mean[:, None], "log_dispersion": log_dispersion[:, None]}
    log_mass = NegativeBinomial().distribution(params).log_prob(x[:, None].astype("float32"))
    expected = stats.nbinom.logpmf(x, r, p)
    tolerance = 2e-5 + 5e-5 * np.sqrt(x) + 5e-6 * np.abs(expected)
    assert np.all(np.abs(log_mass - expected) < tolerance)
    statistics = NegativeBinomial().statistics(params)
    np.testing.assert_allclose(statistics["image"][:, 0], m, rtol=1e-5)
    np.testing.assert_allclose(statistics["dispersion"][:, 0], 1 / r, rtol=1e-5)


@pytest.mark.parametrize(
    ("likelihood", "params", "mean", "variance"),
    [
        (Poisson(), {"log_rate": np.log([[0.3, 4.0, 300.0]])}, [0.3, 4, 300], [0.3, 4, 300]),
        (
            NegativeBinomial(),
            {"log_mean": np.log([[0.3, 4.0, 30.0]]), "log_dispersion": np.log([[2.0, 0.5, 0.01]])},
            [0.3, 4, 30],
            [0.3 + 2 * 0.09, 4 + 0.5 * 16, 30 + 0.01 * 900],
        ),
    ],
    ids=["poisson", "negative binomial"],
)
def test_moments_and_samples(likelihood, params, mean, variance):
    px = likelihood.distribution({n: v.astype("float32") for n, v in params.items()})
    np.testing.assert_allclose(px.mean()[0], mean, rtol=1e-5)
    np.testing.assert_allclose(px.variance()[0], variance, rtol=1e-5)
    x = px.sample(40_000, seed=[3, 0]).numpy()[:, 0].astype("float64")
    assert np.all(np.abs(x.mean(0) - mean) < 4.5 * np.sqrt(np.array(variance) / len(x)))
    squares = (x - mean) ** 2
    assert np.all(np.abs(squares.mean(0) - variance) < 4.5 * squares.std(0) / np.sqrt(len(x)))
    counts = np.arange(4000, dtype="float32")[:, None, None]
    for d in range(3):  # the masses of one element sum to one
        one = likelihood.distribution({n: v[:, d : d + 1] for n, v in params.items()})
        total = np.exp(one.log_prob(counts).numpy().astype("float64")).sum()
        assert total == pytest.approx(1, abs=1e-4)


def test_support():
    for likelihood in (Poisson(), NegativeBinomial(), Categorical(4)):
        likelihood.check_support(np.array([0, 3]), strict=True)
        likelihood.check_support(np.array([0.0, 3.0], "float32"), strict=True)
        name = type(likelihood).__name__
        message = rf"{name} takes whole numbers. Received: 1 .* first 0.5 at \(1,\)"
        with pytest.raises(DataError, match=message):
            likelihood.check_support(np.array([1, 0.5]))
        with pytest.raises(DataError, match=f"{name} takes data from 0 to .*min=-1"):
            likelihood.check_support(np.array([-1, 0]))
        with pytest.raises(DataError, match="NaN"):
            likelihood.check_support(np.array([np.nan]))
    with pytest.raises(DataError, match=r"from 0 to 3. Received: min=0, max=4"):
        Categorical(4).check_support(np.array([0, 4]))
    with pytest.raises(DataError, match="max=1e"):
        Poisson().check_support(np.array([1e9]))
    for bad in (1, 2.0, None):
        with pytest.raises(ConfigError, match="`num_classes` must be a whole number of at least 2"):
            Categorical(bad)
