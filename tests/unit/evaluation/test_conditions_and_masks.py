"""log p(x|c) and log p of observed entries against linear-Gaussian models, which are exact.

x = W z + U c + b + sigma e and z ~ N(V c, I), so p(x|c) = N(b + U c + W V c, W W^T + sigma^2 I),
and entries that were not observed drop out of the mean and the covariance.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import vae_tf
from vae_tf.distributions.priors import Conditional
from vae_tf.errors import ConfigError, DataError
from vae_tf.evaluation import bits_per_dimension, fit_mixture, measure_collapse

D, L, C, SIGMA, N = 5, 2, 3, 0.6, 40
RNG = np.random.default_rng(0)
W, U, V = RNG.normal(size=(D, L)), RNG.normal(size=(D, C)), RNG.normal(size=(L, C))
B, LABELS = RNG.normal(size=D), RNG.integers(0, C, N)
CODES = np.eye(C, dtype="float32")[LABELS]
Z = CODES @ V.T + RNG.normal(size=(N, L))
X = (Z @ W.T + CODES @ U.T + B + SIGMA * RNG.normal(size=(N, D))).astype("float32")
MASK = (RNG.random((N, D)) < 0.6).astype("float32")
MASK[0] = 0.0  # nothing was observed: log p is 0
MEAN, COVARIANCE = B + CODES @ (U + W @ V).T, W @ W.T + SIGMA**2 * np.eye(D)
EXACT = np.array(
    [stats.multivariate_normal.logpdf(x, m, COVARIANCE) for x, m in zip(X, MEAN, strict=True)]
)


def exact_of_observed(mean, mask=MASK):
    """log p of the entries that the mask keeps, [N]."""
    found = np.zeros(len(mask))
    for i, keep in enumerate(mask.astype(bool)):
        if keep.any():
            part = COVARIANCE[np.ix_(keep, keep)]
            found[i] = stats.multivariate_normal.logpdf(X[i, keep], mean[i, keep], part)
    return found


def dense(inputs, kernel, bias):
    layer = keras.layers.Dense(len(bias))
    outputs = layer(inputs)
    layer.set_weights([np.asarray(kernel), np.asarray(bias)])
    return outputs


def proposal(inputs, size, widening=1.3):
    """q(z|x, c): the true posterior where all was observed and the condition is the last input."""
    precision = W.T @ W / SIGMA**2 + np.eye(L)
    covariance = np.linalg.inv(precision)
    to_mean = covariance @ W.T / SIGMA**2
    kernel = np.concatenate([to_mean.T, (covariance @ V - to_mean @ U).T])[:size]
    log_var = np.log(widening * np.diag(covariance))
    return {
        "z_mean": dense(inputs, kernel, -to_mean @ B),
        "z_log_var": dense(inputs, np.zeros((size, L)), log_var),
    }


@pytest.fixture(scope="module")
def conditional():
    """A model of p(x|c), whose prior, encoder and decoder all depend on c."""
    x, c = keras.Input((D,), name="x"), keras.Input((C,), name="condition")
    encoder = keras.Model([x, c], proposal(keras.layers.Concatenate()([x, c]), D + C))
    z, c = keras.Input((L,), name="z"), keras.Input((C,), name="condition")
    loc = dense(keras.layers.Concatenate()([z, c]), np.concatenate([W.T, U.T]), B)
    decoder = keras.Model([z, c], {"loc": loc})
    c = keras.Input((C,), name="condition")
    outputs = {"loc": dense(c, V.T, np.zeros(L)), "log_scale": dense(c, np.zeros((C, L)), [0, 0])}
    prior = Conditional(keras.Model(c, outputs))
    likelihood = vae_tf.likelihoods.Gaussian(SIGMA)
    return vae_tf.VAE(encoder, decoder, prior=prior, likelihood=likelihood)


@pytest.fixture(scope="module")
def incomplete():
    """A model of x without a condition, whose encoder sees what was observed, and guesses wide."""
    x, mask = keras.Input((D,), name="x"), keras.Input((D,), name="mask")
    seen = keras.layers.Multiply()([x, mask])
    outputs = {
        "z_mean": dense(seen, np.zeros((D, L)), np.zeros(L)),
        "z_log_var": dense(seen, np.zeros((D, L)), np.full(L, np.log(1.5))),
    }
    z = keras.Input((L,), name="z")
    decoder = keras.Model(z, {"loc": dense(z, W.T, B)})
    likelihood = vae_tf.likelihoods.Gaussian(SIGMA)
    return vae_tf.VAE(keras.Model([x, mask], outputs), decoder, likelihood=likelihood)


def agree(estimate, exact):
    """Whether each estimate is within its Monte Carlo error, and so their mean."""
    error = np.sqrt(estimate.monte_carlo_variance) + 1e-5
    assert (np.abs(estimate.per_example - exact) < 6 * error).all()
    assert abs(estimate.mean - exact.mean()) < 5 * estimate.monte_carlo_stderr + 1e-5
    assert estimate.monte_carlo_stderr < 0.02


def test_given_the_condition(conditional):
    agree(vae_tf.log_likelihood(conditional, (X, CODES), 2000), EXACT)
    swapped = np.roll(CODES, 1, 1)
    other = vae_tf.log_likelihood(conditional, (X, swapped), 2000)
    mean = B + swapped @ (U + W @ V).T
    exact = [
        stats.multivariate_normal.logpdf(x, m, COVARIANCE) for x, m in zip(X, mean, strict=True)
    ]
    assert abs(other.mean - np.mean(exact)) < 5 * other.monte_carlo_stderr
    assert other.mean < EXACT.mean() - 1


def test_of_observed_entries(incomplete):
    estimate = vae_tf.log_likelihood(incomplete, {"x": X, "mask": MASK}, 5000)
    agree(estimate, exact_of_observed(np.tile(B, (N, 1))))
    assert estimate.per_example[0] == pytest.approx(0, abs=0.1)


def test_what_was_not_observed_has_no_effect(incomplete):
    hidden = np.where(MASK > 0, X, np.nan)
    a, b = (
        vae_tf.log_likelihood(incomplete, {"x": x, "mask": MASK}, 20).per_example
        for x in (X, hidden)
    )
    np.testing.assert_array_equal(a, b)


def test_mask_and_condition_together(conditional):
    """The encoder takes no mask and sees zeros: q is off, and more draws are needed."""
    data = {"x": X, "mask": MASK, "condition": CODES}
    estimate = vae_tf.log_likelihood(conditional, data, 3000)
    exact = exact_of_observed(MEAN)
    # q(z|x) is narrower than the posterior of fewer entries: log of the mean weight stays below
    assert estimate.mean < exact.mean() + 5 * estimate.monte_carlo_stderr
    full = {**data, "mask": np.ones_like(X)}
    agree(vae_tf.log_likelihood(conditional, full, 2000), EXACT)


class Parts(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(14 * index, 14 * (index + 1))
        return {"x": X[rows], "condition": CODES[rows]}


FORMS = {
    "tuple": lambda: (X, CODES),
    "weights count nothing": lambda: (X, CODES, np.arange(N)),
    "dict": lambda: {"x": X, "condition": CODES},
    "float64": lambda: (X.astype("float64"), CODES.astype("float64")),
    "tensors": lambda: (tf.constant(X), tf.constant(CODES)),
    "data set": lambda: tf.data.Dataset.from_tensor_slices((X, CODES)).batch(11),
    "generator": lambda: ((X[i : i + 9], CODES[i : i + 9]) for i in range(0, N, 9)),
    "PyDataset": Parts,
}


@pytest.fixture(scope="module")
def expected(conditional):
    return vae_tf.log_likelihood(conditional, (X, CODES), 5).per_example


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_numbers(conditional, expected, form):
    found = vae_tf.log_likelihood(conditional, FORMS[form](), 5)
    np.testing.assert_allclose(found.per_example, expected, rtol=1e-5)


def test_a_file_of_another_condition_or_mask_is_refused(conditional, tmp_path):
    path = tmp_path / "done.npz"
    first = vae_tf.log_likelihood(conditional, (X, CODES), 5, checkpoint=path)
    again = vae_tf.log_likelihood(conditional, (X, CODES), 5, checkpoint=path)
    np.testing.assert_array_equal(first.per_example, again.per_example)
    masked = {"x": X, "condition": CODES, "mask": np.ones_like(X)}
    for other in ((X, np.roll(CODES, 1, 1)), masked):
        with pytest.raises(vae_tf.errors.RunError, match="other data in batch 0"):
            vae_tf.log_likelihood(conditional, other, 5, checkpoint=path)
    sharper = conditional.replace(likelihood=vae_tf.likelihoods.Gaussian(SIGMA / 2))
    with pytest.raises(vae_tf.errors.RunError, match="other weights or settings"):
        vae_tf.log_likelihood(sharper, (X, CODES), 5, checkpoint=path)


def test_refusals(conditional, incomplete):
    with pytest.raises(DataError, match="must have a condition"):
        vae_tf.log_likelihood(conditional, X, 5)
    with pytest.raises(DataError, match="must hold examples"):
        vae_tf.log_likelihood(conditional, iter(()), 5)
    whole = vae_tf.VAE(
        incomplete.encoder, incomplete.decoder, likelihood=_Whole(SIGMA), prior=incomplete.prior
    )
    with pytest.raises(ConfigError, match="must tell log p of each element"):
        vae_tf.log_likelihood(whole, {"x": X, "mask": MASK}, 5)


class _Whole(vae_tf.likelihoods.Gaussian):
    def elements(self, params, x):
        return None


def test_collapse_of_a_conditional_model(conditional):
    result = measure_collapse(conditional, (X, CODES), num_samples=50)
    qz = conditional.encode((X, CODES))
    mean, variance = qz.mean().numpy(), qz.variance().numpy()
    exact = (variance + (mean - CODES @ V.T) ** 2 - 1 - np.log(variance)).mean(0) / 2
    np.testing.assert_allclose(result.kl, exact, rtol=1e-4)
    np.testing.assert_allclose(result.kl_by_group, [exact.sum()], rtol=1e-4)
    images = mean @ W.T + CODES @ U.T + B
    assert result.sensitivity == pytest.approx(images.var(0).sum() / X.var(0).sum(), rel=1e-4)


def test_collapse_counts_what_was_observed(incomplete):
    hidden = np.where(MASK > 0, X, np.nan)
    result = measure_collapse(incomplete, {"x": hidden, "mask": MASK})
    assert result.sensitivity == pytest.approx(0, abs=1e-10)  # its encoder tells nothing
    images = np.random.default_rng(1).normal(size=(N, D)).astype("float32")
    from vae_tf.evaluation.collapse import _Variance

    both = _Variance(), _Variance()
    for start in range(0, N, 7):
        rows = slice(start, start + 7)
        both[0].add(images[rows], MASK[rows])
        both[1].add(X[rows], MASK[rows])
    expected = [
        np.nanvar(np.where(MASK > 0, v.astype("float64"), np.nan), 0).sum() for v in (images, X)
    ]
    np.testing.assert_allclose([v.total for v in both], expected, rtol=1e-10)


def test_mixtures_of_a_conditional_model(conditional):
    mixture = fit_mixture(conditional, (X, CODES), 1).mixture()
    qz = conditional.encode((X, CODES))
    spread = np.sqrt(qz.mean().numpy().var(0) + qz.variance().numpy().mean(0))
    error = 5 * qz.stddev().numpy().max() / np.sqrt(N)
    np.testing.assert_allclose(mixture["loc"][0], qz.mean().numpy().mean(0), atol=error)
    np.testing.assert_allclose(mixture["scale"][0], spread, rtol=0.4)


def test_bits_of_what_was_observed():
    """A coin of each entry, the first ones known: a bit for each number that was seen."""
    x, z = keras.Input((D,), name="x"), keras.Input((L,), name="z")
    heads = {name: dense(x, np.zeros((D, L)), np.zeros(L)) for name in ("z_mean", "z_log_var")}
    decoder = keras.Model(z, {"logits": dense(z, np.zeros((L, D)), np.zeros(D))})
    vae = vae_tf.VAE(keras.Model(x, heads), decoder)
    coins = (X > 0).astype("float32")
    bits = bits_per_dimension(vae, {"x": coins, "mask": MASK}, 2)
    assert bits.value == pytest.approx(1, abs=1e-5)
    assert bits.stderr == pytest.approx(0, abs=1e-5)
    biased = dense(z, np.zeros((L, D)), np.full(D, 2.0))
    vae = vae_tf.VAE(vae.encoder, keras.Model(z, {"logits": biased}))
    bits = bits_per_dimension(vae, {"x": coins, "mask": MASK}, 2)
    nll = np.sum(MASK * (np.logaddexp(0, 2.0) - 2 * coins), 1) / np.log(2)
    assert bits.value == pytest.approx(nll.sum() / MASK.sum(), rel=1e-5)
    # the error of a ratio, by the bootstrap
    rows = np.random.default_rng(0).integers(0, N, (4000, N))
    spread = (nll[rows].sum(1) / MASK.sum(1)[rows].sum(1)).std()
    assert bits.stderr == pytest.approx(spread, rel=0.15)
