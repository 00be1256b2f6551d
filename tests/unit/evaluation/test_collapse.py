"""Collapse in Gaussian channels, whose information is known, and in networks of zeros."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow_probability import distributions as tfd

import vae_tf
from vae_tf.distributions import DiagonalNormal, JointPosterior
from vae_tf.errors import ConfigError, DataError
from vae_tf.evaluation import (
    active_units,
    kl_per_dimension,
    measure_collapse,
    mutual_information,
    sensitivity,
)


def channel(n, slopes, noise, seed=0):
    """q(z|x) = N(slopes * x, noise^2) of n examples x ~ N(0, I), and chi^2 of q(x,z), q(x)q(z)."""
    slopes = np.asarray(slopes, "float32")
    x = np.random.default_rng(seed).normal(size=(n, len(slopes))).astype("float32")
    qz = tfd.Independent(tfd.Normal(slopes * x, noise), 1)
    ratio = 1 + (slopes / noise) ** 2
    return qz, float(np.sum(np.log(ratio)) / 2), float(np.prod(ratio) - 1)


def exact_on_the_set(qz):
    """I of one latent by the trapezoid rule: H(q(z)) - H(q(z|x)) of this very set."""
    loc = qz.distribution.loc.numpy().astype("float64")[:, 0]
    scale = float(np.max(qz.distribution.scale))
    grid = np.linspace(loc.min() - 8 * scale, loc.max() + 8 * scale, 20_001)
    density = stats.norm.pdf(grid[:, None], loc, scale).mean(1)
    safe = np.maximum(density, 1e-300)
    entropy = -np.trapezoid(density * np.log(safe), grid)
    return entropy - stats.norm(0, scale).entropy()


@pytest.mark.parametrize("noise", [0.2, 1.0, 5.0])
def test_information_is_that_of_the_set_by_quadrature(noise):
    qz, _, _ = channel(300, [1.0], noise)
    # The examples are given: what is left is the spread of the draws
    estimate = mutual_information(qz, num_samples=200)
    spread = [mutual_information(qz, 200, seed=s).value for s in range(1, 9)]
    error = np.std(spread, ddof=1)
    assert abs(estimate.value - exact_on_the_set(qz)) < 5 * error


@pytest.mark.parametrize(("slopes", "noise"), [([1.0], 0.5), ([1.0], 2.0), ([1.5, 0.7], 0.5)])
def test_information_of_a_gaussian_channel(slopes, noise):
    # I = sum_d log(1 + a_d^2 / s^2) / 2; N examples are below it by chi^2 / 2N
    qz, exact, chi2 = channel(2000, slopes, noise)
    estimate = mutual_information(qz)
    bias = chi2 / (2 * 2000)
    assert abs(estimate.value + bias - exact) < 5 * estimate.stderr
    assert bias < estimate.stderr  # so the test is about the value


def test_information_is_no_more_than_the_log_of_the_examples():
    qz, exact, _ = channel(50, [1.0] * 8, 0.01)
    estimate = mutual_information(qz)
    assert estimate.limit == pytest.approx(np.log(50))
    assert exact > 20
    assert estimate.value == pytest.approx(np.log(50), abs=1e-3)
    assert estimate.value <= np.log(50) + 1e-5


def test_information_in_chunks_is_the_same(monkeypatch):
    from vae_tf.evaluation import collapse as module

    qz, _, _ = channel(40, [1.0, 1.0], 0.5)
    whole = mutual_information(qz).value
    monkeypatch.setattr(module, "PAIRS", 600)  # 7 rows at a time, of 160
    assert mutual_information(qz).value == pytest.approx(whole, rel=1e-5)


def test_kl_of_each_dimension_in_closed_form_and_at_draws():
    mean, sd = np.array([[0.0, 1.0], [0.5, -2.0]]), np.array([[1.0, 0.5], [2.0, 0.1]])
    exact = np.mean((mean**2 + sd**2 - 1) / 2 - np.log(sd), axis=0)
    qz = tfd.Independent(tfd.Normal(mean, sd), 1)
    pz = tfd.Independent(tfd.Normal(np.zeros(2), np.ones(2)), 1)
    np.testing.assert_allclose(kl_per_dimension(qz, pz), exact, rtol=1e-6)
    # a Student's t of very many degrees is a normal, and TFP has no closed form for the pair
    wide = tfd.Independent(tfd.StudentT(np.full(2, 1e6), np.zeros(2), np.ones(2)), 1)
    draws = qz.sample(40_000, seed=[0, 1])
    # -H(q) - log p(z): the draws spread by the variance of z^2 / 2, at most 6 here
    estimated = kl_per_dimension(qz, wide, draws)
    np.testing.assert_allclose(estimated, exact, atol=5 * np.sqrt(6 / 80_000))
    with pytest.raises(ConfigError, match="`pz` must be a product over dimensions"):
        kl_per_dimension(qz, tfd.MultivariateNormalTriL(np.zeros(2), np.eye(2)))


def test_a_unit_is_active_if_its_mean_moves():
    z = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 0.05, 0.0] + [0, 0, 7]
    assert active_units(z).tolist() == [True, False, False]
    assert active_units(z, threshold=1e-4).tolist() == [True, True, False]


def test_sensitivity_is_the_mean_squared_change_when_examples_swap_latents():
    rng = np.random.default_rng(0)
    images, x = rng.normal(size=(30, 4, 2)), rng.normal(size=(30, 4, 2)) * 2
    pairs = [np.sum((v[:, None] - v[None]) ** 2) for v in (images, x)]
    assert sensitivity(images, x) == pytest.approx(pairs[0] / pairs[1])
    assert sensitivity(images * 0 + 3, x) == pytest.approx(0, abs=1e-12)
    assert sensitivity(x, x) == 1
    assert np.isnan(sensitivity(images, x * 0))


def linear(slopes, noise, dims=3):
    """A VAE with q(z|x) = N(slopes * x[:L], noise^2) and E[x|z] = z / slopes, or all of zeros."""
    slopes = np.asarray(slopes, "float32")
    latents = len(slopes)
    i, j = keras.Input((dims,)), keras.Input((latents,))
    mean, log_var = keras.layers.Dense(latents), keras.layers.Dense(latents)
    encoder = keras.Model(i, {"z_mean": mean(i), "z_log_var": log_var(i)})
    loc = keras.layers.Dense(dims)
    decoder = keras.Model(j, {"loc": loc(j)})
    mean.set_weights([np.eye(dims, latents) * slopes, np.zeros(latents)])
    log_var.set_weights([np.zeros((dims, latents)), np.full(latents, 2 * np.log(noise))])
    inverse = np.where(slopes == 0, 1.0, 1 / np.where(slopes == 0, 1, slopes))
    loc.set_weights([np.eye(latents, dims) * inverse[:, None], np.zeros(dims)])
    return vae_tf.VAE(encoder, decoder, likelihood=vae_tf.likelihoods.Gaussian(1.0))


X = np.random.default_rng(1).normal(size=(1500, 3)).astype("float32")


def test_a_linear_model_with_a_latent_that_is_off():
    result = measure_collapse(linear([2.0, 0.0], 0.5), X)
    assert result.active.tolist() == [True, False]
    assert result.off == [1]
    second_moment = np.mean((2 * X[:, 0]) ** 2, dtype="float64")
    kl = [(second_moment + 0.25 - 1) / 2 - np.log(0.5), (0.25 - 1) / 2 - np.log(0.5)]
    np.testing.assert_allclose(result.kl, kl, rtol=1e-5)
    information = result.mutual_information
    exact, bias = np.log(1 + 16) / 2, 16 / (2 * len(X))
    assert abs(information.value + bias - exact) < 5 * information.stderr
    # E[x|z] at the means is x itself in one of three dimensions
    assert result.sensitivity == pytest.approx(X[:, 0].var() / X.var(0).sum(), rel=1e-5)


def test_a_collapsed_model_has_nothing_of_anything():
    result = measure_collapse(linear([0.0, 0.0], 1.0), X[:100])
    assert not result.active.any()
    assert result.off == [0, 1]
    np.testing.assert_allclose(result.kl, 0, atol=1e-6)
    assert result.mutual_information.value == pytest.approx(0, abs=1e-5)
    assert result.sensitivity == pytest.approx(0, abs=1e-12)


def test_without_factors_the_kl_by_dimension_is_left_out():
    vae = linear([1.0, 1.0], 0.5)
    mixture = vae_tf.priors.MixtureOfNormals(2, components=3)
    vae = vae_tf.VAE(vae.encoder, vae.decoder, prior=mixture, likelihood=vae.likelihood)
    assert measure_collapse(vae, X[:50]).kl is None


def test_the_kl_of_each_group_of_latents():
    """Two groups of one latent, whose normals' KL is known."""
    vae = linear([2.0, 0.5], 0.5)
    x = keras.Input((3,))
    mean, log_var = (vae.encoder(x)[name] for name in ("z_mean", "z_log_var"))
    heads = {}
    for g in range(2):
        heads[f"group_{g}_z_mean"] = mean[:, g : g + 1]
        heads[f"group_{g}_z_log_var"] = log_var[:, g : g + 1]
    joint = vae_tf.VAE(
        keras.Model(x, heads),
        vae.decoder,
        prior=vae_tf.priors.Joint([vae_tf.priors.StandardNormal(1) for _ in range(2)]),
        posterior=JointPosterior([DiagonalNormal(), DiagonalNormal()], [1, 1]),
        likelihood=vae.likelihood,
    )
    flat, grouped = (measure_collapse(v, X[:300]) for v in (vae, joint))
    np.testing.assert_allclose(grouped.kl_by_group, flat.kl, rtol=1e-5)
    np.testing.assert_allclose(flat.kl_by_group, [flat.kl.sum()], rtol=1e-5)
    np.testing.assert_allclose(grouped.kl, flat.kl, rtol=1e-5)
    assert grouped.group_sizes == (1, 1)
    assert grouped.active_by_group == [1, 1]
    assert flat.active_by_group == [2]


def test_batches_do_not_count(monkeypatch):
    from vae_tf.evaluation import collapse as module

    vae = linear([2.0, 0.5], 0.5)
    whole = measure_collapse(vae, X[:200])
    monkeypatch.setattr(module, "BATCH", 33)
    small = measure_collapse(vae, X[:200])
    stream = measure_collapse(vae, tf.data.Dataset.from_tensor_slices(X[:200]).batch(64))
    for other in (small, stream):
        assert other.mutual_information.value == pytest.approx(
            whole.mutual_information.value, rel=1e-4
        )
        assert other.sensitivity == pytest.approx(whole.sensitivity, rel=1e-6)
        np.testing.assert_allclose(other.kl, whole.kl, rtol=1e-5)


def test_refusals():
    vae = linear([1.0], 0.5)
    with pytest.raises(DataError, match="Collapse is measured over several examples"):
        measure_collapse(vae, X[:1])
    with pytest.raises(DataError, match=r"must be \[B, 3\]"):
        measure_collapse(vae, X[:, :2])
