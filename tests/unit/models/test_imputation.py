"""Imputation against linear-Gaussian models, whose conditionals are exact.

x = W z + b + sigma e with z ~ N(0, I), so x ~ N(b, W W^T + sigma^2 I): the missing entries given
the observed ones are normal, with the mean and covariance of textbooks.
"""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import vae_tf
from vae_tf.errors import ConfigError, DataError
from vae_tf.models.imputation import effective_sample_size, resampled

D, L, SIGMA, N = 6, 2, 0.5, 300
RNG = np.random.default_rng(0)
W, B = RNG.normal(size=(D, L)), RNG.normal(size=D)
COVARIANCE = W @ W.T + SIGMA**2 * np.eye(D)
X = (RNG.normal(size=(N, L)) @ W.T + B + SIGMA * RNG.normal(size=(N, D))).astype("float32")
SHARES = (0.1, 0.3, 0.5)
MASKS = {share: RNG.random((N, D)) >= share for share in SHARES}
K, M = 1000, 200


@keras.saving.register_keras_serializable("tests")
class Guess(keras.layers.Layer):
    """z_mean and z_log_var near those of p(z|x_observed), without correlations, and wider."""

    def call(self, x, mask):
        w = tf.constant(W / SIGMA, tf.float32)
        precision = tf.eye(L) + tf.einsum("bd,dk,dl->bkl", mask, w, w)
        covariance = tf.linalg.inv(precision)
        residual = mask * (x - tf.constant(B, tf.float32)) / SIGMA
        mean = tf.linalg.matvec(covariance, tf.linalg.matmul(residual, w))
        log_var = tf.math.log(1.5 * tf.linalg.diag_part(covariance))
        return {"z_mean": mean, "z_log_var": log_var}


@pytest.fixture(scope="module")
def vae():
    x, mask = keras.Input((D,), name="x"), keras.Input((D,), name="mask")
    z = keras.Input((L,), name="z")
    layer = keras.layers.Dense(D)
    decoder = keras.Model(z, {"loc": layer(z)})
    layer.set_weights([W.T, B])
    encoder = keras.Model([x, mask], Guess()(x, mask))
    return vae_tf.VAE(encoder, decoder, likelihood=vae_tf.likelihoods.Gaussian(SIGMA))


def conditional(x, keep):
    """Mean and covariance of all entries given those that `keep` says, of one example."""
    cross, known = COVARIANCE[:, keep], COVARIANCE[np.ix_(keep, keep)]
    gain = np.linalg.solve(known, cross.T).T if keep.any() else np.zeros((D, 0))
    return B + gain @ (x[keep] - B[keep]), COVARIANCE - gain @ cross.T


def exact(mask):
    """Means and standard deviations of the missing entries; observed ones as they are, and 0."""
    pairs = [conditional(x, keep) for x, keep in zip(X.astype("float64"), mask, strict=True)]
    mean = np.where(mask, X, [mean for mean, _ in pairs])
    spread = [np.sqrt(np.maximum(np.diag(covariance), 0)) for _, covariance in pairs]
    return mean, np.where(mask, 0, spread)


@pytest.fixture(scope="module", params=SHARES, ids=lambda share: f"{share:.0%} missing")
def case(request, vae):
    mask = MASKS[request.param]
    return mask, vae.impute(X, mask, K, num_imputations=M)


def test_what_was_observed_comes_back(case):
    mask, found = case
    np.testing.assert_array_equal(found.x[mask], X[mask])
    np.testing.assert_array_equal(found.draws[:, mask], np.broadcast_to(X[mask], (M, mask.sum())))
    np.testing.assert_array_equal(found.mask, mask)
    assert all((end[mask] == X[mask]).all() for end in found.interval())


def test_single_imputation_is_the_conditional_mean(case):
    mask, found = case
    mean, spread = exact(mask)
    # The spread of E[x|z] is what is left of that of x without the noise
    explained = np.sqrt(np.maximum(spread**2 - SIGMA**2, 1e-12))
    error = explained / np.sqrt(found.effective_sample_size)[:, None]
    z = ((found.x - mean) / error)[~mask]
    assert np.abs(z).max() < 6
    assert 0.7 < z.std() < 1.3  # neither better nor worse than the error that is told
    assert abs(z.mean()) < 5 / np.sqrt(N)


