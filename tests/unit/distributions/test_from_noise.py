"""`from_noise` of every posterior: the same distribution as `distribution`, made of noise."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.distributions import posteriors
from vae_tf.signatures import row_rng

LATENT, DRAWS = 3, 100_000


def flow():
    made = posteriors.InverseAutoregressive(LATENT, context_dim=4, layers=2, hidden=(16,))
    rng = np.random.default_rng(5)
    for weight in made.trainable_weights:  # it starts as the identity
        weight.assign(rng.normal(scale=0.4, size=weight.shape))
    return made


POSTERIORS = {
    "diagonal": posteriors.DiagonalNormal,
    "full": posteriors.FullNormal,
    "flow": flow,
    "joint": lambda: posteriors.JointPosterior(
        [posteriors.FullNormal(), posteriors.DiagonalNormal()], [2, 1]
    ),
}


def params_of(posterior, batch=2):
    rng = np.random.default_rng(1)
    return {
        name: tf.constant(rng.normal(scale=0.7, size=(batch, *shape)), tf.float32)
        for name, shape in posterior.parameter_shapes(LATENT).items()
    }


@pytest.mark.parametrize("name", POSTERIORS)
def test_moments_are_those_of_the_distribution(name):
    posterior = POSTERIORS[name]()
    one = params_of(posterior, batch=1)
    params = {key: tf.repeat(value, DRAWS, 0) for key, value in one.items()}
    z = posterior.from_noise(params, row_rng.normals(tf.range(DRAWS), LATENT)).numpy()
    own = posterior.distribution(one).sample(DRAWS, seed=[1, 2]).numpy()[:, 0]
    assert z.shape == own.shape == (DRAWS, LATENT)
    powers = [lambda x: x, lambda x: x**2, lambda x: x**3, lambda x: x * np.roll(x, 1, 1)]
    for power in powers:
        have, want = power(z.astype("float64")), power(own.astype("float64"))
        error = np.sqrt((have.var(0) + want.var(0)) / DRAWS)
        assert (np.abs(have.mean(0) - want.mean(0)) < 4.5 * error).all()


@pytest.mark.parametrize("name", POSTERIORS)
def test_density_of_draws_is_the_noises_by_change_of_variables(name):
    posterior = POSTERIORS[name]()
    params = params_of(posterior)
    normal = tf.random.stateless_normal([2, LATENT], [3, 4])
    with tf.GradientTape() as tape:
        tape.watch(normal)
        z = posterior.from_noise(params, normal)
    volume = np.linalg.slogdet(tape.batch_jacobian(z, normal).numpy())[1]
    of_noise = -0.5 * np.sum(normal**2 + np.log(2 * np.pi), -1)
    density = posterior.distribution(params).log_prob(z)
    np.testing.assert_allclose(density, of_noise - volume, rtol=1e-4)


@pytest.mark.parametrize("name", ["diagonal", "full", "joint"])
def test_a_row_is_a_function_of_its_own_noise_to_the_last_bit(name):
    posterior = POSTERIORS[name]()
    params, normal = params_of(posterior, 20), row_rng.normals(tf.range(20), LATENT)
    together = posterior.from_noise(params, normal)
    for i in (0, 7, 19):
        alone = {key: value[i : i + 1] for key, value in params.items()}
        z = posterior.from_noise(alone, normal[i : i + 1])
        np.testing.assert_array_equal(z[0], together[i])


def test_a_users_posterior_may_know_no_way():
    class Own(posteriors.Posterior):
        parameters = ("z_mean",)

    params = params_of(Own())
    assert Own().from_noise(params, params["z_mean"]) is None
    joint = posteriors.JointPosterior([posteriors.DiagonalNormal(), Own()], [2, 1])
    assert joint.from_noise(params_of(joint), params["z_mean"]) is None
