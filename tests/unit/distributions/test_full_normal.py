"""FullNormal against scipy's multivariate normal, in float64."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow_probability import distributions as tfd

from vae_tf.distributions import FullNormal, LearnedNormal, MixtureOfNormals, StandardNormal

SIZES = pytest.mark.parametrize("size", [1, 2, 5])


def params(size, batch=4, seed=0):
    rng = np.random.default_rng(seed)
    entries = rng.normal(size=(batch, size * (size + 1) // 2))
    return {
        "z_mean": rng.normal(size=(batch, size)).astype("float32"),
        "z_scale_tril": entries.astype("float32"),
    }


def by_hand(params):
    """Returns mean [B, L] and T [B, L, L], filled entry by entry as the docstring says."""
    mean, entries = (np.float64(params[name]) for name in ("z_mean", "z_scale_tril"))
    batch, size = mean.shape
    scale = np.zeros((batch, size, size))
    for b in range(batch):
        rest = iter(entries[b, size:])
        for i in range(size):
            for j in range(i):
                scale[b, i, j] = next(rest)
            scale[b, i, i] = np.exp(0.5 * entries[b, i])
        assert not list(rest)
    return mean, scale


def covariances(scale):
    return scale @ np.swapaxes(scale, -1, -2)


def prior(kind, size):
    if kind is StandardNormal:
        return StandardNormal(size), np.zeros(size), np.ones(size)
    learned, rng = LearnedNormal(size), np.random.default_rng(9)
    learned.loc.assign(rng.normal(size=size))
    learned.log_scale.assign(rng.normal(size=size))
    return learned, np.float64(learned.loc.numpy()), np.exp(np.float64(learned.log_scale.numpy()))


@SIZES
def test_the_shapes_asked_of_the_network(size):
    shapes = FullNormal().parameter_shapes(size)
    assert shapes == {"z_mean": (size,), "z_scale_tril": (size * (size + 1) // 2,)}


@SIZES
def test_density_is_scipys(size):
    p = params(size)
    mean, scale = by_hand(p)
    z = mean + np.random.default_rng(1).normal(size=(3, 4, size))
    cov = covariances(scale)
    expected = [
        [stats.multivariate_normal.logpdf(z[k, b], mean[b], cov[b]) for b in range(4)]
        for k in range(3)
    ]
    got = FullNormal().distribution(p).log_prob(np.float32(z))
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-4)


@SIZES
def test_statistics_are_of_each_latent_alone(size):
    p = params(size)
    mean, scale = by_hand(p)
    got = FullNormal().statistics(p)
    variances = np.diagonal(covariances(scale), axis1=1, axis2=2)
    np.testing.assert_allclose(got["z_mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(got["z_log_var"], np.log(variances), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["z_scale_tril"], scale, rtol=1e-5)
    np.testing.assert_array_equal(FullNormal().point(p), got["z_mean"])


@SIZES
def test_draws_have_mean_and_covariance(size):
    p, n = params(size), 50_000
    mean, scale = by_hand(p)
    z = FullNormal().distribution(p).sample(n, seed=[2, 3]).numpy()
    cov = covariances(scale)
    variances = np.diagonal(cov, axis1=1, axis2=2)
    assert (np.abs(z.mean(0) - mean) < 4.5 * np.sqrt(variances / n)).all()
    centred = z - mean
    sample_cov = np.einsum("nbi,nbj->bij", centred, centred) / n
    # Isserlis: var(x_i x_j) = c_ii c_jj + c_ij^2
    error = np.sqrt((variances[:, :, None] * variances[:, None] + cov**2) / n)
    assert (np.abs(sample_cov - cov) < 4.5 * error).all()


@SIZES
@pytest.mark.parametrize("kind", [StandardNormal, LearnedNormal])
def test_kl_is_the_closed_form_and_within_monte_carlo(kind, size):
    p, (pz, loc, std) = params(size), prior(kind, size)
    qz = FullNormal().distribution(p)
    kl = tfd.kl_divergence(qz, pz.distribution()).numpy()
    mean, scale = by_hand(p)
    cov = covariances(scale)
    # 1/2 (tr(P^-1 C) + d' P^-1 d - L + log det P - log det C)
    trace = (np.diagonal(cov, axis1=1, axis2=2) / std**2).sum(-1)
    distance = (((loc - mean) / std) ** 2).sum(-1)
    log_det = np.linalg.slogdet(cov)[1]
    expected = 0.5 * (trace + distance - size + 2 * np.log(std).sum() - log_det)
    np.testing.assert_allclose(kl, expected, rtol=1e-5, atol=1e-5)
    z = np.float64(qz.sample(50_000, seed=[4, 5]).numpy())
    for b in range(4):
        ratios = stats.multivariate_normal.logpdf(z[:, b], mean[b], cov[b])
        ratios = ratios - stats.norm.logpdf(z[:, b], loc, std).sum(-1)
        assert abs(ratios.mean() - kl[b]) < 4.5 * ratios.std() / np.sqrt(len(z))


def test_kl_where_the_priors_scale_is_one_number():
    p = params(3)
    qz = FullNormal().distribution(p)
    pz = tfd.Independent(tfd.Normal(tf.zeros(3), 2.0), 1)
    cov = covariances(by_hand(p)[1])
    trace = np.trace(cov, axis1=1, axis2=2) + (np.float64(p["z_mean"]) ** 2).sum(-1)
    log_det = np.linalg.slogdet(cov)[1]
    expected = 0.5 * (trace / 4 - 3 + 3 * np.log(4) - log_det)
    np.testing.assert_allclose(tfd.kl_divergence(qz, pz), expected, rtol=1e-5)


def test_entropy_is_scipys():
    p = params(5)
    mean, scale = by_hand(p)
    cov = covariances(scale)
    expected = [stats.multivariate_normal.entropy(m, c) for m, c in zip(mean, cov, strict=True)]
    np.testing.assert_allclose(FullNormal().distribution(p).entropy(), expected, rtol=1e-5)


@SIZES
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("value", [-1e30, -60.0, 60.0, 1e30])
def test_extreme_outputs_stay_finite(size, dtype, value):
    shapes = FullNormal().parameter_shapes(size)
    entries = tf.Variable(tf.fill([2, *shapes["z_scale_tril"]], tf.cast(value, dtype)))
    with tf.GradientTape() as tape:
        p = [tf.zeros([2, size], dtype), entries]
        qz = FullNormal().distribution(p)
        kl = tfd.kl_divergence(qz, StandardNormal(size).distribution())
        z = qz.sample(3, seed=[0, 1])
        log_q = qz.log_prob(z)  # of its own draws
    assert np.isfinite(kl).all()
    assert np.isfinite(z).all()
    assert np.isfinite(log_q).all()
    assert all(np.isfinite(v).all() for v in FullNormal().statistics(p).values())
    gradient = tf.cast(tape.gradient(kl, entries), tf.float32).numpy()
    assert np.isfinite(gradient).all()
    # Descent leads every entry back from beyond the bounds; T's below the diagonal towards 0
    assert (np.sign(gradient) == np.sign(value)).all()


def test_draws_below_the_diagonal_are_correlated_as_told():
    p = {"z_mean": np.zeros((1, 2)), "z_scale_tril": [[0.0, 0.0, 3.0]]}
    scale = FullNormal().statistics(p)["z_scale_tril"][0]
    np.testing.assert_array_equal(scale, [[1.0, 0.0], [3.0, 1.0]])


def test_without_closed_form_the_kl_is_left_to_the_objective():
    pz = MixtureOfNormals(2, 3).distribution()
    with pytest.raises(NotImplementedError):
        tfd.kl_divergence(FullNormal().distribution(params(2)), pz)
    laplace = tfd.Independent(tfd.Laplace(tf.zeros(2), 1.0), 1)
    with pytest.raises(NotImplementedError):
        tfd.kl_divergence(FullNormal().distribution(params(2)), laplace)


def test_float32_also_for_half_precision_networks():
    p = {name: tf.cast(value, tf.bfloat16) for name, value in params(3).items()}
    qz = FullNormal().distribution(p)
    assert qz.dtype == tf.float32
    exact = {name: tf.cast(value, tf.float32).numpy() for name, value in p.items()}
    mean, scale = by_hand(exact)
    cov, z = covariances(scale), np.zeros((4, 3), "float32")
    expected = [stats.multivariate_normal.logpdf(z[b], mean[b], cov[b]) for b in range(4)]
    np.testing.assert_allclose(qz.log_prob(z), expected, rtol=2e-4, atol=2e-4)


def test_compiled_graphs_say_the_same():
    p = params(3)

    @tf.function(jit_compile=True)
    def graph(mean, entries):
        qz = FullNormal().distribution([mean, entries])
        z = qz.sample(5, seed=[1, 2])
        kl = tfd.kl_divergence(qz, StandardNormal(3).distribution())
        return z, qz.log_prob(tf.identity(z)), kl

    z, log_prob, kl = graph(*p.values())
    qz = FullNormal().distribution(p)
    np.testing.assert_allclose(log_prob, qz.log_prob(z), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(kl, tfd.kl_divergence(qz, StandardNormal(3).distribution()), 1e-5)
