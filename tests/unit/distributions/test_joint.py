"""Priors and posteriors of several groups, and learned normals and mixtures as their parts."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow_probability import distributions as tfd

from vae_tf import VAE
from vae_tf.distributions import (
    DiagonalNormal,
    FullNormal,
    InverseAutoregressive,
    Joint,
    JointPosterior,
    LearnedNormal,
    MixtureOfNormals,
    RealNVP,
    StandardNormal,
    VampPrior,
)
from vae_tf.distributions.normal_mixture import component_of
from vae_tf.errors import ConfigError
from vae_tf.networks import mlp_decoder, mlp_encoder
from vae_tf.objectives import FreeBits, StickingTheLanding, groups_of, kl_parts


def learned(size, seed=0):
    prior, rng = LearnedNormal(size), np.random.default_rng(seed)
    prior.loc.assign(rng.normal(size=size))
    prior.log_scale.assign(rng.normal(size=size))
    return prior


def mixture(weights, seed=0):
    """Returns a mixture in one dimension whose component k is at 10 k, so that z tells k."""
    prior = MixtureOfNormals(1, len(weights), seed=seed)
    prior.logits.assign(np.log(weights))
    prior.means.assign(10.0 * np.arange(len(weights))[:, None])
    return prior


def params(posterior, latent_dim, batch=4, seed=1):
    rng = np.random.default_rng(seed)
    shapes = posterior.parameter_shapes(latent_dim)
    return {k: np.float32(rng.normal(size=(batch, *s))) for k, s in shapes.items()}


# --- LearnedNormal


def test_learned_normal_is_scipys():
    prior = learned(3)
    loc, scale = prior.loc.numpy(), np.exp(np.float64(prior.log_scale.numpy()))
    z = np.random.default_rng(1).normal(size=(5, 3)).astype("float32")
    expected = stats.norm.logpdf(z, loc, scale).sum(-1)
    np.testing.assert_allclose(prior.distribution().log_prob(z), expected, rtol=1e-5)
    np.testing.assert_allclose(prior.from_noise(z, z[:, 0]), loc + scale * z, rtol=1e-5)
    parts = prior.mixture()
    np.testing.assert_array_equal(parts["weights"], [1.0])
    np.testing.assert_allclose(parts["loc"], loc[None])
    np.testing.assert_allclose(parts["scale"], scale[None], rtol=1e-6)


@pytest.mark.parametrize("log_scale", [-1e30, 1e30])
def test_learned_normal_is_finite_at_extremes_and_comes_back(log_scale):
    prior = LearnedNormal(2)
    prior.log_scale.assign([log_scale] * 2)
    with tf.GradientTape() as tape:
        # data of scale 1: descent on -log p leads the scale towards it
        loss = -tf.reduce_mean(prior.distribution().log_prob([[1.0, -1.0]]))
    gradient = tape.gradient(loss, prior.log_scale.value).numpy()
    assert np.isfinite(loss)
    assert (np.sign(gradient) == np.sign(log_scale)).all()


# --- the choice of a component


def test_components_are_chosen_by_their_weights():
    weights = np.array([0.4, 0.05, 0.0, 0.3, 0.25])
    logits = tf.constant([0.4, 0.05, 1e-45, 0.3, 0.25])
    logits = tf.where(weights == 0, -np.inf, tf.math.log(logits))
    n = 100_000
    chosen = component_of(tf.random.stateless_uniform([n], [0, 1]), logits).numpy()
    counts = np.bincount(chosen, minlength=5)
    assert counts[2] == 0
    positive = weights > 0
    assert stats.chisquare(counts[positive], n * weights[positive]).pvalue > 1e-5


LARGEST = np.nextafter(np.float32(1), np.float32(0))


@pytest.mark.parametrize("seed", range(20))
def test_components_of_weight_zero_are_never_chosen(seed):
    """At the ends too, where sums of float32 weights are not quite 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=300).astype("float32")
    dead = rng.random(300) < 0.5
    dead[[0, -1, -2]] = True
    logits[dead] = [-np.inf, -1e30][seed % 2]
    uniform = tf.constant(np.float32([0.0, LARGEST, *rng.random(1000)]))
    chosen = component_of(uniform, tf.constant(logits)).numpy()
    assert not dead[chosen].any()
    alive = np.flatnonzero(~dead)
    assert chosen[0] == alive[0]
    assert chosen[1] == alive[-1]
    exact = np.exp(np.float64(logits))
    exact = np.cumsum(exact / exact.sum())
    expected = (uniform.numpy()[:, None] >= exact[:-1]).sum(-1)
    assert (chosen == expected).mean() > 0.99  # but for rounding at the borders


