"""Penalties against numbers of their own, and where their gradients go."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from vae_tf.errors import ConfigError
from vae_tf.objectives import (
    DIPVAE1,
    DIPVAE2,
    FactorVAE,
    MaximumMeanDiscrepancy,
    Penalty,
    TotalCorrelation,
)
from vae_tf.objectives.penalties.total_correlation import (
    log_stratified_weights,
    permuted_by_dimension,
)

from ..models.conftest import LATENT_DIM, make
from .toy import assert_meets, inference, log_normal, normal

SEED = tf.constant([1, 2])


def codes_given(loc, scale, seed=(1, 2), pz=None):
    """An inference whose q(z|x) has these parameters, [B, L]."""
    loc, scale = (tf.constant(part, tf.float32) for part in (loc, scale))
    dims = loc.shape[-1]
    pz = normal(tf.zeros([dims]), tf.ones([dims])) if pz is None else pz
    theta = {"a": loc, "b": 2 * tf.math.log(scale), "w": tf.ones_like(loc)}
    return inference(theta, seed, x=np.zeros(dims), pz=pz)


# Total correlation


def test_stratified_weights_estimate_the_aggregate_posterior_without_bias():
    """The mean over all batches with a given own example is (1/N) sum_n q(z|x_n), exactly."""
    rng = np.random.default_rng(0)
    n = 5
    q = rng.gamma(2.0, size=n)  # q(z|x_n) of one z ~ q(z|x_0)
    for size in range(2, n + 1):
        w = np.exp(log_stratified_weights(size, n).numpy().astype(float))
        np.testing.assert_allclose(w.sum(1), 1.0, rtol=1e-6)
        for row in range(size):
            estimates = []
            for others in itertools.permutations(range(1, n), size - 1):
                batch = list(others)
                batch.insert(row, 0)
                estimates.append(w[row] @ q[batch])
            assert np.mean(estimates) == pytest.approx(q.mean(), rel=1e-6)
    whole = np.exp(log_stratified_weights(n, n))  # nothing is left to chance
    np.testing.assert_allclose(whole, 1 / n, rtol=1e-6)


def test_stratified_weights_do_not_depend_on_the_order_of_the_others():
    w = np.exp(log_stratified_weights(4, 100))
    np.testing.assert_allclose(np.diag(w), 1 / 100, rtol=1e-6)
    np.testing.assert_allclose(w[~np.eye(4, dtype=bool)], 99 / 300, rtol=1e-6)


def test_batches_at_the_edges():
    rng = np.random.default_rng(0)
    for size, examples in ((1, 10), (7, 3)):  # no other example; examples that repeat
        given = codes_given(rng.normal(size=(size, 2)), np.ones((size, 2)))
        penalty = TotalCorrelation(1.0, examples).penalty(given.draw(1)[0], given)
        assert np.isfinite(penalty)


def test_total_correlation_is_the_formula():
    rng = np.random.default_rng(0)
    loc, scale, n = rng.normal(size=(6, 3)), rng.gamma(3, 0.2, size=(6, 3)), 40
    given = codes_given(loc, scale)
    z = given.draw(1)[0]
    zz = z.numpy().astype(float)
    w = np.full((6, 6), 39 / (40 * 5))
    np.fill_diagonal(w, 1 / 40)
    log_q = log_normal(zz[:, None], loc, np.log(scale))
    joint = logsumexp(log_q.sum(-1), b=w, axis=1)
    marginals = logsumexp(log_q, b=w[..., None], axis=1).sum(-1)
    expected = 2.5 * np.mean(joint - marginals)
    assert float(TotalCorrelation(2.5, n).penalty(z, given)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_total_correlation_of_a_correlated_aggregate(rho):
    """Means ~ N(0, C) and q(z|x) = N(mean, s^2): q(z) is N(0, C + s^2), its TC -log det(corr)/2."""
    size, s = 1000, 0.6
    factor = np.linalg.cholesky([[1, rho], [rho, 1]])
    rng = np.random.default_rng(0)
    values = []
    for seed in range(12):
        given = codes_given(
            rng.normal(size=(size, 2)) @ factor.T, s * np.ones((size, 2)), (seed, 0)
        )
        # the whole data set in one batch: no noise but that of the data
        values.append(float(TotalCorrelation(1.0, size).penalty(given.draw(1)[0], given)))
    correlation = rho / (1 + s**2)
    exact = -0.5 * np.log(1 - correlation**2)
    # z's own example is in the average, which is q(z|x) / q(z) / B too high: E[...] / B, on paper
    bias = np.prod((np.linalg.eigvalsh(factor @ factor.T) + s**2) / s**2) / size
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - exact) < 4.5 * error + bias


def test_total_correlation_falls_along_its_gradient():
    rng = np.random.default_rng(0)
    factor = np.linalg.cholesky([[1, 0.9], [0.9, 1]])
    loc = tf.Variable((rng.normal(size=(200, 2)) @ factor.T).astype("float32"))
    penalty, values = TotalCorrelation(1.0, 200), []
    for step in range(30):
        with tf.GradientTape() as tape:
            given = inference(
                {"a": loc + 0.0, "b": tf.fill([200, 2], -2.0), "w": tf.ones([200, 2])}, (step, 0)
            )
            value = penalty.penalty(given.draw(1)[0], given)
        loc.assign_sub(40 * tape.gradient(value, loc))
        values.append(float(value))
    assert np.mean(values[-5:]) < 0.7 * np.mean(values[:5])


# FactorVAE


def factor(**kwargs):
    """A classifier that is not blank: its last layer starts at zeros."""
    penalty = FactorVAE(3.0, 2, (5, 4), **kwargs)
    rng = np.random.default_rng(0)
    for weight in penalty.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return penalty


def logit_by_hand(penalty, z):
    h = np.asarray(z, float)
    for i, (kernel, bias) in enumerate(zip(penalty.kernels, penalty.biases, strict=True)):
        h = h if i == 0 else np.where(h > 0, h, 0.2 * h)
        h = h @ kernel.numpy().astype(float) + bias.numpy()
    return h[:, 0]


def gaussian_codes(size=64, seed=(1, 2)):
    rng = np.random.default_rng(0)
    loc = rng.normal(size=(size, 2)) @ np.array([[1, 0.9], [0, 0.4]])
    return codes_given(loc, 0.5 * np.ones((size, 2)), seed)


def test_factor_vae_is_the_mean_logit():
    given, penalty = gaussian_codes(), factor()
    z = given.draw(1)[0]
    np.testing.assert_allclose(
        penalty.logit(z, True), logit_by_hand(penalty, z), rtol=1e-3, atol=1e-4
    )
    expected = 3 * logit_by_hand(penalty, z).mean()
    assert float(penalty.penalty(z, given)) == pytest.approx(expected, rel=1e-4)
    assert float(FactorVAE(3.0, 2).penalty(z, given)) == 0  # at first it knows nothing


def test_factor_vae_s_gradients_go_two_ways():
    """The classifier's weights get its own loss's alone; the codes get the penalty's alone."""
    given, penalty = gaussian_codes(), factor()
    z = given.draw(1)[0]
    weights = [w.value for w in penalty.trainable_weights]
    permuted = permuted_by_dimension(z, given.seed)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        value = penalty.penalty(z, given)
    with tf.GradientTape() as own:
        real, fake = penalty.logit(tf.stop_gradient(z), False), penalty.logit(permuted, False)
        ones = tf.ones_like(real)
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(ones, real)) / 2
        loss += tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(0 * ones, fake)) / 2
    for one, other in zip(tape.gradient(value, weights), own.gradient(loss, weights), strict=True):
        assert np.abs(other).max() > 1e-3
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    step = 1e-4
    slopes = np.zeros((64, 2))
    for d in range(2):
        moved = [
            logit_by_hand(penalty, z.numpy().astype(float) + s * step * np.eye(2)[d])
            for s in (1, -1)
        ]
        slopes[:, d] = 3 * (moved[0] - moved[1]) / (2 * step) / 64
    np.testing.assert_allclose(tape.gradient(value, z), slopes, rtol=1e-2, atol=1e-4)