def test_draws_are_of_the_conditional_distribution(case):
    mask, found = case
    mean, spread = exact(mask)
    u = stats.norm.cdf((found.draws - mean)[:, ~mask] / spread[~mask])  # [M, missing]
    # Choosing M of K draws, with the sampling error of the K themselves
    draws = 1 / (1 / M + 1 / np.median(found.effective_sample_size))
    of_each = np.abs(u.mean(0) - 0.5) * np.sqrt(12 * draws)
    assert of_each.max() < 6
    assert 0.75 < np.sqrt(np.mean(of_each**2)) < 1.25
    assert u.var() == pytest.approx(1 / 12, rel=0.03)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_have_their_nominal_coverage(case, level):
    mask, found = case
    low, high = found.interval(level)
    inside = ((low <= X) & (high >= X))[~mask]
    # Entries of one example share its z: their errors add up within the example at worst
    error = np.sqrt(level * (1 - level) / len(inside)) * np.sqrt((~mask).sum(1).max())
    assert abs(inside.mean() - level) < 3 * error + 1 / M
    _, spread = exact(mask)
    half = stats.norm.ppf((1 + level) / 2) * spread[~mask]
    width = ((high - low)[~mask] / (2 * half)).mean()
    assert width == pytest.approx(1, abs=0.04)


def test_gibbs_agrees_where_the_encoder_is_exact():
    """One latent, whose posterior the encoder knows: then the chains are of x itself."""
    w, x = W[:, :1], X[:100]
    precision = 1 + (w**2).sum() / SIGMA**2
    image, z = keras.Input((D,), name="x"), keras.Input((1,), name="z")
    layers = [keras.layers.Dense(n) for n in (1, 1, D)]
    heads = {"z_mean": layers[0](image), "z_log_var": layers[1](image)}
    decoder = keras.Model(z, {"loc": layers[2](z)})
    gain = w / SIGMA**2 / precision
    layers[0].set_weights([gain, -B @ gain])
    layers[1].set_weights([np.zeros((D, 1)), np.array([-np.log(precision)])])
    layers[2].set_weights([w.T, B])
    likelihood = vae_tf.likelihoods.Gaussian(SIGMA)
    vae = vae_tf.VAE(keras.Model(image, heads), decoder, likelihood=likelihood)
    mask = MASKS[0.3][:100]
    found = vae.impute(x, mask, 40, num_imputations=300, method="gibbs")
    covariance = w @ w.T + SIGMA**2 * np.eye(D)
    z_scores, u = [], []
    for i in np.flatnonzero(mask.any(1) & ~mask.all(1)):
        keep = mask[i]
        gain = covariance[np.ix_(~keep, keep)] @ np.linalg.inv(covariance[np.ix_(keep, keep)])
        mean = B[~keep] + gain @ (x[i, keep] - B[keep])
        spread = np.sqrt(
            np.diag(covariance[np.ix_(~keep, ~keep)] - gain @ covariance[keep][:, ~keep])
        )
        z_scores += list((found.draws[:, i][:, ~keep].mean(0) - mean) / spread * np.sqrt(300))
        u.append(stats.norm.cdf((found.draws[:, i][:, ~keep] - mean) / spread).ravel())
        # many rounds of 300 chains: closer than the last draws of each
        assert np.abs(found.x[i, ~keep] - mean).max() < 0.25 * spread.max()
    assert np.abs(z_scores).max() < 5
    assert np.std(z_scores) == pytest.approx(1, abs=0.2)
    assert np.concatenate(u).var() == pytest.approx(1 / 12, rel=0.05)
    assert np.isnan(found.effective_sample_size).all()


def test_nothing_observed_is_the_prior(vae):
    found = vae.impute(X[:40], np.zeros((40, D)), K, num_imputations=M)
    error = np.sqrt(np.diag(W @ W.T) / found.effective_sample_size.mean() / 40)
    assert (np.abs(found.x.mean(0) - B) < 5 * error).all()
    assert found.draws.std((0, 1)) == pytest.approx(np.sqrt(np.diag(COVARIANCE)), rel=0.15)


