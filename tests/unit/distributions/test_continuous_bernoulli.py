"""Against the formulas of the paper in float64 and against quadrature."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate

from vae_tf.distributions import ContinuousBernoulli
from vae_tf.errors import ConfigError, DataError

# near lambda = 0.5, on both sides of where a series takes over, and far out
LOGITS = np.array([0, 1e-7, 1e-3, 0.1, 0.26, 0.27, 0.32, 0.33, 1, 5, 15.9, 16, 40, 100, 256])
LOGITS = np.concatenate([-LOGITS[:0:-1], LOGITS]).astype("float32")


def density(x, logit):
    """exp(logit x) / integral of it: the continuous Bernoulli without its lambda."""
    if abs(logit) < 1e-3:
        return np.exp(logit * (x - 0.5)) / (1 + logit**2 / 24)
    from_the_peak = x - 1 if logit > 0 else x
    return abs(logit) * np.exp(logit * from_the_peak) / -np.expm1(-abs(logit))


def moment(logit, power):
    edge = min(1.0, 40 / max(abs(logit), 1e-9))  # where all of the mass is
    ends = (0, edge) if logit < 0 else (1 - edge, 1)
    return integrate.quad(lambda x: x**power * density(x, logit), *ends, epsabs=1e-12)[0]


def of(logits):
    return ContinuousBernoulli().distribution(logits[:, None])


def test_the_oracle_is_a_density():
    np.testing.assert_allclose([moment(float(logit), 0) for logit in LOGITS], 1, rtol=1e-9)


@pytest.mark.parametrize("x", [0.0, 1e-4, 0.3, 0.5, 0.999, 1.0])
def test_log_density(x):
    value = float(np.float32(x))
    expected = [np.log(density(value, float(logit))) for logit in LOGITS]
    data = np.full((len(LOGITS), 1), x, "float32")
    np.testing.assert_allclose(of(LOGITS).log_prob(data), expected, rtol=3e-6, atol=3e-6)


def test_density_integrates_to_one():
    nodes, weights = np.polynomial.legendre.leggauss(60)
    nodes, weights = (nodes + 1) / 2, weights / 2
    logits = LOGITS[np.abs(LOGITS) <= 40]
    x = np.broadcast_to(nodes[:, None, None], (60, len(logits), 1)).astype("float32")
    densities = np.exp(of(logits).log_prob(x).numpy().astype("float64"))
    np.testing.assert_allclose(weights @ densities, 1, rtol=1e-5)


def test_mean_and_its_gradient():
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        mean = of(logits).mean()[:, 0]
    means = np.array([moment(float(logit), 1) for logit in LOGITS])
    np.testing.assert_allclose(mean, means, rtol=3e-6)
    # an exponential family: d mean / d logit = variance
    variances = [moment(float(logit), 2) for logit in LOGITS] - means**2
    np.testing.assert_allclose(tape.gradient(mean, logits), variances, rtol=1e-3)
    np.testing.assert_allclose(of(LOGITS).variance()[:, 0], variances, rtol=1e-4)


def test_gradient_is_the_residual():
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        log_prob = of(logits).log_prob(np.full((len(LOGITS), 1), 0.3, "float32"))
    means = [moment(float(logit), 1) for logit in LOGITS]
    np.testing.assert_allclose(
        tape.gradient(log_prob, logits), np.float32(0.3) - means, rtol=1e-4, atol=2e-6
    )


def test_samples():
    px = of(LOGITS)
    x = px.sample(20_000, seed=[5, 0]).numpy()[..., 0].astype("float64")
    assert x.min() >= 0
    assert x.max() <= 1
    means = np.array([moment(float(logit), 1) for logit in LOGITS])
    variances = [moment(float(logit), 2) for logit in LOGITS] - means**2
    assert np.all(np.abs(x.mean(0) - means) < 4.5 * np.sqrt(variances / len(x)))
    squares = (x - means) ** 2
    error = squares.std(0) / np.sqrt(len(x))
    assert np.all(np.abs(squares.mean(0) - variances) < 4.5 * error)


def test_the_decay_is_bounded_and_comes_back():
    px = ContinuousBernoulli(min_scale=0.1)
    logits = tf.constant([[1000.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        nll = -px.distribution(logits).log_prob([[0.5]])
    np.testing.assert_allclose(nll, [-np.log(density(0.5, 10.0))], rtol=1e-5)
    assert tape.gradient(nll, logits) > 0.3  # mean - 0.5 = 0.9 - 0.5: descent makes them smaller
    with pytest.raises(ConfigError, match="`min_scale` must be a finite number above 0"):
        ContinuousBernoulli(min_scale=0)


def test_support():
    ContinuousBernoulli().check_support(np.array([0, 0.2, 1], "float32"), strict=True)
    with pytest.raises(DataError, match="from 0 to 1"):
        ContinuousBernoulli().check_support(np.array([1.5]))