class Optimal(FactorVAE):
    """log q(z) / (q(z_1) q(z_2)) of a normal aggregate with correlation rho, plugged in."""

    rho = 0.7

    def logit(self, z, fixed):
        a, b = z[:, 0], z[:, 1]
        r = self.rho
        square = (a**2 - 2 * r * a * b + b**2) / (1 - r**2)
        return -0.5 * square + 0.5 * (a**2 + b**2) - 0.5 * np.log(1 - r**2)


def test_the_optimal_classifier_gives_the_total_correlation():
    rho, size = Optimal.rho, 100_000
    draws = np.random.default_rng(0).multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=size)
    z = tf.constant(draws, tf.float32)
    penalty = Optimal(1.0, 2)
    exact = -0.5 * np.log(1 - rho**2)
    assert_meets(penalty.logit(z, True).numpy().astype(float), exact)
    given = codes_given(draws, np.ones((size, 2)))
    value = float(penalty.penalty(z, given))
    assert value == pytest.approx(float(tf.reduce_mean(penalty.logit(z, True))), rel=1e-5)


def test_the_classifier_learns_the_total_correlation():
    """Trained on codes that stay put, the penalty nears the TC of their distribution."""
    rho = 0.8
    rng = np.random.default_rng(0)
    penalty, optimizer = FactorVAE(1.0, 2, (32, 32)), keras.optimizers.Adam(0.01)
    covariance = [[1, rho], [rho, 1]]

    @tf.function
    def step(z, given_seed):
        with tf.GradientTape() as tape:
            given = inference({"a": z, "b": z, "w": z}, given_seed)
            value = penalty.penalty(z, given)
        weights = penalty.trainable_weights
        optimizer.apply(tape.gradient(value, [w.value for w in weights]), weights)
        return value

    values = []
    for n in range(250):
        z = rng.multivariate_normal([0, 0], covariance, size=512).astype("float32")
        values.append(float(step(tf.constant(z), tf.constant([n, 0]))))
    exact = -0.5 * np.log(1 - rho**2)  # 0.511
    # a classifier of 250 steps is not the optimum; one mean of 512 logits errs by about 0.03
    assert np.mean(values[-50:]) == pytest.approx(exact, abs=0.1)


