"""Draws of an example: the same in any batch, from any posterior, with its distribution."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions import likelihoods, posteriors, priors
from vae_tf.errors import ConfigError

from .test_from_noise import LATENT, POSTERIORS, params_of

SEED, DRAWS = tf.constant([5, 6]), 4


class Sampled(posteriors.DiagonalNormal):
    """A user's posterior, which is drawn by its distribution alone."""

    def from_noise(self, params, normal):
        return None


class Heavy(posteriors.DiagonalNormal):
    """A user's posterior that says nothing of draws: those of a normal would be inherited."""

    def distribution(self, params):
        q = super().distribution(params).distribution
        return tfd.Independent(tfd.Laplace(q.loc, q.scale), 1)


ALL = {**POSTERIORS, "by its distribution": Sampled, "heavy tails": Heavy}


def rows(params, part):
    return keras.tree.map_structure(lambda value: value[part], params)


def drawing(posterior, **options):
    @tf.function(reduce_retracing=True, **options)
    def draws(params, first, num_samples=DRAWS):
        return posterior.drawn(params, num_samples, LATENT, SEED, first)[1]

    return draws


@pytest.mark.slow_but(2)
@pytest.mark.parametrize("name", ALL)
def test_they_do_not_depend_on_the_batch_nor_on_jit_compile(name):
    posterior, batch = ALL[name](), 7
    params, draws = params_of(posterior, batch), drawing(posterior)
    whole = draws(params, 0).numpy()
    assert whole.shape == (DRAWS, batch, LATENT)
    parts = [slice(0, 3), slice(3, 4), slice(4, 7)]
    apart = [draws(rows(params, part), part.start * DRAWS) for part in parts]
    np.testing.assert_allclose(np.concatenate(apart, 1), whole, rtol=0, atol=2e-5)
    if name in POSTERIORS:  # TFP's own sampler is another one under XLA
        by_xla = drawing(posterior, jit_compile=True)(params, 0)
        np.testing.assert_allclose(by_xla, whole, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", POSTERIORS)
def test_draws_of_one_example_in_chunks_are_those_in_one_go(name):
    posterior = POSTERIORS[name]()
    params = params_of(posterior, 3)
    whole = posterior.drawn(params, DRAWS, LATENT, SEED, 0)[1].numpy()
    second = rows(params, slice(1, 2))
    late = posterior.drawn(second, 3, LATENT, SEED, DRAWS + 1)[1].numpy()
    np.testing.assert_allclose(late[:, 0], whole[1:, 1], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ALL)
def test_moments_are_those_of_the_distribution(name):
    """Over draws of a row, and over the draws of many rows with the same parameters."""
    posterior = ALL[name]()
    one = params_of(posterior, 1)
    many, few = 20_000, 40
    same = keras.tree.map_structure(lambda value: tf.repeat(value, many // few, 0), one)
    draws = drawing(posterior)
    by_draw, by_row = draws(one, 0, many), draws(same, 10**9, few)
    own = posterior.distribution(one).sample(many, seed=[1, 2]).numpy()[:, 0].astype("float64")
    for z in (by_draw, by_row):
        have = np.reshape(z, [-1, LATENT]).astype("float64")
        for power in (lambda x: x, lambda x: x**2, lambda x: x * np.roll(x, 1, 1)):
            a, b = power(have), power(own)
            error = np.sqrt((a.var(0) + b.var(0)) / many)
            assert (np.abs(a.mean(0) - b.mean(0)) < 4.5 * error).all()
        # No draw comes twice
        assert len(np.unique(have[:, 0])) > 0.99 * many


def test_noise_of_another_shape_is_refused():
    class Flat(posteriors.DiagonalNormal):
        def from_noise(self, params, normal):
            return tf.reshape(normal, [-1, LATENT])

    with pytest.raises(ConfigError, match=r"Flat.from_noise must return z \[..., B, L\]"):
        Flat().drawn(params_of(Flat()), DRAWS, LATENT, SEED, 0)


@pytest.mark.parametrize("name", ALL)
def test_the_density_of_the_draws_is_that_of_the_distribution(name):
    posterior = ALL[name]()
    params = params_of(posterior)
    qz, z = posterior.drawn(params, DRAWS, LATENT, SEED, 0)
    density = posterior.distribution(params).log_prob(z)
    np.testing.assert_allclose(qz.log_prob(z), density, rtol=1e-4, atol=1e-4)


def test_a_flow_has_the_density_of_its_draws_in_one_pass():
    """That of other points takes a pass for each latent."""
    posterior = POSTERIORS["flow"]()
    params = params_of(posterior)

    def graph(*, other: bool):
        def density():
            qz, z = posterior.drawn(params, DRAWS, LATENT, SEED, 0)
            return qz.log_prob(tf.identity(z) if other else z)

        operations = tf.function(density).get_concrete_function().graph.as_graph_def()
        nodes = [*operations.node, *(n for f in operations.library.function for n in f.node_def)]
        return {node.op for node in nodes}

    assert not any("While" in op for op in graph(other=False))
    assert any("While" in op for op in graph(other=True))


def test_what_restates_a_distribution_is_not_inherited_by_another_one():
    class Tails(priors.MixtureOfNormals):
        def distribution(self):
            return tfd.Independent(tfd.StudentT(3.0, tf.zeros([LATENT]), 1.0), 1)

    class Sharp(likelihoods.Gaussian):
        def distribution(self, params):
            return tfd.Independent(tfd.Laplace(params["loc"], 1.0), 1)

    class Tailed:
        """Of no package, and before the parent in the order of classes."""

        def distribution(self, params):
            return tfd.Independent(tfd.Laplace(params["loc"], 1.0), 1)

    class Mixed(Tailed, likelihoods.Gaussian):
        pass

    class Named(likelihoods.Gaussian):
        """Has the old distribution, and so all that is said of it."""

        def get_config(self):
            return super().get_config()

    prior, loc = Tails(LATENT, 2), {"loc": tf.fill([2, 3], 7.0)}
    assert prior.mixture() is None
    assert prior.from_noise(tf.zeros([1, LATENT]), tf.fill([1], 0.5)) is None
    assert Sharp().from_uniforms(loc, tf.fill([2, 3], 0.5)) is None
    assert Mixed().from_uniforms(loc, tf.fill([2, 3], 0.5)) is None
    assert Sharp().from_statistics({"loc": loc["loc"]}) is None
    # -log 2 is the density of a Laplace distribution at its mean
    np.testing.assert_allclose(Sharp().elements(loc, loc["loc"]), -np.log(2), rtol=1e-6)
    np.testing.assert_array_equal(Sharp().statistics(loc)["image"], loc["loc"])
    assert Named().from_uniforms(loc, tf.fill([2, 3], 0.5)) is not None
