"""Draws of x that belong to an example, against the distributions they are of."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf import likelihoods

ROWS, EVENT = 2000, (3,)
CASES = {
    "gaussian": lambda: likelihoods.Gaussian(0.3),
    "learned scale": likelihoods.GaussianLearnedScale,
    "pixel scale": likelihoods.GaussianPixelScale,
    "bernoulli": likelihoods.Bernoulli,
    "probs": lambda: likelihoods.Bernoulli("probs"),
    "categorical": lambda: likelihoods.Categorical(4),
    "poisson": likelihoods.Poisson,
    "logistic": likelihoods.DiscretizedLogistic,
    "mixed": lambda: likelihoods.Mixed(
        [(likelihoods.Gaussian(0.3), 1), (likelihoods.Categorical(3), 2)]
    ),
    "mixed with counts": lambda: likelihoods.Mixed(
        [(likelihoods.Bernoulli(), 1), (likelihoods.Poisson(), 2)]
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_moments_and_the_batch(name):
    likelihood, rng = CASES[name](), np.random.default_rng(0)
    shapes = likelihood.parameter_shapes(EVENT)
    row = {k: rng.normal(size=(1, *s)).astype("float32") for k, s in shapes.items()}
    row = {k: 1 / (1 + np.exp(-v)) if k == "probs" else v for k, v in row.items()}
    seed = tf.constant([1, 2])

    @tf.function(autograph=False)
    def drawn(rows, first):
        params = {k: tf.repeat(v, rows, 0) for k, v in row.items()}
        return likelihood.drawn(params, EVENT, seed, first)

    x = drawn(tf.constant(ROWS), tf.constant(0)).numpy()
    px = likelihood.distribution({k: tf.constant(v) for k, v in row.items()})
    many = px.sample(20_000, seed=[0, 0])[:, 0].numpy()
    error = many.std(0) * np.sqrt(1 / ROWS + 1 / 20_000)
    assert (np.abs(x.mean(0) - many.mean(0)) < 5 * error + 1e-6).all()
    fourth = np.mean((many - many.mean(0)) ** 4, 0) + 1e-9
    error = np.sqrt(fourth * (1 / ROWS + 1 / 20_000))
    assert (np.abs(x.var(0) - many.var(0)) < 5 * error + 1e-6).all()
    likelihood.check_support(x)
    np.testing.assert_allclose(drawn(tf.constant(3), tf.constant(7)), x[7:10], rtol=1e-5)
    if name != "logistic":
        assert np.abs(np.corrcoef(x.T) - np.eye(3)).max() < 5 / np.sqrt(ROWS)


def test_the_value_that_stands_for_averaged_statistics():
    classes = likelihoods.Categorical(3)
    average = {"image": tf.constant([[1.2]]), "probabilities": tf.constant([[[0.4, 0.1, 0.5]]])}
    np.testing.assert_array_equal(classes.point(average), [[2]])
    mixed = likelihoods.Mixed([(likelihoods.Gaussian(1.0), 1), (classes, 1)])
    both = {
        "image": tf.constant([[0.3, 1.2]]),
        "0_scale": tf.constant([[1.0]]),
        "1_probabilities": average["probabilities"],
    }
    np.testing.assert_allclose(mixed.point(both), [[0.3, 2]])
