"""Bounds that are kept without a parameter running away behind them, and scales of any unit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import VAE
from vae_tf.data.batch import Batch
from vae_tf.distributions import (
    ContinuousBernoulli,
    GaussianLearnedScale,
    GaussianPixelScale,
    LearnedNormal,
    Mixed,
    MixtureOfNormals,
    NegativeBinomial,
    Poisson,
)
from vae_tf.distributions.bounds import bounded, watched
from vae_tf.errors import DataError
from vae_tf.models.audit.bounds import bounds
from vae_tf.models.audit.subject import Failed, Subject
from vae_tf.networks import mlp_decoder, mlp_encoder

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("compiled", [False, True])
def test_outside_gradients_point_back_inside_or_are_0(compiled):
    raw = tf.constant([-5.0, -1.0, 0.0, 1.0, 5.0])

    @tf.function(jit_compile=compiled)
    def gradient(raw, sign):
        with tf.GradientTape() as tape:
            tape.watch(raw)
            loss = tf.reduce_sum(sign * bounded(raw, -1.0, 1.0))
        return bounded(raw, -1.0, 1.0), tape.gradient(loss, raw)

    value, up = gradient(raw, 1.0)
    np.testing.assert_array_equal(value, [-1, -1, 0, 1, 1])
    np.testing.assert_array_equal(up, [0, 1, 1, 1, 1])  # descent lowers them all
    _, down = gradient(raw, -1.0)
    np.testing.assert_array_equal(down, [-1, -1, -1, -1, 0])
    _, broken = gradient(raw, np.nan)
    assert np.isnan(broken).all()  # for the guard of training to see


def test_watched_bounds_are_listed_and_let_gradients_through():
    raw = tf.constant([-5.0])
    with watched() as seen, tf.GradientTape() as tape:
        tape.watch(raw)
        loss = bounded(raw, -1.0, 1.0, "level", ("low", "high")) + bounded(raw, -2.0, 2.0)
    assert [(b.name, b.low, b.high, b.remedies) for b in seen] == [
        ("level", -1, 1, ("low", "high"))
    ]
    np.testing.assert_array_equal(tape.gradient(loss, raw), [2.0])


def bounded_variables():
    """Each with a function that wants more than the bound allows, and the bounds."""
    scale, prior, mixture = GaussianLearnedScale(), LearnedNormal(2), MixtureOfNormals(2, 3)
    zeros = tf.zeros([4, 2])
    return {
        "likelihood": (
            scale.log_scale,
            lambda: -scale.distribution({"loc": zeros}).log_prob(zeros),
            np.log(1 / 256),
        ),
        "prior": (prior.log_scale, lambda: -prior.distribution().log_prob(zeros), -5.0),
        "mixture": (
            mixture.log_scales,
            lambda: -mixture.distribution().log_prob(tf.convert_to_tensor(mixture.means)),
            -3.0,
        ),
    }


@pytest.mark.parametrize("name", ["likelihood", "prior", "mixture"])
def test_no_variable_runs_away(name):
    variable, loss, low = bounded_variables()[name]
    optimizer = keras.optimizers.Adam(0.05)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss())
        optimizer.apply([tape.gradient(value, variable.value)], [variable])

    optimizer.build([variable])
    for _ in range(200):  # 10, were there no bound
        step()
    assert np.min(variable) > low - 1


def test_the_learned_scale_comes_back():
    """From data that do not vary to N(0, I), within as many steps as the way is long."""
    likelihood = GaussianLearnedScale()
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build([likelihood.log_scale])

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            px = likelihood.distribution({"loc": tf.zeros_like(x)})
            loss = -tf.reduce_mean(px.log_prob(x))
        optimizer.apply([tape.gradient(loss, likelihood.log_scale.value)], [likelihood.log_scale])

    for _ in range(600):
        step(tf.zeros([16, 8]))
    for _ in range(900):
        step(tf.constant(RNG.normal(size=(16, 8)), tf.float32))
    assert abs(float(likelihood.log_scale.numpy())) < 0.15


@pytest.mark.parametrize("fallen", [True, False])
def test_its_gradient_is_exact_within_four_scales_and_where_learning_starts(fallen):
    loc, x = tf.zeros([3, 4]), tf.constant(RNG.normal(size=(3, 4)), tf.float32)
    weight = tf.constant([0.2, 1.0, 3.0])
    for scale in (3.0, 1.0, 0.4, 0.01):
        likelihood = GaussianLearnedScale(4.0 if fallen else scale)
        likelihood.log_scale.assign(np.log(scale))
        for sign in (1.0, -1.0):
            with tf.GradientTape() as tape:
                log_prob = likelihood.distribution({"loc": loc}).log_prob(x)
                value = sign * tf.reduce_sum(weight * log_prob)
            gradient = tape.gradient(value, likelihood.log_scale.value)
            square = (np.square(x) / scale**2).sum(-1)
            total, size = np.sum(weight * square), 4 * np.sum(weight)
            want = sign * ((min(total, 16 * size) if fallen else total) - size)
            np.testing.assert_allclose(gradient, want, rtol=1e-4)


def test_a_copy_is_held_alike():
    px = GaussianLearnedScale(0.7).distribution({"loc": tf.zeros([2, 3])}).distribution
    copy = px.copy(loc=tf.ones([2, 3]))
    assert (type(copy), copy.start) == (type(px), 0.7)
    assert copy.batch_shape == px.batch_shape == [2, 3]


def images():
    return np.rint(RNG.uniform(size=(50, 4, 4, 1)) * 255).astype("float32") / np.float32(255)


def table(*units):
    return RNG.normal(size=(500, len(units))) * units


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e6])
@pytest.mark.parametrize("kind", [GaussianLearnedScale, GaussianPixelScale])
def test_scales_for_data_of_any_unit(kind, unit):
    likelihood = kind.from_data(table(unit, unit, unit))
    assert 0.9e-3 * unit < likelihood.min_scale < 0.1 * unit
    restored = kind.from_config(likelihood.get_config())
    assert restored.get_config() == likelihood.get_config()
    # Within its bounds: the density is that of the data's own scale
    scale = {"log_scale": tf.fill([1, 3], tf.math.log(unit))}
    params = {"loc": tf.zeros([1, 3]), **(scale if kind is GaussianPixelScale else {})}
    stddev = likelihood.distribution(params).distribution.stddev()
    np.testing.assert_allclose(stddev / unit, np.ones_like(stddev), rtol=0.1)


def test_floors_follow_the_rounding():
    np.testing.assert_allclose(
        GaussianLearnedScale.from_data(images()).min_scale, 1 / 255, rtol=1e-3
    )
    black_and_white = RNG.integers(0, 2, (50, 4, 4, 1))
    floor = GaussianPixelScale.from_data(black_and_white).min_scale
    np.testing.assert_allclose(floor, 0.05, rtol=0.05)
    rounded = np.round(table(1.0), 2)
    np.testing.assert_allclose(GaussianPixelScale.from_data(rounded).min_scale, 0.01, rtol=1e-6)
    assert GaussianPixelScale.from_data(table(1.0, 1e-5)).min_scale < 1e-6
    assert GaussianLearnedScale.from_data(table(1.0), min_scale=0.5).min_scale == 0.5
    for broken in (np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((0, 2))):
        with pytest.raises(DataError):
            GaussianLearnedScale.from_data(broken)


def look(vae, x):
    """Returns why the check of bounds failed, or nothing."""
    try:
        bounds(Subject(vae, x, Batch(x[:8]), 0))
    except Failed as failure:
        return f"{failure} {failure.fix}"
    return ""


def model(likelihood, x, prior=None):
    event = x.shape[1:]
    decoder = mlp_decoder(2, likelihood.parameter_shapes(event), (8,))
    return VAE(mlp_encoder(event, 2, (8,)), decoder, likelihood=likelihood, prior=prior)


def test_the_audit_tells_of_data_below_the_floor():
    small = table(1e-4, 1e-4).astype("float32")
    for likelihood in (GaussianLearnedScale(), GaussianPixelScale()):
        found = look(model(likelihood, small), small)
        assert "min_scale=0.00390625" in found
        assert "from_data" in found
    likelihood = GaussianLearnedScale.from_data(small)
    assert not look(model(likelihood, small), small)
    both = np.concatenate([small, RNG.poisson(3.0, (500, 1))], 1).astype("float32")
    likelihood = Mixed([(GaussianPixelScale(), 2), (Poisson(), 1)])
    assert "min_scale" in look(model(likelihood, both), both)


def test_the_audit_tells_of_values_at_a_bound():
    x = table(1.0, 1.0).astype("float32")
    vae = model(GaussianLearnedScale(), x)
    assert not look(vae, x)
    vae.likelihood.log_scale.assign(-7.0)
    report = vae.check(x, print_fn=None)
    finding = report["bounds"]
    assert "log_scale of p(x|z) is at its lower bound -5.545" in finding.seen
    assert "min_scale" in finding.fix
    assert "gradients" not in {f.name for f in report.failed}  # it is not dead, it is bounded
    # What does not vary is known as exactly as one likes
    assert not look(vae, np.zeros_like(x))


@pytest.mark.parametrize(
    ("likelihood", "output", "value", "ok"),
    [
        (GaussianPixelScale, "log_scale", -20.0, False),
        (ContinuousBernoulli, "logits", 300.0, False),
        (Poisson, "log_rate", 20.0, False),
        (NegativeBinomial, "log_dispersion", -15.0, True),  # a Poisson, as data may be
        (NegativeBinomial, "log_dispersion", 15.0, False),
    ],
)
def test_the_audit_tells_of_networks_at_a_bound(likelihood, output, value, ok):
    x = RNG.integers(0, 2, (32, 3)).astype("float32")
    vae = model(likelihood(), x)
    bias = next(v for v in vae.decoder.variables if v.path.endswith(f"{output}_output/bias"))
    bias.assign(np.full(bias.shape, value))
    assert (not look(vae, x)) == ok


def test_the_audit_tells_of_latents_at_a_bound():
    x = table(1.0, 1.0).astype("float32")
    prior = MixtureOfNormals(2, 3)
    vae = model(GaussianLearnedScale(), x, prior)
    prior.log_scales.assign(np.full((3, 2), -4.0))
    assert "log_scale of p(z)" in look(vae, x)
