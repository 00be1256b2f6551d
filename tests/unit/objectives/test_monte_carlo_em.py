"""Monte Carlo EM on a linear-Gaussian model, whose posterior and likelihood are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import vae_tf
from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError
from vae_tf.objectives import MonteCarloEM

W = np.array([[1.2, -0.3, 0.5], [0.4, 0.8, -0.6]], "float32")  # x ~ N(z W + BIAS, S^2 I)
BIAS, S = np.array([0.3, -0.2, 0.1], "float32"), 0.7
COVARIANCE = np.linalg.inv(np.eye(2) + W @ W.T / S**2)  # of p(z|x)


def linear_gaussian(objective):
    i, j = keras.Input((3,)), keras.Input((2,))
    log_var = keras.layers.Dense(2, kernel_initializer="zeros")
    encoder = keras.Model(i, {"z_mean": keras.layers.Dense(2)(i), "z_log_var": log_var(i)})
    decoder = keras.Model(j, {"loc": keras.layers.Dense(3)(j)})
    decoder.set_weights([W, BIAS])
    likelihood = vae_tf.likelihoods.Gaussian(S)
    return vae_tf.VAE(encoder, decoder, likelihood=likelihood, objective=objective)


def data(n):
    z, noise = np.split(np.random.default_rng(0).normal(size=(n, 5)), [2], 1)
    return (z @ W + BIAS + S * noise).astype("float32")


def posterior_mean(x):
    return (x - BIAS) @ W.T / S**2 @ COVARIANCE


@pytest.mark.slow
def test_chains_draw_from_the_posterior_and_accept_as_told():
    objective = MonteCarloEM(burn_in=12, acceptance=0.9)
    vae, n = linear_gaussian(objective), 4000
    x = data(n)
    drawn = tf.function(
        lambda start: objective.posterior_draws(vae, Batch(tf.constant(x)), start), autograph=False
    )
    for _ in range(60):
        z, accepted = drawn(tf.zeros([n, 2]))
        objective.adapt(tf.reduce_mean(accepted))
    assert np.mean(accepted) == pytest.approx(0.9, abs=0.02)
    assert objective.log_step_size.numpy() > np.log(0.2)
    left = z[0].numpy() - posterior_mean(x)
    error = np.sqrt(np.diag(COVARIANCE) / n)
    np.testing.assert_array_less(np.abs(left.mean(0)), 5 * error)
    products = left[:, :, None] * left[:, None, :]
    error = products.std(0) / np.sqrt(n)
    np.testing.assert_array_less(np.abs(products.mean(0) - COVARIANCE), 5 * error)


def test_the_m_step_follows_the_likelihood_itself():
    """Fisher's identity: E over p(z|x) of the gradient of log p(x, z) is that of log p(x)."""
    objective = MonteCarloEM(burn_in=12, step_size=0.4)
    vae, x = linear_gaussian(objective), tf.constant(data(500) + 0.5)
    step = tf.function(lambda: vae.objective.step(vae, Batch(x))[1][-2:], autograph=False)
    assert [w.shape for w in vae.trainable_weights[-2:]] == [(2, 3), (3,)]
    found = [[part.numpy() for part in step()] for _ in range(40)]
    w, bias = tf.constant(W), tf.constant(BIAS)
    with tf.GradientTape() as tape:
        tape.watch([w, bias])
        covariance = tf.matmul(w, w, transpose_a=True) + S**2 * tf.eye(3)
        px = tfd.MultivariateNormalTriL(bias, tf.linalg.cholesky(covariance))
        loss = -tf.reduce_mean(px.log_prob(x))
    for draws, exact in zip(zip(*found, strict=True), tape.gradient(loss, [w, bias]), strict=True):
        error = np.std(draws, 0) / np.sqrt(len(draws))
        np.testing.assert_array_less(np.abs(np.mean(draws, 0) - exact), 5 * error)


@pytest.mark.slow
def test_the_encoder_learns_the_posteriors_moments():
    """Draws of p(z|x) teach q its mean and its variances, which the ELBO would make too small."""
    vae = linear_gaussian(MonteCarloEM(burn_in=3, step_size=0.4))
    vae.decoder.trainable = False
    vae.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 400)))
    x = data(2000)
    vae.fit(x, epochs=20, batch_size=100, verbose=0)
    q = vae.encode(x)
    np.testing.assert_allclose(q.mean(), posterior_mean(x), atol=0.1)
    np.testing.assert_allclose(q.variance()[0], np.diag(COVARIANCE), rtol=0.1)
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["bound"] == pytest.approx(logs["elbo"])
    covariance = W.T @ W + S**2 * np.eye(3)
    log_px = tfd.MultivariateNormalFullCovariance(BIAS, covariance.astype("float32")).log_prob(x)
    estimate = vae_tf.log_likelihood(vae, x[:200], num_samples=500)
    exact = np.mean(log_px[:200])
    assert estimate.mean == pytest.approx(exact, abs=5 * estimate.monte_carlo_stderr + 1e-3)


@pytest.mark.parametrize("wrong", [{"acceptance": 1.0}, {"burn_in": -1}, {"leapfrog_steps": 0}])
def test_settings_of_no_use_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MonteCarloEM(**wrong)
