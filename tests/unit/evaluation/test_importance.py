"""The bound and the importance-weighted estimate against probabilistic PCA, which is exact.

x = W z + b + sigma e, z ~ N(0, I): p(x) = N(b, W W^T + sigma^2 I) and, for W with orthogonal
columns, p(z|x) is a diagonal Gaussian (Tipping and Bishop 1999, equations 7 to 9).
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import vae_tf
from vae_tf.errors import ConfigError, DataError
from vae_tf.networks import mlp_decoder, mlp_encoder

D, L, SIGMA = 6, 2, 0.5
RNG = np.random.default_rng(0)
W = np.linalg.qr(RNG.normal(size=(D, L)))[0] * np.array([1.5, 0.7])
B = RNG.normal(size=D)
X = (RNG.normal(size=(50, L)) @ W.T + B + SIGMA * RNG.normal(size=(50, D))).astype("float32")
EXACT = stats.multivariate_normal.logpdf(X, B, W @ W.T + SIGMA**2 * np.eye(D))


def ppca(widening=1.0, shift=0.0):
    """The VAE whose posterior is the true one, or wider (in variance), or shifted."""
    precision = np.diag(W.T @ W) / SIGMA**2 + 1
    to_mean = W / SIGMA**2 / precision
    i = keras.Input((D,))
    mean, log_var = keras.layers.Dense(L), keras.layers.Dense(L)
    encoder = keras.Model(i, {"z_mean": mean(i), "z_log_var": log_var(i)})
    mean.set_weights([to_mean, -B @ to_mean + shift])
    log_var.set_weights([np.zeros((D, L)), np.log(widening / precision)])
    j = keras.Input((L,))
    decoder = keras.Model(j, {"loc": keras.layers.Dense(D)(j)})
    decoder.layers[1].set_weights([W.T, B])
    vae = vae_tf.VAE(encoder, decoder, likelihood=vae_tf.likelihoods.Gaussian(SIGMA))
    vae.compile()
    return vae


@pytest.mark.parametrize("num_samples", [1, 7])
def test_any_number_of_samples_is_exact_at_the_true_posterior(num_samples):
    # every importance weight is p(x) itself
    estimate = vae_tf.log_likelihood(ppca(), X, num_samples)
    np.testing.assert_allclose(estimate.per_example, EXACT, rtol=1e-4)
    assert estimate.nll == pytest.approx(-EXACT.mean(), rel=1e-5)
    error = estimate.monte_carlo_stderr
    assert np.isnan(error) if num_samples == 1 else error < 1e-3  # one draw tells no spread


def test_the_elbo_is_tight_at_the_true_posterior_and_below_elsewhere():
    repeated = np.repeat(X, 400, axis=0)
    logs = ppca().evaluate(repeated, batch_size=4000, return_dict=True, verbose=0)
    # nll alone is random given the closed-form KL; its spread over draws is below 4 nats
    assert logs["elbo"] == pytest.approx(EXACT.mean(), abs=5 * 4 / np.sqrt(len(repeated)))
    wide = ppca(2.0).evaluate(repeated, batch_size=4000, return_dict=True, verbose=0)
    # KL(q || p(z|x)) for a diagonal Gaussian of twice the variance: L (1 - log 2) / 2
    gap = L * (2 - 1 - np.log(2)) / 2
    assert wide["elbo"] == pytest.approx(EXACT.mean() - gap, abs=5 * 4 / np.sqrt(len(repeated)))


def test_effective_samples_are_those_of_the_widened_posterior():
    # of p = N(0, 1) and q = N(0, v): E_q[w]^2 / E_q[w^2] = sqrt(2 v - 1) / v in each latent
    draws = 4000
    found = vae_tf.log_likelihood(ppca(2.0), X, draws).effective_samples / draws
    assert found.shape == (len(X),)
    exact = (np.sqrt(3) / 2) ** L
    assert found.mean() == pytest.approx(exact, abs=5 * found.std() / np.sqrt(len(X)))
    assert found.std() < 0.05  # so that the line above means something
    exact_posterior = vae_tf.log_likelihood(ppca(), X, 100).effective_samples
    np.testing.assert_allclose(exact_posterior, 100, rtol=1e-3)
    assert np.all(np.isnan(vae_tf.log_likelihood(ppca(), X, 1).effective_samples))


@pytest.mark.parametrize("kwargs", [{"widening": 2.0}, {"shift": 0.3}], ids=str)
def test_converges_to_the_exact_value_within_its_own_error(kwargs):
    vae = ppca(**kwargs)
    estimate = vae_tf.log_likelihood(vae, X, 4000)
    assert 0 < estimate.monte_carlo_stderr < 0.01
    assert abs(estimate.mean - EXACT.mean()) < 5 * estimate.monte_carlo_stderr
    # the error claimed is the error seen, over other draws
    others = vae_tf.log_likelihood(vae, np.tile(X, (20, 1)), 200)
    spread = np.std(others.per_example.reshape(20, -1).mean(1), ddof=1)
    claimed = others.monte_carlo_stderr * np.sqrt(20)
    assert 0.6 < spread / claimed < 1.5  # a chi of 19 degrees is within with 99.8 %


def test_rises_with_the_number_of_samples():
    vae = ppca(widening=4.0, shift=0.5)
    bounds = [vae_tf.log_likelihood(vae, X, k).mean for k in (1, 5, 25)]
    assert bounds == sorted(bounds)


def test_bernoulli_against_quadrature():
    """One latent dimension: log p(x) by the trapezoid rule on a fine grid."""
    shape = (3, 2, 1)
    encoder = mlp_encoder(shape, 1, (8,), seed=3)
    decoder = mlp_decoder(1, {"logits": shape}, (8,), activation="tanh", seed=4)
    vae = vae_tf.VAE(encoder, decoder)
    x = (np.random.default_rng(1).random((20, *shape)) > 0.5).astype("float32")
    grid = np.linspace(-9, 9, 4001)
    logits = decoder(grid[:, None].astype("float32"))["logits"].numpy().astype("float64")
    log_px = np.sum(x[:, None] * logits - np.logaddexp(0, logits), axis=(2, 3, 4))
    exact = np.log(np.trapezoid(np.exp(log_px) * stats.norm.pdf(grid), grid, axis=1))
    estimate = vae_tf.log_likelihood(vae, x, 3000)
    assert abs(estimate.mean - exact.mean()) < 5 * estimate.monte_carlo_stderr


def test_standard_error_is_over_the_examples():
    estimate = vae_tf.log_likelihood(ppca(), X, 1)
    assert estimate.stderr == pytest.approx(EXACT.std(ddof=1) / np.sqrt(len(X)), rel=1e-3)


def test_data_come_in_any_batches_and_repeat_themselves():
    vae = ppca(2.0)
    dataset = tf.data.Dataset.from_tensor_slices((X, np.zeros(len(X)))).batch(50)
    whole = vae_tf.log_likelihood(vae, dataset, 20).per_example
    np.testing.assert_array_equal(whole, vae_tf.log_likelihood(vae, X, 20).per_example)
    done = []
    vae_tf.log_likelihood(vae, X, 3, batch_size=20, progress=done.append)
    assert done == [20, 40, 50]


def test_many_samples_are_taken_in_chunks(monkeypatch):
    from vae_tf.evaluation import weights as module

    vae = ppca(2.0)
    monkeypatch.setattr(module, "MOST_ROWS", 130)  # 8 chunks for each example
    estimate = vae_tf.log_likelihood(vae, X, 1001)
    assert abs(estimate.mean - EXACT.mean()) < 5 * estimate.monte_carlo_stderr


def test_refusals():
    vae = ppca()
    for bad in (0, 1.5, "5"):
        with pytest.raises(ConfigError, match="`num_samples` must be a whole number of at least"):
            vae_tf.log_likelihood(vae, X, bad)
    with pytest.raises(ConfigError, match="`vae` must be an instance of VAE"):
        vae_tf.log_likelihood(vae.encoder, X, 5)
    with pytest.raises(DataError, match="must hold examples"):
        vae_tf.log_likelihood(vae, X[:0], 1)
    with pytest.raises(DataError, match=r"must be \[B, 6\]"):
        vae_tf.log_likelihood(vae, X[:, :5], 1)
    shape = (3, 2, 1)
    bernoulli = vae_tf.VAE(mlp_encoder(shape, 1, (8,)), mlp_decoder(1, {"logits": shape}, (8,)))
    with pytest.raises(DataError, match="defined for 0 and 1 alone"):
        vae_tf.log_likelihood(bernoulli, np.full((2, *shape), 0.5), 1)