def test_one_component_takes_all():
    np.testing.assert_array_equal(component_of(tf.constant([0.0, LARGEST]), tf.zeros(1)), [0, 0])


def test_draws_from_noise_have_the_mixtures_distribution():
    prior, n = mixture([0.2, 0.5, 0.3]), 20_000
    z = prior.from_noise(
        tf.random.stateless_normal([n, 1], [0, 1]), tf.random.stateless_uniform([n], [2, 3])
    ).numpy()[:, 0]

    def cdf(z):
        return sum(w * stats.norm.cdf(z, 10 * k) for k, w in enumerate([0.2, 0.5, 0.3]))

    assert stats.kstest(z, cdf).pvalue > 1e-5


# --- Joint


def test_the_density_is_the_sum():
    prior = Joint([learned(2), StandardNormal(1), mixture([0.3, 0.7])])
    assert prior.latent_dim == 4
    assert prior.group_sizes == (2, 1, 1)
    z = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    first = prior.parts[0]
    scale = np.exp(np.float64(first.log_scale.numpy()))
    expected = stats.norm.logpdf(z[:, :2], first.loc.numpy(), scale).sum(-1)
    expected += stats.norm.logpdf(z[:, 2])
    expected += np.log(0.3 * stats.norm.pdf(z[:, 3]) + 0.7 * stats.norm.pdf(z[:, 3], 10))
    np.testing.assert_allclose(prior.distribution().log_prob(z), expected, rtol=1e-4)


def test_kl_is_the_sum_of_closed_forms_and_is_told_by_group():
    posterior = JointPosterior([DiagonalNormal(), FullNormal()], [2, 3])
    prior = Joint([learned(2), StandardNormal(3)])
    p = params(posterior, 5)
    qz, pz = posterior.distribution(p), prior.distribution()
    # 1/2 sum(v / s^2 + (m - l)^2 / s^2 - 1 + 2 log s - log v)
    mean, var = np.float64(p["group_0_z_mean"]), np.exp(np.float64(p["group_0_z_log_var"]))
    loc, scale = (np.float64(v.numpy()) for v in (prior.parts[0].loc, prior.parts[0].log_scale))
    scale = np.exp(scale)
    terms = (var + (mean - loc) ** 2) / scale**2 - 1 + 2 * np.log(scale) - np.log(var)
    first = 0.5 * terms.sum(-1)
    entries = np.float64(p["group_1_z_scale_tril"])
    squares = np.exp(entries[:, :3]).sum(-1) + (entries[:, 3:] ** 2).sum(-1)
    means = (np.float64(p["group_1_z_mean"]) ** 2).sum(-1)
    second = 0.5 * (squares + means - 3 - entries[:, :3].sum(-1))
    np.testing.assert_allclose(tfd.kl_divergence(qz, pz), first + second, rtol=1e-5)
    z = qz.sample(3, seed=[0, 1])
    parts = kl_parts(groups_of(qz, pz, z), "group").numpy()
    np.testing.assert_allclose(parts, np.stack([first, second], -1), rtol=1e-5)
    total = kl_parts(groups_of(qz, pz, z), "total").numpy()
    np.testing.assert_allclose(total, (first + second)[:, None], rtol=1e-5)


