"""Densities and gradients in float32 against float64, over the whole range that bounds allow."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import distributions
from vae_tf.distributions.normal import Normal


def grid(**axes):
    return dict(
        zip(axes, np.array(list(itertools.product(*axes.values())), "float32").T, strict=True)
    )


def value_and_gradients(function, params, x, dtype):
    params = {name: tf.constant(value[:, None], dtype) for name, value in params.items()}
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = tf.reshape(function(params, tf.constant(x[:, None], dtype)), [-1])
    gradients = tape.gradient(value, params)
    return value.numpy(), {n: tf.reshape(g, [-1]).numpy() for n, g in gradients.items()}


def negative_binomial(params, x):
    m, r = tf.exp(params["log_mean"]), tf.exp(-params["log_dispersion"])
    choose = tf.math.lgamma(x + r) - tf.math.lgamma(r) - tf.math.lgamma(x + 1)
    return choose - r * tf.math.log1p(m / r) + x * (params["log_mean"] - tf.math.log(r + m))


def poisson(params, x):
    return x * params["log_rate"] - tf.exp(params["log_rate"]) - tf.math.lgamma(x + 1)


def normal(params, x):
    scale = tf.exp(params["log_scale"])
    square = tf.square((x - params["loc"]) / scale)
    return -0.5 * square - params["log_scale"] - 0.5 * np.log(2 * np.pi)


def continuous_bernoulli(params, x):
    # exp(l x) l / (exp(l) - 1), l / (exp(l) - 1) by its series about 0
    logits = params["logits"]
    small = tf.abs(logits) < 0.05
    size = tf.abs(tf.where(small, tf.ones_like(logits), logits))
    exact = tf.math.log(size) - tf.math.log(-tf.math.expm1(-size))
    exact -= tf.where(logits > 0, logits, tf.zeros_like(logits))
    square = tf.square(logits)
    series = -logits / 2 - square / 24 + square**2 / 2880 - square**3 / 181440
    return logits * x + tf.where(small, series, exact)


def bernoulli(params, x):
    return -tf.math.softplus(tf.where(x > 0, -params["logits"], params["logits"]))


COUNTS = [0, 1, 2, 15, 16, 17, 100, 1e4, 1e6, 2**24]
LOG_MEANS = np.linspace(-16.6, 16.6, 21)
CASES = {
    "Poisson": (poisson, grid(log_rate=LOG_MEANS, x=COUNTS)),
    "NegativeBinomial": (
        negative_binomial,
        grid(log_mean=LOG_MEANS, log_dispersion=np.linspace(-10, 10, 21), x=COUNTS),
    ),
    "GaussianPixelScale": (
        normal,
        grid(
            loc=[0, 1, -2020, 1e6],
            log_scale=[-5.5, -3, 0, 5, 20],
            x=[0, 1.25, -2020.01, 1e6 + 0.5],
        ),
    ),
    "ContinuousBernoulli": (
        continuous_bernoulli,
        grid(
            logits=[-255, -30, -1, -0.3, -0.1, -1e-2, -1e-4, 1e-6, 1e-3, 0.03, 0.2, 3, 100],
            x=[0, 1e-6, 0.1, 0.5, 0.9, 1],
        ),
    ),
    "Bernoulli": (bernoulli, grid(logits=[-1000, -88, -16, -1, 0, 0.1, 5, 17, 90], x=[0, 1])),
}


@pytest.mark.parametrize("name", list(CASES))
def test_densities_and_gradients(name):
    oracle, axes = CASES[name]
    params = {n: value for n, value in axes.items() if n != "x"}
    likelihood = getattr(distributions, name)()

    def ours(params, x):
        return likelihood.distribution(params).log_prob(x)

    value, gradients = value_and_gradients(ours, params, axes["x"], tf.float32)
    right, right_gradients = value_and_gradients(oracle, params, axes["x"], tf.float64)
    np.testing.assert_allclose(value, right, rtol=5e-6, atol=5e-6)
    for parameter, gradient in gradients.items():
        right_one = right_gradients[parameter]
        np.testing.assert_allclose(gradient, right_one, rtol=1e-4, atol=2e-6, err_msg=parameter)


@pytest.mark.parametrize("name", ["Poisson", "NegativeBinomial"])
def test_counts_near_their_means(name):
    """There the large terms cancel; what is left is of the order of 1."""
    log_mean = np.linspace(-2, 16, 40).astype("float32")
    mean = np.exp(log_mean.astype("float64"))
    oracle, params = CASES[name][0], {"log_rate": log_mean}
    if name == "NegativeBinomial":
        params = {"log_mean": log_mean, "log_dispersion": np.full_like(log_mean, -10)}
    likelihood = getattr(distributions, name)()
    for far in (-2, 0, 1):
        x = np.maximum(np.rint(mean + far * np.sqrt(mean)), 0).astype("float32")
        args = {n: tf.constant(v[:, None]) for n, v in params.items()}
        value = likelihood.distribution(args).log_prob(x[:, None])
        right, _ = value_and_gradients(oracle, params, x, tf.float64)
        # The mean's own last digit counts, 6e-8 of it, at a slope of 1 / standard deviation
        np.testing.assert_allclose(value, right, rtol=1e-6, atol=2e-3)


@pytest.mark.parametrize(("x", "log_mean"), [(0, 0), (1, 0), (15, 3), (1, -2), (40, 3), (1000, 7)])
def test_the_dispersion_has_a_gradient_near_the_poisson(x, log_mean):
    params = {"log_mean": np.array([log_mean]), "log_dispersion": np.array([-10.0])}
    likelihood = distributions.NegativeBinomial()

    def ours(params, x):
        return likelihood.distribution(params).log_prob(x)

    _, gradients = value_and_gradients(ours, params, np.array([x]), tf.float32)
    # log p = log Poisson + d ((x - m)^2 - x) / 2 + O(d^2)
    m, d = np.exp(log_mean), np.exp(-10.0)
    np.testing.assert_allclose(
        gradients["log_dispersion"], d * ((x - m) ** 2 - x) / 2, rtol=2e-3 + 2 * d * max(x, m)
    )


@pytest.mark.parametrize("likelihood", [distributions.Gaussian, distributions.GaussianLearnedScale])
@pytest.mark.parametrize(("x", "loc", "scale"), [(2020, 2020.01, 0.01), (0.3, 0.300002, 0.004)])
def test_one_scale_for_all(likelihood, x, loc, scale):
    params = {"loc": np.array([loc], "float32"), "log_scale": np.log(np.float32([scale]))}
    right, _ = value_and_gradients(normal, params, np.float32([x]), tf.float64)
    seen = likelihood(scale).distribution({"loc": params["loc"][None]}).log_prob([[x]])
    np.testing.assert_allclose(seen, right, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("loc", "log_scale"), [(1e4, -5.0), (3.0, 5.0), (-300.0, 0.0)])
def test_kl_and_densities_of_normals_far_from_0(loc, log_scale):
    prior = distributions.LearnedNormal(2)
    prior.loc.assign([loc, loc])
    prior.log_scale.assign([log_scale, log_scale])
    mean = np.float32(loc) + np.float32(0.0078125)
    params = {"z_mean": tf.fill([1, 2], mean), "z_log_var": tf.fill([1, 2], -12.0)}
    qz, pz = distributions.DiagonalNormal().distribution(params), prior.distribution()
    distance = (float(mean) - float(np.float32(loc))) / np.exp(log_scale)
    ratio = -6 - log_scale
    kl = 2 * (0.5 * distance**2 + 0.5 * np.exp(2 * ratio) - 0.5 - ratio)
    np.testing.assert_allclose(tfd.kl_divergence(qz, pz), [kl], rtol=1e-6)
    log_pz = -(distance**2) - 2 * log_scale - np.log(2 * np.pi)
    np.testing.assert_allclose(pz.log_prob(params["z_mean"]), [log_pz], rtol=1e-6, atol=1e-5)
    tril = {"z_mean": params["z_mean"], "z_scale_tril": tf.constant([[-12.0, -12.0, 0.0]])}
    full = distributions.FullNormal().distribution(tril)
    np.testing.assert_allclose(tfd.kl_divergence(full, pz), [kl], rtol=1e-5)


def test_a_users_normal_keeps_its_digits_too():
    theirs = tfd.Independent(tfd.Normal([2020.0, 1e4], [0.01, 0.01]), 1)
    prior = distributions.DistributionPrior(theirs)
    z = np.array([[2020.01, 1e4]], "float32")
    d = (z.astype("float64") - [2020, 1e4]) / np.float32(0.01)
    right = np.sum(-0.5 * d**2 - np.log(np.float32(0.01)) - 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(prior.distribution().log_prob(z), [right], rtol=1e-6)
    again = distributions.DistributionPrior(distributions.LearnedNormal(2).distribution())
    copy = distributions.DistributionPrior.from_config(again.get_config())
    np.testing.assert_allclose(copy.distribution().log_prob(tf.zeros([1, 2])), -np.log(2 * np.pi))
    assert isinstance(copy.distribution().distribution, Normal)


@pytest.mark.slow_but(3)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("spread", "centre", "log_scale"), [(1, 0, 0), (4, 3, -0.5), (10, 0, -3), (1, 1000, 0)]
)
def test_mixtures(spread, centre, log_scale, compiled):
    """About where products change from float32 to float64, and far on either side."""
    rng = np.random.default_rng(0)
    size = (30, 16)
    loc = rng.normal(centre, spread, size).astype("float32")
    log_scales = np.clip(log_scale + rng.normal(0, 0.1, size), -3, 3).astype("float32")
    prior = distributions.MixtureOfNormals(16, 30)
    prior.means.assign(loc)
    prior.log_scales.assign(log_scales)
    z = prior.distribution().sample(50, seed=(1, 2))

    @tf.function(jit_compile=compiled)
    def terms(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_prob = prior.distribution().log_prob(z)
        return log_prob, *tape.gradient(log_prob, [z, prior.means.value, prior.log_scales.value])

    scales = np.exp(log_scales.astype("float64"))
    d = (z.numpy().astype("float64")[:, None] - loc) / scales
    each = np.sum(-0.5 * d**2 - log_scales - 0.5 * np.log(2 * np.pi), -1) - np.log(30)
    log_prob = np.logaddexp.reduce(each, -1)
    share = np.exp(each - log_prob[:, None])[..., None]
    right = (
        log_prob,
        -np.sum(share * d / scales, 1),
        np.sum(share * d / scales, 0),
        np.sum(share * (d**2 - 1), 0),
    )
    for seen, wanted in zip(terms(z), right, strict=True):
        np.testing.assert_allclose(seen, wanted, rtol=2e-4, atol=2e-3)
    first = prior.distribution().log_prob(z[:1])
    np.testing.assert_allclose(first, terms(z)[0][:1], rtol=1e-4)  # whatever others there are
