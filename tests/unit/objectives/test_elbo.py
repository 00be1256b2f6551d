import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from vae_tf.objectives import kl_divergence, weighted_mean

tfd = tfp.distributions
RNG = np.random.default_rng(0)
MEAN, LOG_VAR = RNG.normal(size=(2, 7, 5)).astype("float32")


def posterior():
    return tfd.Independent(tfd.Normal(MEAN, np.exp(LOG_VAR / 2)), 1)


def prior():
    return tfd.Independent(tfd.Normal(np.zeros(5, "float32"), np.ones(5, "float32")), 1)


def test_kl_is_kingma_and_wellings_formula():
    # Kingma and Welling 2014, appendix B, in float64 and without TFP
    mean, log_var = MEAN.astype("float64"), LOG_VAR.astype("float64")
    expected = -0.5 * np.sum(1 + log_var - mean**2 - np.exp(log_var), axis=-1)
    np.testing.assert_allclose(kl_divergence(posterior(), prior(), None), expected, rtol=1e-5)


def test_kl_is_within_the_error_of_monte_carlo():
    qz, pz = posterior(), prior()
    z = qz.sample(200_000, seed=[1, 2])
    draws = (qz.log_prob(z) - pz.log_prob(z)).numpy()
    error = draws.std(0) / np.sqrt(len(draws))
    # 7 comparisons: 4.5 standard errors are passed by chance once in 20,000 runs
    assert (np.abs(draws.mean(0) - kl_divergence(qz, pz, None)) < 4.5 * error).all()


def test_kl_without_closed_form_is_the_one_draw_estimate():
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.3, 0.7]),
        tfd.MultivariateNormalDiag([[0.0] * 5, [1.0] * 5], [[1.0] * 5, [2.0] * 5]),
    )
    qz = posterior()
    z = qz.sample(seed=[3, 4])
    entropy = np.sum(0.5 * LOG_VAR + 0.5 * np.log(2 * np.pi * np.e), -1)
    by_hand = -entropy - np.logaddexp(
        np.log(0.3) + tfd.MultivariateNormalDiag(tf.zeros(5)).log_prob(z),
        np.log(0.7) + tfd.MultivariateNormalDiag(tf.ones(5), 2.0 * tf.ones(5)).log_prob(z),
    )
    np.testing.assert_allclose(kl_divergence(qz, mixture, z), by_hand, rtol=1e-5)


def test_weighted_mean():
    values = tf.constant([1.0, 2.0, 6.0])
    assert weighted_mean(values, None) == 3
    assert weighted_mean(values, tf.constant([1.0, 1.0, 0.0])) == 1.5
    assert weighted_mean(values, tf.zeros(3)) == 0