def test_groups_without_a_closed_form_are_estimated_alone():
    posterior = JointPosterior([DiagonalNormal(), DiagonalNormal()], [2, 1])
    prior = Joint([StandardNormal(2), mixture([0.3, 0.7])])
    p = params(posterior, 3)
    qz, n = posterior.distribution(p), 20_000
    z = qz.sample(n, seed=[0, 1])
    parts = np.float64(kl_parts(groups_of(qz, prior.distribution(), z), "group").numpy())
    mean, log_var = (np.float64(p[f"group_0_{k}"]) for k in ("z_mean", "z_log_var"))
    exact = 0.5 * (np.exp(log_var) + mean**2 - 1 - log_var).sum(-1)
    np.testing.assert_allclose(parts[:, 0], exact, rtol=1e-5)  # no noise in this one
    for b in range(4):  # quadrature
        m, s = p["group_1_z_mean"][b, 0], np.exp(p["group_1_z_log_var"][b, 0] / 2)
        grid = m + s * np.linspace(-9, 9, 4001)
        q = stats.norm.pdf(grid, m, s)
        log_p = np.logaddexp(
            np.log(0.3) + stats.norm.logpdf(grid), np.log(0.7) + stats.norm.logpdf(grid, 10)
        )
        kl = np.trapezoid(q * (stats.norm.logpdf(grid, m, s) - log_p), grid)
        # the entropy is exact, and log p(z) alone is estimated
        mean_log_p = np.trapezoid(q * log_p, grid)
        error = np.sqrt(np.trapezoid(q * (log_p - mean_log_p) ** 2, grid) / n)
        assert abs(parts[b, 1] - kl) < 4.5 * error + 1e-4


WEIGHTS = [[0.5, 0.2, 0.2, 0.1], [0.3, 0.3, 0.4], [0.6, 0.4]]


