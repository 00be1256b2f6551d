"""What a codec asks of likelihoods, against their own log p of elements."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf import likelihoods

GREY, FLAT = (3, 2, 1), (4,)
CASES = {
    "bernoulli": (likelihoods.Bernoulli(), GREY),
    "probs": (likelihoods.Bernoulli("probs"), FLAT),
    "categorical": (likelihoods.Categorical(5), GREY),
    "logistic": (likelihoods.DiscretizedLogistic(16), GREY),
    "logistic colours": (likelihoods.DiscretizedLogistic(7, -1.0, 2.0), (2, 2, 3)),
    "mixture": (likelihoods.DiscretizedLogisticMixture(3, 16), GREY),
    "mixture, flat": (likelihoods.DiscretizedLogisticMixture(2, 9), FLAT),
}


def outputs(likelihood, shape, rows=2):
    rng = np.random.default_rng(0)
    found = {}
    for name, own in likelihood.parameter_shapes(shape).items():
        value = rng.normal(0.3, 1.0, (rows, *own))
        if name == "probs":
            value = 1 / (1 + np.exp(-value))
        if name == "log_scale":
            value -= 2.0
        found[name] = tf.constant(value, tf.float32)
    return found


@pytest.mark.parametrize("case", CASES)
def test_masses_are_those_of_the_likelihood(case):
    likelihood, shape = CASES[case]
    params = outputs(likelihood, shape)
    alphabet = likelihood.alphabet(shape)
    given = {name: value.numpy() for name, value in alphabet.parameters(params).items()}
    mass, total = alphabet.mass(given), 0.0
    zeros = np.zeros((2, int(np.prod(shape))), "int64")
    for i in range(alphabet.size):
        x = np.full((2, *shape), alphabet.value(np.array(i)), "float32")
        expected = np.exp(likelihood.elements(params, tf.constant(x)).numpy().reshape(2, -1))
        found = mass(zeros + i, zeros + i + 1)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-7)
        total = total + found
    np.testing.assert_allclose(total, 1.0, atol=1e-6)
    half = zeros + alphabet.size // 2
    both = mass(zeros, half) + mass(half, zeros + alphabet.size)
    np.testing.assert_allclose(both, 1.0, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_values_and_indices(case):
    likelihood, shape = CASES[case]
    alphabet = likelihood.alphabet(shape)
    index = np.arange(alphabet.size)
    x = alphabet.value(index).astype("float32")
    np.testing.assert_array_equal(alphabet.index(x), index)
    likelihood.check_support(x, strict=True)


def test_levels_are_what_a_division_by_255_gives():
    alphabet = likelihoods.DiscretizedLogistic(256).alphabet(GREY)
    levels = np.arange(256)
    for dtype in ("float16", "float32", "float64"):
        expected = levels.astype(dtype) / np.asarray(255, dtype)
        np.testing.assert_array_equal(alphabet.value(levels).astype(dtype), expected)


@pytest.mark.parametrize(
    ("likelihood", "shape"),
    [
        (likelihoods.Gaussian(), GREY),
        (likelihoods.ContinuousBernoulli(), GREY),
        (likelihoods.Poisson(), FLAT),
        (likelihoods.DiscretizedLogisticMixture(3), (2, 2, 3)),
    ],
)
def test_others_have_none(likelihood, shape):
    assert likelihood.alphabet(shape) is None