@pytest.mark.parametrize("method", ["importance", "gibbs"])
def test_draws_belong_to_the_example(vae, method):
    mask = MASKS[0.3][:23]
    first, *others = (
        vae.impute(X[:23], mask, 50, num_imputations=3, method=method, batch_size=size)
        for size in (23, 7, 1)
    )
    for other in others:
        np.testing.assert_allclose(other.x, first.x, atol=1e-4)
        np.testing.assert_allclose(other.draws, first.draws, atol=1e-4)
    another = vae.impute(X[:23], mask, 50, num_imputations=3, method=method, seed=1)
    assert np.abs(another.draws - first.draws)[:, ~mask].mean() > 0.1


def test_many_draws_of_one_example_are_joined(vae, monkeypatch):
    """Chunks of some draws of one example, where they do not fit, say the same."""
    mask = MASKS[0.3][:9]
    want = vae.impute(X[:9], mask, 100, num_imputations=3)
    surprise = vae.surprisal(X[:9], mask, 100)
    monkeypatch.setattr("vae_tf.models.weighing.MOST_ROWS", 17)
    found = vae.impute(X[:9], mask, 100, num_imputations=3)
    np.testing.assert_allclose(found.x, want.x, atol=1e-4)
    np.testing.assert_allclose(found.draws, want.draws, atol=1e-4)
    np.testing.assert_allclose(found.effective_sample_size, want.effective_sample_size, rtol=1e-4)
    np.testing.assert_allclose(vae.surprisal(X[:9], mask, 100), surprise, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, 0.0, 1e30, -np.inf, 1e300])
def test_what_was_not_observed_has_no_effect(vae, value):
    mask = MASKS[0.3][:20]
    x = np.where(mask, X[:20].astype("float64"), value)
    for method in ("importance", "gibbs"):
        want, found = (
            vae.impute(given, mask, 40, num_imputations=2, method=method) for given in (X[:20], x)
        )
        np.testing.assert_array_equal(found.draws.astype("float32"), want.draws)
        np.testing.assert_array_equal(found.x.astype("float32"), want.x)
    np.testing.assert_array_equal(vae.surprisal(x, mask, 20), vae.surprisal(X[:20], mask, 20))


def test_every_form_says_the_same(vae):
    mask = MASKS[0.3][:20]
    gaps, want = np.where(mask, X[:20], np.nan), vae.impute(X[:20], mask, 40)
    stream = tf.data.Dataset.from_tensor_slices(gaps).batch(6)
    forms = [
        gaps,
        tf.constant(gaps),
        {"x": X[:20], "mask": mask},
        stream,
        stream.map(vae_tf.data.with_mask),
        gaps.astype("float64"),
    ]
    for form in forms:
        np.testing.assert_allclose(vae.impute(form, num_samples=40).x, want.x, atol=1e-4)
    assert vae.impute(gaps.astype("float64"), num_samples=40).x.dtype == "float64"


def test_surprisal_is_that_of_the_posterior_predictive(vae):
    mask = MASKS[0.3]
    found = vae.surprisal(X, mask, 4000)
    exact_values = np.full((N, D), np.nan)
    for i, keep in enumerate(mask):
        w = W[keep] / SIGMA
        covariance = np.linalg.inv(np.eye(L) + w.T @ w)
        mean = B + W @ covariance @ w.T @ ((X[i, keep] - B[keep]) / SIGMA)
        spread = np.sqrt(np.diag(W @ covariance @ W.T) + SIGMA**2)
        exact_values[i, keep] = -stats.norm.logpdf(X[i], mean, spread)[keep]
    np.testing.assert_array_equal(np.isnan(found), ~mask)
    np.testing.assert_allclose(found[mask], exact_values[mask], rtol=0.03, atol=0.03)
    odd = X[:50].copy()
    odd[:, 2] += 5.0
    assert (vae.surprisal(odd, num_samples=200).argmax(1) == 2).mean() > 0.8


def test_few_effective_draws_are_told(vae):
    narrow = vae.replace(likelihood=vae_tf.likelihoods.Gaussian(SIGMA / 30))
    with pytest.warns(UserWarning, match=r"rest on fewer than 10 of 50 draws, the worst on"):
        narrow.impute(X[:20], MASKS[0.3][:20], 50)