def test_permuting_keeps_each_column_and_breaks_their_ties():
    z = tf.constant(np.arange(600).reshape(200, 3), tf.float32)
    permuted = permuted_by_dimension(z, SEED).numpy()
    for d in range(3):
        np.testing.assert_array_equal(np.sort(permuted[:, d]), z[:, d])
    orders = permuted // 3
    for a, b in itertools.combinations(range(3), 2):
        assert np.mean(orders[:, a] == orders[:, b]) < 0.05  # 1/200 by chance
        assert abs(np.corrcoef(permuted[:, a], permuted[:, b])[0, 1]) < 4.5 / np.sqrt(200)
    np.testing.assert_array_equal(permuted_by_dimension(z, SEED), permuted)
    assert not np.array_equal(permuted_by_dimension(z, tf.constant([1, 3])), permuted)


def test_every_order_is_as_likely():
    z = tf.repeat(tf.constant([[0.0], [1.0], [2.0]]), 6000, axis=1)
    drawn = permuted_by_dimension(z, SEED).numpy().T
    counts = np.unique(drawn @ [9, 3, 1], return_counts=True)[1]
    assert len(counts) == 6
    assert np.sum((counts - 1000) ** 2 / 1000) < 27.9  # chi^2 of 5 degrees: p = 4e-5


# Moments


@pytest.mark.parametrize(("kind", "ratio"), [(DIPVAE1, 10.0), (DIPVAE2, 1.0)])
def test_dip_is_the_formula(kind, ratio):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 3))
    loc, scale = rng.normal(size=(50, 3)) @ mixing, rng.gamma(3, 0.2, size=(50, 3))
    given = codes_given(loc, scale)
    covariance = np.cov(loc, rowvar=False, bias=True)
    if kind is DIPVAE2:
        covariance = covariance + np.diag(np.mean(scale**2, 0))
    off = covariance - np.diag(np.diag(covariance))
    for penalty, r in ((kind(0.7), ratio), (kind(0.7, 3.0), 3.0)):
        expected = 0.7 * (np.sum(off**2) + r * np.sum((np.diag(covariance) - 1) ** 2))
        assert float(penalty.penalty(given.draw(1)[0], given)) == pytest.approx(expected, rel=1e-4)


def test_dip_ii_is_zero_where_the_aggregate_is_standard():
    corners = np.array(list(itertools.product([-0.6, 0.6], repeat=2)))
    given = codes_given(corners, np.full((4, 2), 0.8))  # 0.36 + 0.64 = 1
    z = given.draw(1)[0]
    assert float(DIPVAE2(1.0).penalty(z, given)) == pytest.approx(0, abs=1e-10)
    assert float(DIPVAE1(1.0).penalty(z, given)) == pytest.approx(10 * 2 * 0.64**2, rel=1e-5)


SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def kernel(a, b):
    squared = np.sum((a[:, None] - b[None]) ** 2, -1)
    unit = 2 * a.shape[-1]
    return sum(s * unit / (s * unit + squared) for s in SCALES)


class Recorded:
    """A prior that keeps what it drew."""

    def __init__(self, dims):
        self.inside = normal(tf.zeros([dims]), tf.ones([dims]))

    def sample(self, *args, **kwargs):
        self.drawn = self.inside.sample(*args, **kwargs)
        return self.drawn


