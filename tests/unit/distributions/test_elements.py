"""log p of single elements, of what was observed alone, and whether data are in the support."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.unit.distributions.test_every_likelihood import CASES, IMAGE, draw, some_params
from vae_tf.distributions import (
    Bernoulli,
    Categorical,
    DiscretizedLogistic,
    Gaussian,
    Likelihood,
    Mixed,
    Poisson,
)
from vae_tf.errors import ConfigError, DataError


@pytest.fixture(params=list(CASES))
def case(request):
    make, event = CASES[request.param]
    likelihood = make()
    params = some_params(likelihood, event)
    return likelihood, event, params, draw(likelihood, params).numpy()


@pytest.fixture
def compiled(case):
    """XLA has other ideas of NaN; compiling takes seconds, so for some of the cases."""
    return isinstance(case[0], (Bernoulli, Gaussian, Mixed))


def joint_axes(elements, x):
    return [axis for axis in range(1, x.ndim) if elements.shape[axis] < x.shape[axis]]


def random_mask(likelihood, params, x):
    mask = np.random.default_rng(1).integers(0, 2, x.shape).astype("float32")
    for axis in joint_axes(likelihood.elements(params, x), x):
        mask = np.broadcast_to(mask.min(axis, keepdims=True), x.shape)
    return mask


def test_elements_add_up(case):
    likelihood, _, params, x = case
    elements = likelihood.elements(params, x).numpy()
    assert elements.ndim == x.ndim
    whole = likelihood.distribution(params).log_prob(x)
    np.testing.assert_allclose(elements.reshape(3, -1).sum(1), whole, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(likelihood.log_prob(params, x), whole)


def test_an_element_depends_on_its_own_value_alone(case):
    """But for the colours of one pixel, which are known together."""
    likelihood, event, params, x = case
    elements = likelihood.elements(params, x).numpy()
    other = x[::-1]
    where = np.zeros(x.shape, bool)
    where[(slice(None), *(size // 2 for size in event))] = True
    for axis in joint_axes(elements, x):
        where = np.broadcast_to(where.any(axis, keepdims=True), x.shape)
    changed = likelihood.elements(params, np.where(where, other, x)).numpy()
    where = where[tuple(slice(0, size) for size in elements.shape)]
    expected = np.where(where, likelihood.elements(params, other), elements)
    np.testing.assert_allclose(changed, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.slow_but(8)
def test_missing_values_have_no_effect(case, compiled):
    likelihood, _, params, x = case
    mask = random_mask(likelihood, params, x)
    elements = likelihood.elements(params, x).numpy()
    observed = mask[tuple(slice(0, size) for size in elements.shape)]
    want = np.where(observed, elements, 0).reshape(3, -1).sum(1)

    @tf.function(jit_compile=compiled)
    def terms(params, x, mask):
        with tf.GradientTape() as tape:
            tape.watch((params, x))
            log_prob = likelihood.log_prob(params, x, mask)
        by_params, by_x = tape.gradient(log_prob, (params, x), unconnected_gradients="zero")
        return log_prob, by_params, by_x, likelihood.supports(x, mask)

    whole = [terms(params, tf.constant(np.where(mask, x, v)), mask) for v in (np.nan, 1e30, 0.3)]
    for log_prob, by_params, by_x, supported in whole:
        np.testing.assert_allclose(log_prob, want, rtol=1e-5, atol=1e-4)
        assert supported
        assert not np.any(by_x[mask == 0])
        for name, gradient in by_params.items():
            np.testing.assert_array_equal(gradient, whole[0][1][name])
            assert np.isfinite(gradient).all()
    # The gradient is that of the elements which count
    with tf.GradientTape() as tape:
        tape.watch(params)
        total = tf.reduce_sum(tf.where(observed != 0, likelihood.elements(params, x), 0.0))
    for name, gradient in tape.gradient(total, params).items():
        np.testing.assert_allclose(whole[0][1][name], gradient, rtol=1e-4, atol=1e-5)


def test_a_mask_of_ones_is_no_mask(case):
    likelihood, _, params, x = case
    for mask in (np.ones_like(x), np.ones((3, *[1] * (x.ndim - 1)), bool)):
        masked = likelihood.log_prob(params, x, mask)
        np.testing.assert_allclose(masked, likelihood.log_prob(params, x), rtol=1e-5, atol=1e-5)
    assert not np.any(likelihood.log_prob(params, np.full_like(x, np.nan), np.zeros_like(x)))


def test_a_pixel_counts_if_all_its_colours_were_observed():
    make, event = CASES["logistics, colours"]
    likelihood = make()
    params = some_params(likelihood, event)
    x = draw(likelihood, params).numpy()
    mask = np.ones_like(x)
    mask[:, 0, 0, 1] = 0
    without = likelihood.elements(params, x).numpy()
    assert without.shape == (3, 4, 4, 1)
    without[:, 0, 0] = 0
    masked = likelihood.log_prob(params, np.where(mask, x, np.nan), mask)
    np.testing.assert_allclose(masked, without.sum((1, 2, 3)), rtol=1e-5)


class Positive(Likelihood):
    """A density that is infinite or NaN outside its support."""

    parameters = ("log_scale",)
    support = (0.0, np.inf)

    def distribution(self, params):
        scale = params["log_scale"]
        return tfd.Independent(tfd.LogNormal(0.0, tf.exp(scale)), len(scale.shape) - 1)


class Whole(Likelihood):
    """One whose elements depend on one another."""

    parameters = ("loc",)

    def distribution(self, params):
        return tfd.MultivariateNormalTriL(params["loc"], tf.eye(6))


def test_of_ones_own():
    params = {"log_scale": tf.zeros([2, 6])}
    x = np.full((2, 6), 0.5, "float32")
    x[:, 3:] = -1.0
    mask = x > 0
    with tf.GradientTape() as tape:
        tape.watch(params)
        log_prob = Positive().log_prob(params, x, mask)
    want = 3 * tfd.LogNormal(0.0, 1.0).log_prob(0.5)
    np.testing.assert_allclose(log_prob, [want, want], rtol=1e-6)
    assert np.isfinite(tape.gradient(log_prob, params)["log_scale"]).all()
    assert Positive().supports(x, mask)
    assert not Positive().supports(x)


def test_a_mask_needs_elements():
    likelihood, params, x = Whole(), {"loc": tf.zeros([2, 6])}, np.zeros((2, 6), "float32")
    assert likelihood.elements(params, x) is None
    assert likelihood.log_prob(params, x).shape == (2,)
    with pytest.raises(ConfigError, match=r"Whole must tell log p of each element.*a mask"):
        likelihood.log_prob(params, x, np.ones_like(x))
    beside = Mixed([(Gaussian(), 2), (Whole(), 6)])
    params = {"0_loc": tf.zeros([2, 2]), "1_loc": tf.zeros([2, 6])}
    assert beside.elements(params, np.zeros((2, 8), "float32")) is None


def test_supports_says_what_check_support_says(case, compiled):
    likelihood, event, _, x = case
    supports = tf.function(lambda x: likelihood.supports(x), jit_compile=compiled)
    assert supports(x)
    ends = likelihood.support if not isinstance(likelihood, Mixed) else (0.0, 1.0)
    odd = [
        np.nan,
        np.inf,
        -np.inf,
        0.5,
        0.3,
        *(end + d for end in ends for d in (-1, -1e-4, 1e-4, 1)),
    ]
    for place in range(int(np.prod(event))):
        for value in odd if place in (0, 5) else [np.nan]:
            spoilt = x.copy().reshape(3, -1)
            spoilt[1, place] = value
            spoilt = spoilt.reshape(x.shape)
            try:
                likelihood.check_support(spoilt)
                said = True
            except DataError:
                said = False
            assert bool(supports(spoilt)) == said, (place, value)
            assert likelihood.supports(spoilt, spoilt == x)  # masked, it does not matter


def test_ends_of_a_support_that_float32_rounds():
    class Between(Bernoulli):
        support = (0.7, 0.9)  # both are a little smaller as float32

    for value in (np.float32(0.7), np.float32(0.9), 0.7, 0.9):
        Between().check_support(np.array([[value]]))
        assert Between().supports([[value]])
    assert not Between().supports([[0.6999]])


def test_supports_takes_masks_that_broadcast():
    x = np.zeros((2, *IMAGE), "float32")
    x[1] = np.nan
    assert not Poisson().supports(x)
    assert Poisson().supports(x, np.array([1, 0]).reshape(2, 1, 1, 1))
    row = np.zeros((2, 6), "float32")
    row[:, 5] = 9
    assert not Mixed([(Poisson(), 5), (Categorical(3), 1)]).supports(row)
    assert Mixed([(Categorical(3), 5), (Poisson(), 1)]).supports(row)
    assert DiscretizedLogistic(5, 0, 4).supports(np.arange(5)[None])
    assert not DiscretizedLogistic(5, 0, 4).supports([[0.5]])