@pytest.mark.parametrize("nested", [False, True])
def test_parts_choose_their_components_independently(nested):
    mixtures, n = [mixture(w) for w in WEIGHTS], 40_000
    prior = Joint([Joint(mixtures[:2]), mixtures[2]]) if nested else Joint(mixtures)
    normal = tf.random.stateless_normal([n, 3], [0, 1])
    uniform = tf.random.stateless_uniform([n], [2, 3])
    chosen = np.rint(prior.from_noise(0.1 * normal, uniform).numpy() / 10).astype(int)
    for part, weights in zip(chosen.T, WEIGHTS, strict=True):
        expected = n * np.array(weights)
        assert stats.chisquare(np.bincount(part), expected).pvalue > 1e-5
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        table = np.zeros((len(WEIGHTS[i]), len(WEIGHTS[j])))
        np.add.at(table, (chosen[:, i], chosen[:, j]), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-5
    cells = np.ravel_multi_index(chosen.T, [4, 3, 2])
    expected = n * np.einsum("i,j,k->ijk", *WEIGHTS).ravel()
    assert stats.chisquare(np.bincount(cells, minlength=24), expected).pvalue > 1e-5


def test_many_components_keep_their_weights_in_every_part():
    """500 alike: a part must not be left with few digits of the uniform number."""
    count, n = 500, 100_000
    prior = Joint([mixture([1 / count] * count) for _ in range(4)])
    uniform = tf.random.stateless_uniform([n], [4, 5])
    draws = prior.from_noise(tf.zeros([n, 4]), uniform).numpy()
    for part in np.rint(draws / 10).astype(int).T:
        counts = np.bincount(part, minlength=count)
        assert stats.chisquare(counts, [n / count] * count).pvalue > 1e-5


def test_draws_have_the_groups_moments():
    prior, n = Joint([learned(2), RealNVP(2, 1, (3,)), mixture([0.5, 0.5])]), 20_000
    noise = tf.random.stateless_normal([n, 5], [0, 1])
    uniform = tf.random.stateless_uniform([n], [2, 3])
    first = prior.parts[0]
    mean = np.array([*first.loc.numpy(), 0, 0, 5])
    var = np.array([*np.exp(2 * first.log_scale.numpy()), 1, 1, 26])
    for z in (prior.from_noise(noise, uniform), prior.distribution().sample(n, seed=[4, 5])):
        assert (np.abs(z.numpy().mean(0) - mean) < 4.5 * np.sqrt(var / n)).all()


def test_no_way_from_noise_if_a_part_knows_none():
    prior = Joint([StandardNormal(1), VampPrior(1, (2,), 3)])
    prior.bind(lambda x: posterior_of(x))
    assert prior.from_noise(tf.zeros([2, 2]), tf.zeros(2)) is None


def posterior_of(x):
    full = tfd.MultivariateNormalTriL(tf.zeros([len(x), 1]), tf.ones([len(x), 1, 1]))
    normal = tfd.Independent(tfd.Normal(tf.zeros([len(x), 1]), 1.0), 1)
    return tfd.Blockwise([normal, full])


# --- JointPosterior


def joint_posterior():
    parts = [DiagonalNormal(), FullNormal(), InverseAutoregressive(2, 1, 2, (3,))]
    return JointPosterior(parts, [1, 2, 2])


def test_the_posteriors_density_points_and_statistics_are_the_groups():
    posterior = joint_posterior()
    p = params(posterior, 5)
    z = np.random.default_rng(3).normal(size=(4, 5)).astype("float32")
    m0, v0 = p["group_0_z_mean"], np.exp(np.float64(p["group_0_z_log_var"]))
    expected = stats.norm.logpdf(z[:, :1], m0, np.sqrt(v0)).sum(-1)
    entries = np.float64(p["group_1_z_scale_tril"])
    t = np.zeros((4, 2, 2))
    t[:, [0, 1], [0, 1]], t[:, 1, 0] = np.exp(entries[:, :2] / 2), entries[:, 2]
    cov = t @ np.swapaxes(t, 1, 2)
    expected += [
        stats.multivariate_normal.logpdf(z[b, 1:3], p["group_1_z_mean"][b], cov[b])
        for b in range(4)
    ]
    m2, s2 = p["group_2_z_mean"], np.exp(p["group_2_z_log_var"] / 2)  # a flow at its start
    expected += stats.norm.logpdf(z[:, 3:], m2, s2).sum(-1)
    np.testing.assert_allclose(posterior.distribution(p).log_prob(z), expected, rtol=1e-4)
    means = np.concatenate([m0, p["group_1_z_mean"], m2], -1)
    np.testing.assert_allclose(posterior.point(p), means, rtol=1e-5)
    got = posterior.statistics(p)
    np.testing.assert_allclose(got["z_mean"], means, rtol=1e-5)
    variances = np.concatenate([v0, np.diagonal(cov, axis1=1, axis2=2), s2**2], -1)
    np.testing.assert_allclose(got["z_log_var"], np.log(variances), rtol=1e-4, atol=1e-5)


def test_parameters_in_order():
    posterior = joint_posterior()
    p = params(posterior, 5)
    z = np.zeros((4, 5), "float32")
    np.testing.assert_array_equal(
        posterior.distribution(list(p.values())).log_prob(z), posterior.distribution(p).log_prob(z)
    )


@pytest.mark.parametrize("objective", [None, StickingTheLanding()])
def test_a_model_of_groups(objective, tmp_path):
    posterior = JointPosterior([DiagonalNormal(), FullNormal()], [1, 2])
    prior = Joint([learned(1), MixtureOfNormals(2, 3)])
    encoder = mlp_encoder((4,), 3, (5,), outputs=posterior.parameter_shapes(3))
    decoder = mlp_decoder(3, {"logits": (4,)}, (5,))
    parts = {"prior": prior, "posterior": posterior, "objective": objective}
    vae = VAE(encoder, decoder, **parts, kl_control=FreeBits(0.1, per="group"))
    vae.compile("adam", run_eagerly=True)
    x = (np.random.default_rng(0).random((8, 4)) > 0.5).astype("float32")
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"]).all()
    vae.save(tmp_path / "m.keras")
    copy = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    for part in ("prior", "posterior"):
        assert getattr(copy, part).get_config() == getattr(vae, part).get_config()
    z = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
    np.testing.assert_array_equal(
        copy.prior.distribution().log_prob(z), vae.prior.distribution().log_prob(z)
    )
    np.testing.assert_array_equal(copy.encode(x).mean(), vae.encode(x).mean())


@pytest.mark.parametrize(
    "make",
    [
        lambda: LearnedNormal(2, name="p"),
        lambda: VampPrior(2, [4, 3], 5, (0, 2), seed=1),
        lambda: VampPrior(2, (4,), 5, None),
        lambda: Joint([StandardNormal(1), Joint([RealNVP(2, 1, [3]), MixtureOfNormals(2, 3)])]),
        lambda: FullNormal(name="q"),
        joint_posterior,
    ],
)
def test_survives_serialization_and_json(make):
    part = make()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(part)))
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(part)
    assert copy.get_config() == part.get_config()
    plain = json.loads(json.dumps(part.get_config()))  # tuples are lists here
    assert type(part).from_config(plain).get_config() == part.get_config()
    assert [w.shape for w in copy.variables] == [w.shape for w in part.variables]