def test_weights_and_choices():
    rng = np.random.default_rng(1)
    log_w = rng.normal(size=(5, 3)).astype("float32") + 1000
    w = np.exp(log_w - 1000.0)
    np.testing.assert_allclose(effective_sample_size(log_w), w.sum(0) ** 2 / (w**2).sum(0), 1e-3)
    chosen = resampled(log_w, 20_000, tf.constant([0, 0]), 0)
    for column in range(3):
        shares = np.bincount(chosen[:, column], minlength=5) / 20_000
        p = w[:, column] / w[:, column].sum()
        assert (np.abs(shares - p) < 5 * np.sqrt(p * (1 - p) / 20_000)).all()


def test_refusals(vae):
    x, mask = X[:5], MASKS[0.3][:5]
    with pytest.raises(DataError, match="`mask` must broadcast to x"):
        vae.impute(x, mask[:, :4])
    with pytest.raises(DataError, match="`mask` must hold 0 and 1 alone"):
        vae.impute(x, mask * 255)
    with pytest.raises(DataError, match="`mask` must broadcast to x"):
        vae.impute(x, mask[:3])
    with pytest.raises(DataError, match=r"stream .* must hold all fields"):
        vae.impute(iter([x]), mask)
    with pytest.raises(DataError, match="must hold examples"):
        vae.impute(iter(()))
    with pytest.raises(ConfigError, match="importance or gibbs"):
        vae.impute(x, mask, method="mean")
    with pytest.raises(ConfigError, match="Intervals need draws"):
        vae.impute(x, mask, 20).interval()
    with pytest.raises(ConfigError, match="`level` must be below 1"):
        vae.impute(x, mask, 20, num_imputations=3).interval(95)
    z, seen = keras.Input((L,), name="z"), keras.Input((D,), name="x")
    loc = keras.layers.Dense(D)(keras.layers.Concatenate()([z, seen]))
    sees = vae_tf.VAE(vae.encoder, keras.Model([z, seen], {"loc": loc}), likelihood=vae.likelihood)
    with pytest.raises(ConfigError, match="decoder that does not see x"):
        sees.impute(x, mask)


def test_a_complete_example_is_left_alone(vae):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = vae.impute(X[:5], num_samples=20)
    np.testing.assert_array_equal(found.x, X[:5])


@pytest.mark.slow
def test_tables_of_several_kinds_under_a_condition():
    """Categories come back as classes, in the odds that the decoder says."""
    mixed = vae_tf.likelihoods.Mixed(
        [(vae_tf.likelihoods.Gaussian(2.0), 1), (vae_tf.likelihoods.Categorical(3), 2)]
    )
    encoder = vae_tf.networks.mlp_encoder((3,), L, (8,), mask=True, condition=2)
    decoder = vae_tf.networks.mlp_decoder(L, mixed.parameter_shapes((3,)), (8,), condition=2)
    vae = vae_tf.VAE(encoder, decoder, likelihood=mixed)
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(9, 1)), rng.integers(0, 3, (9, 2))], 1)
    labels, mask = np.arange(9) % 2, rng.random((9, 3)) < 0.4
    mask[:2] = False
    for method, draws in (("gibbs", 5), ("importance", 2000)):
        found, apart = (
            vae.impute(
                (x, labels), mask, draws, num_imputations=400, method=method, batch_size=size
            )
            for size in (9, 4)
        )
        np.testing.assert_array_equal(found.draws[:, mask], np.tile(x[mask], (400, 1)))
        assert set(np.unique(found.draws[..., 1:])) <= {0, 1, 2}
        np.testing.assert_allclose(found.draws, apart.draws, atol=1e-4)
        if method == "gibbs":
            continue
        # Of a row without anything: the prior's
        z = vae.prior.distribution().sample(4000, seed=[0, 0])
        params = vae.decoder({"z": z, "condition": tf.constant([[1.0, 0.0]] * 4000)})
        odds = mixed.statistics(params)["1_probabilities"].numpy().mean(0)
        shares = np.stack([(found.draws[:, 0, 1:] == k).mean(0) for k in range(3)], -1)
        draws = 1 / (1 / 400 + 1 / found.effective_sample_size[0])
        assert np.abs(shares - odds).max() < 5 * np.sqrt(0.25 / draws)
        assert (found.x[0, 1:] == odds.argmax(-1)).all()
    assert vae.surprisal((x, labels), mask, 20).shape == (9, 3)