def test_mmd_is_the_formula():
    rng, prior = np.random.default_rng(0), Recorded(3)
    loc = rng.normal(1.0, 1.0, size=(20, 3))
    given = codes_given(loc, np.full((20, 3), 0.3), pz=prior)
    z = given.draw(1)[0]
    value = float(MaximumMeanDiscrepancy(4.0).penalty(z, given))
    z, p = z.numpy().astype(float), prior.drawn.numpy().astype(float)
    assert p.shape == (20, 3)
    others = ~np.eye(20, dtype=bool)
    expected = kernel(z, z)[others].mean() + kernel(p, p)[others].mean() - 2 * kernel(z, p).mean()
    assert value == pytest.approx(4 * expected, rel=1e-4)
    assert not np.isin(np.round(p, 4), np.round(z, 4)).any()  # draws of its own


def test_mmd_of_draws_of_the_prior_is_zero_on_average():
    values = []
    mmd = MaximumMeanDiscrepancy(1.0)
    size = 24

    @tf.function
    def one(seed):
        given = codes_given(np.zeros((size, 2)), np.ones((size, 2)), seed)
        return mmd.penalty(given.draw(1)[0], given)

    for seed in range(1500):
        values.append(one(tf.constant([seed, 5])))
    values = np.array(values, float)
    assert_meets(values, 0.0)
    assert (values < 0).any()  # a biased estimate never is


def test_mmd_of_codes_far_away():
    """Nothing is near: what is left is how near the codes are to each other, and the prior."""
    distance, dims = 1e4, 2
    given = codes_given(np.full((400, dims), distance), np.full((400, dims), 1e-3))
    value = float(MaximumMeanDiscrepancy(1.0).penalty(given.draw(1)[0], given))
    # E k(p, p'): |p - p'|^2 / 4 is exponential in two dimensions: E[C / (C + 4 e)], e ~ Exp(1)
    points, weights = np.polynomial.laguerre.laggauss(120)
    prior = sum(weights @ (s * 4 / (s * 4 + 4 * points)) for s in SCALES)
    codes = len(SCALES)
    # 80,000 pairs of 400 draws: an error near 2 std(E[k | p]) / sqrt(400), and std below 0.4
    assert value == pytest.approx(codes + prior, abs=4.5 * 2 * 0.4 / 20)


@pytest.mark.parametrize(
    "build",
    [
        lambda: TotalCorrelation(-1.0, 10),
        lambda: TotalCorrelation(1.0, 1),
        lambda: FactorVAE(1.0, 1),
        lambda: DIPVAE1(1.0, -1.0),
        lambda: MaximumMeanDiscrepancy(1.0, scales=(0.0,)),
        lambda: MaximumMeanDiscrepancy("1"),
        lambda: MaximumMeanDiscrepancy(1.0, scales=()),
    ],
)
def test_refusals(build):
    with pytest.raises(ConfigError, match=r"Received: .*\. [A-Z]"):
        build()


def test_a_penalty_must_be_defined():
    with pytest.raises(ConfigError, match="Override it"):
        Penalty(1.0).penalty(None, None)
    with pytest.raises(ConfigError, match="penalties="):
        Penalty(1.0)(tf.zeros([1, 1]))


@pytest.mark.parametrize(
    "penalty",
    [
        TotalCorrelation(2.0, 40),
        FactorVAE(2.0, LATENT_DIM, (8,)),
        DIPVAE1(2.0),
        DIPVAE2(2.0),
        MaximumMeanDiscrepancy(2.0),
    ],
    ids=lambda penalty: penalty.name,
)
def test_a_penalty_in_a_model(penalty):
    x = (np.random.default_rng(0).random((40, 4, 3, 1)) > 0.5).astype("float32")
    vae = make(penalties=[penalty])
    with tf.GradientTape() as tape:
        terms = vae(x, seed=SEED, training=True)
        kl_term, value = vae.losses
    assert float(kl_term) == pytest.approx(np.mean(terms.kl), rel=1e-5)
    encoder = tape.gradient(value, [w.value for w in vae.encoder.trainable_weights])
    if not isinstance(penalty, FactorVAE):  # whose classifier starts blank
        assert all(np.abs(g).max() > 0 for g in encoder if g is not None)
        assert value != 0
    vae.compile("adam", run_eagerly=True)
    vae.fit(x, batch_size=20, epochs=2, verbose=0)
    logs = vae.evaluate(x, return_dict=True, verbose=0)
    assert logs["regularization"] != 0
    total = logs["nll"] + logs["kl"] + logs["regularization"]
    assert logs["loss"] == pytest.approx(total, rel=1e-5)