@pytest.mark.slow
def test_compiled_graphs_and_half_precision_policies(set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    prior = Joint([learned(1), mixture([0.3, 0.7])])
    posterior = JointPosterior([DiagonalNormal(), InverseAutoregressive(2, 1, 1, (3,))], [1, 2])
    p = params(posterior, 3)
    for make, arguments in (
        (lambda: prior.distribution(), []),
        (lambda *a: posterior.distribution(a), list(p.values())),
    ):

        @tf.function(jit_compile=True)
        def graph(*arguments, make=make):
            d = make(*arguments)
            z = d.sample(3, seed=[0, 1])
            return z, d.log_prob(tf.identity(z))

        z, log_prob = graph(*arguments)
        assert z.dtype == log_prob.dtype == tf.float32
        expected = make(*arguments).log_prob(z)
        np.testing.assert_allclose(log_prob, expected, rtol=1e-4, atol=1e-4)
    assert all(w.dtype == "float32" for w in prior.variables + posterior.variables)


def test_refusals():
    with pytest.raises(ConfigError, match="A Joint prior needs parts"):
        Joint([])
    with pytest.raises(ConfigError, match="`parts` must be an instance of Prior"):
        Joint([StandardNormal(1), DiagonalNormal()])
    with pytest.raises(ConfigError, match="`parts` must be an instance of Posterior"):
        JointPosterior([StandardNormal(1)], [1])
    with pytest.raises(ConfigError, match="Each part must have a size"):
        JointPosterior([DiagonalNormal()], [1, 2])
    with pytest.raises(ConfigError, match="Each part must have a size"):
        JointPosterior([], [])
    with pytest.raises(ConfigError, match="`sizes` must be a whole number of at least 1"):
        JointPosterior([DiagonalNormal()], [0])
    with pytest.raises(ConfigError, match="The model must have latent_dim=3"):
        JointPosterior([DiagonalNormal(), FullNormal()], [1, 2]).parameter_shapes(4)
    with pytest.raises(ConfigError, match="needs the network outputs"):
        JointPosterior([DiagonalNormal()], [2]).distribution({"z_mean": 0, "z_log_var": 0})


def test_groups_that_do_not_meet_are_refused():
    posterior = JointPosterior([DiagonalNormal(), DiagonalNormal()], [1, 2])
    encoder = mlp_encoder((4,), 3, (5,), outputs=posterior.parameter_shapes(3))
    decoder = mlp_decoder(3, {"logits": (4,)}, (5,))
    prior = Joint([StandardNormal(2), StandardNormal(1)])
    with pytest.raises(ConfigError, match=r"must have the prior's groups \(2, 1\)"):
        VAE(encoder, decoder, prior=prior, posterior=posterior)
