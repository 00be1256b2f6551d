"""Wake-sleep on a linear-Gaussian model, whose two gradients are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_tf
from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError
from vae_tf.objectives import WakeSleep

A, B, W, S = 0.3, -0.4, 1.2, 0.7  # z_mean = A x, z_log_var = B; x ~ N(W z, S^2)


def linear_gaussian(**kwargs):
    i, j = keras.Input((1,)), keras.Input((1,))
    mean, loc = (keras.layers.Dense(1, use_bias=False) for _ in range(2))
    log_var = keras.layers.Dense(1, kernel_initializer="zeros")
    encoder = keras.Model(i, {"z_mean": mean(i), "z_log_var": log_var(i)})
    decoder = keras.Model(j, {"loc": loc(j)})
    log_var.kernel.trainable = False
    for variable, value in ((mean.kernel, [[A]]), (log_var.bias, [B]), (loc.kernel, [[W]])):
        variable.assign(value)
    likelihood = vae_tf.likelihoods.Gaussian(S)
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood, **kwargs)
    vae.compile(keras.optimizers.SGD(0.05))
    return vae, (mean.kernel, log_var.bias, loc.kernel)


def test_both_phases_have_their_own_gradient():
    vae, variables = linear_gaussian(objective=WakeSleep())
    n = 400_000
    x = np.random.default_rng(0).normal(scale=1.5, size=(n, 1)).astype("float32")
    _, gradients = vae.objective.step(vae, Batch(tf.constant(x)))
    found = dict(zip([v.path for v in vae.trainable_weights], gradients, strict=True))
    by_a, by_b, by_w = (float(tf.squeeze(found[v.path])) for v in variables)
    v, total, m2 = np.exp(B), W**2 + S**2, float(np.mean(np.square(x, dtype="float64")))
    # Asleep: E[-d log q(z|x)] under p(z) p(x|z), where Cov(z, x) = W and Var(x) = W^2 + S^2
    left = 1 - 2 * A * W + A**2 * total  # E (z - A x)^2
    assert by_a == pytest.approx(-(W - A * total) / v, abs=5 * 3 / np.sqrt(n))
    assert by_b == pytest.approx(0.5 - 0.5 * left / v, abs=5 * 1 / np.sqrt(n))
    # Awake: E[-d log p(x|z)] under the data and q(z|x)
    expected = -(A * m2 - W * (A**2 * m2 + v)) / S**2
    assert by_w == pytest.approx(expected, abs=5 * 6 / np.sqrt(n))


@pytest.mark.slow
def test_it_finds_the_model_and_its_posterior():
    vae, variables = linear_gaussian(objective=WakeSleep())
    rng, w = np.random.default_rng(1), 2.0
    x = (w * rng.normal(size=(4096, 1)) + S * rng.normal(size=(4096, 1))).astype("float32")
    vae.fit(x, epochs=30, batch_size=256, verbose=0)
    a, b, found = (float(tf.squeeze(v.value)) for v in variables)
    # Its gradients are noisy at a constant rate: within 10 %, where it began 40 % and more away
    assert found == pytest.approx(w, rel=0.1)
    assert a == pytest.approx(w / (w**2 + S**2), rel=0.1)
    assert np.exp(b) == pytest.approx(S**2 / (w**2 + S**2), rel=0.2)
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["bound"] == pytest.approx(logs["elbo"])
    log_px = -0.5 * np.log(2 * np.pi * (w**2 + S**2)) - x.astype("float64") ** 2 / 2 / (w**2 + S**2)
    assert logs["elbo"] == pytest.approx(np.mean(log_px), abs=0.05)


def test_dreams_are_the_models():
    vae, _ = linear_gaussian(objective=WakeSleep())
    n = 200_000
    z, dream = vae.objective.dream(vae, Batch(tf.zeros([n, 1])))
    covariance = np.cov(np.concatenate([z, dream.x], 1).T)
    np.testing.assert_allclose(covariance, [[1, W], [W, W**2 + S**2]], atol=5 * 3 / np.sqrt(n))


def test_a_likelihood_without_draws_is_refused():
    class Silent(vae_tf.likelihoods.Gaussian):
        def distribution(self, params):
            px = super().distribution(params)
            px.sample = self.refuse
            return px

        def refuse(self, *args, **kwargs):
            raise NotImplementedError

    vae, _ = linear_gaussian(objective=WakeSleep())
    silent = vae.replace(likelihood=Silent(S))
    with pytest.raises(ConfigError, match=r"WakeSleep draws its dreams from p\(x\|z\)"):
        silent.objective.step(silent, Batch(tf.zeros([4, 1])))
