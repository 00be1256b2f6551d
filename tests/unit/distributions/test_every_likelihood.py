"""What is asked of every likelihood alike; each has its numbers checked in a file of its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import VAE, distributions
from vae_tf.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Gaussian,
    GaussianLearnedScale,
    GaussianPixelScale,
    Likelihood,
    Mixed,
    NegativeBinomial,
    Poisson,
    StandardNormal,
)
from vae_tf.networks import conv_decoder, mlp_decoder, mlp_encoder

IMAGE, COLOURS, ROW = (4, 4, 1), (4, 4, 3), (6,)


def mixed():
    return Mixed(
        [
            (GaussianLearnedScale(0.5), 1),
            (Bernoulli(), 1),
            (Categorical(5), 1),
            (Poisson(), 1),
            (GaussianLearnedScale(0.7), 1),
            (DiscretizedLogisticMixture(2, levels=5), 1),
        ]
    )


# a fresh object each time: some hold variables
CASES = {
    "bernoulli": (Bernoulli, IMAGE),
    "bernoulli, probs": (lambda: Bernoulli("probs"), IMAGE),
    "gaussian": (Gaussian, IMAGE),
    "gaussian-learned": (GaussianLearnedScale, ROW),
    "gaussian-pixel": (GaussianPixelScale, COLOURS),
    "continuous-bernoulli": (ContinuousBernoulli, IMAGE),
    "logistic": (DiscretizedLogistic, IMAGE),
    "logistic, other grid": (lambda: DiscretizedLogistic(5, -1.0, 3.0), ROW),
    "logistics, grey": (lambda: DiscretizedLogisticMixture(2), IMAGE),
    "logistics, colours": (lambda: DiscretizedLogisticMixture(3, levels=16), COLOURS),
    "logistics, two channels": (lambda: DiscretizedLogisticMixture(2, levels=3), (4, 4, 2)),
    "logistics, rows": (lambda: DiscretizedLogisticMixture(2, levels=40), ROW),
    "classes, image": (lambda: Categorical(4), COLOURS),
    "classes, rows": (lambda: Categorical(4), ROW),
    "poisson": (Poisson, ROW),
    "negative binomial": (NegativeBinomial, IMAGE),
    "mixed": (mixed, ROW),
}
DENSITIES = ("gaussian", "gaussian-learned", "gaussian-pixel", "continuous-bernoulli", "mixed")


@pytest.fixture(params=list(CASES))
def case(request):
    make, event = CASES[request.param]
    return request.param, make(), event


def some_params(likelihood, event, batch=3):
    rng = np.random.default_rng(0)
    shapes = likelihood.parameter_shapes(event)
    return {n: tf.constant(rng.normal(size=(batch, *s)), tf.float32) for n, s in shapes.items()}


def draw(likelihood, params):
    return likelihood.distribution(params).sample(seed=[1, 0])


def test_what_stands_for_missing_values_may_be_data(case):
    _, likelihood, event = case
    x = np.broadcast_to(likelihood.placeholder(event), (2, *event))
    likelihood.check_support(x, strict=True)
    assert likelihood.supports(tf.constant(x))
    assert np.isfinite(likelihood.distribution(some_params(likelihood, event, 2)).log_prob(x)).all()


def test_all_are_here():
    made = {type(make()) for make, _ in CASES.values()}
    exported = {getattr(distributions, name) for name in distributions.likelihoods.__all__}
    assert made == exported - {Likelihood}


def test_shapes(case):
    _, likelihood, event = case
    params = some_params(likelihood, event)
    px = likelihood.distribution(params)
    assert px.batch_shape == (3,)
    assert px.event_shape == event
    for sample_shape in ((), (2,)):
        x = px.sample(sample_shape, seed=[0, 0])
        assert x.dtype == "float32"
        assert x.shape == (*sample_shape, 3, *event)
        assert px.log_prob(x).shape == (*sample_shape, 3)
    assert px.mean().shape == (3, *event)
    statistics = likelihood.statistics(params)
    assert statistics["image"].shape == (3, *event)
    assert all(s.shape[0] == 3 and s.dtype == "float32" for s in statistics.values())
    # in the order of the names, and by name
    several = list(params.values())
    np.testing.assert_array_equal(likelihood.distribution(several).mean(), px.mean())


def test_takes_what_it_draws(case):
    _, likelihood, event = case
    likelihood.check_support(draw(likelihood, some_params(likelihood, event)).numpy(), strict=True)


def test_examples_are_independent(case):
    _, likelihood, event = case
    params = some_params(likelihood, event)
    x = draw(likelihood, params)
    whole = likelihood.distribution(params).log_prob(x)
    second = {name: value[1:2] for name, value in params.items()}
    np.testing.assert_allclose(
        likelihood.distribution(second).log_prob(x[1:2]), whole[1:2], rtol=1e-5
    )


def test_sample_means(case):
    name, likelihood, event = case
    if name == "logistics, colours":
        pytest.skip("its mean is not exact; see test_discretized.py")
    px = likelihood.distribution(some_params(likelihood, event))
    x = px.sample(4000, seed=[3, 0]).numpy().astype("float64")
    error = x.std(0) / np.sqrt(len(x))
    assert np.all(np.abs(x.mean(0) - px.mean()) <= 4.5 * error + 1e-5)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_statistics_tell_the_density_or_nothing(case, factor):
    name, likelihood, event = case
    params = {n: factor * value for n, value in some_params(likelihood, event).items()}
    px = likelihood.distribution(params)
    told = likelihood.from_statistics(likelihood.statistics(params))
    if name.startswith("logistic") or name == "mixed":  # which has such a column
        assert told is None
        return
    assert (told.batch_shape, told.event_shape) == (px.batch_shape, px.event_shape)
    # Also at values that another row drew, and so are rare here: 1 - p has lost digits there
    x = draw(likelihood, params)
    for values in (x, x[::-1]):
        want = px.log_prob(values)
        np.testing.assert_allclose(told.log_prob(values), want, rtol=2e-5, atol=1e-3)


def test_mixed_statistics_tell_the_density():
    parts = [(GaussianPixelScale(), 2), (Categorical(3), 2), (Bernoulli(), 1), (Poisson(), 1)]
    likelihood = Mixed(parts)
    params = some_params(likelihood, ROW)
    x = draw(likelihood, params)
    told = likelihood.from_statistics(likelihood.statistics(params))
    want = likelihood.distribution(params).log_prob(x)
    np.testing.assert_allclose(told.log_prob(x), want, rtol=1e-5)


def test_probabilities_rounded_to_0_and_1_cost_a_documented_number_of_nats():
    image = tf.reshape(tf.constant([0.0, 1.0, 0.0, 1.0, 0.25]), [5, 1])
    x = tf.reshape(tf.constant([1.0, 0.0, 0.0, 1.0, 1.0]), [5, 1])
    log_prob = Bernoulli().from_statistics({"image": image}).log_prob(x)
    want = [126 * np.log(0.5), 25 * np.log(0.5), 0, 0, np.log(0.25)]
    np.testing.assert_allclose(log_prob, want, rtol=1e-6, atol=1e-7)
    one_hot = {"probabilities": tf.constant([[[1.0, 0.0, 0.0]]] * 2)}
    log_prob = Categorical(3).from_statistics(one_hot).log_prob([[0.0], [2.0]])
    np.testing.assert_allclose(log_prob, [0, 126 * np.log(0.5)], rtol=1e-6)


def test_discrete_or_a_density(case):
    name, likelihood, _ = case
    assert likelihood.discrete == (name not in DENSITIES)


@pytest.mark.slow_but(40)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("extreme", [-1e30, -100.0, 100.0, 1e30])
def test_extreme_outputs_stay_finite(case, dtype, extreme):
    name, likelihood, event = case
    params = some_params(likelihood, event)
    x = draw(likelihood, params)
    for extreme_one in params:
        if extreme_one.endswith("loc") and not name.startswith("logistic"):
            continue  # a Gaussian's (x - 1e30)^2 has no place in float32
        raw = {n: tf.cast(value, dtype) for n, value in params.items()}
        raw[extreme_one] = tf.fill(raw[extreme_one].shape, tf.cast(extreme, dtype))
        with tf.GradientTape() as tape:
            tape.watch(raw)
            log_prob = likelihood.distribution(raw).log_prob(x)
        gradients = tape.gradient(log_prob, raw)
        values = [log_prob, *gradients.values(), *likelihood.statistics(raw).values()]
        assert all(np.isfinite(tf.cast(value, tf.float32)).all() for value in values), extreme_one


def test_half_precision_overflow_stays_finite(case):
    name, likelihood, event = case
    if "gaussian" in name or name in ("bernoulli", "mixed"):
        pytest.skip("their log-densities are infinite there")
    raw = {n: tf.cast(v, tf.float16) for n, v in some_params(likelihood, event).items()}
    x = draw(likelihood, raw)
    for infinity in (np.inf, -np.inf):
        several = {n: tf.fill(v.shape, tf.constant(infinity, tf.float16)) for n, v in raw.items()}
        for n in raw:
            log_prob = likelihood.distribution({**raw, n: several[n]}).log_prob(x)
            assert np.isfinite(log_prob).all(), n


@pytest.mark.slow_but(3)
def test_compiles(case):
    """XLA gives the numbers of eager TensorFlow, gradients included."""
    _, likelihood, event = case
    params = some_params(likelihood, event)
    x = draw(likelihood, params)

    def terms(params, x):
        with tf.GradientTape() as tape:
            tape.watch(params)
            log_prob = likelihood.distribution(params).log_prob(x)
        return log_prob, tape.gradient(log_prob, params), likelihood.statistics(params)

    compiled = tf.function(terms, jit_compile=True)(params, x)
    for a, b in zip(tf.nest.flatten(compiled), tf.nest.flatten(terms(params, x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_survives_serialization(case):
    _, likelihood, event = case
    saved = keras.saving.serialize_keras_object(likelihood)
    copy = keras.saving.deserialize_keras_object(saved)
    assert copy.get_config() == likelihood.get_config()
    assert copy.parameter_shapes(event) == likelihood.parameter_shapes(event)
    # the four of colours are three elsewhere
    assert set(likelihood.parameters) <= set(likelihood.parameter_shapes(event))


def small_networks(likelihood, event):
    outputs = likelihood.parameter_shapes(event)
    if len(event) == 3:
        decoder = conv_decoder(2, outputs, (4, 4), hidden=8, seed=2)
    else:
        decoder = mlp_decoder(2, outputs, (8,), seed=2)
    return mlp_encoder(event, 2, (8,), seed=1), decoder


# The others in tests/conformance, in other shapes
TRAINED = {"bernoulli": (), "gaussian-learned": ()}
TRAINED |= dict.fromkeys(("logistics, colours", "mixed"), pytest.mark.slow)


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=TRAINED.get(c, pytest.mark.long)) for c in CASES],
    indirect=True,
)
def test_trains_and_is_saved(case, tmp_path):
    _, likelihood, event = case
    vae = VAE(*small_networks(likelihood, event), likelihood=likelihood)
    vae.compile(keras.optimizers.Adam(1e-2))
    x = draw(likelihood, some_params(likelihood, event, 32)).numpy()
    logs = vae.fit(x, epochs=2, batch_size=16, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    vae.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert len(copy.likelihood.variables) == len(likelihood.variables)
    for one, other in zip(likelihood.variables, copy.likelihood.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    first = vae.evaluate(x, return_dict=True, verbose=0)
    assert copy.evaluate(x, return_dict=True, verbose=0) == first
    np.testing.assert_array_equal(copy.reconstruct(x), vae.reconstruct(x))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["logistics, colours", "continuous-bernoulli", "mixed"])
def test_is_exported_in_builtin_operators(name, tmp_path):
    """One of TFP's own, the one of most operators, and one of many parts."""
    from tests.bundles import write_bundle

    make, event = CASES[name]
    likelihood = make()
    encoder, decoder = small_networks(likelihood, event)
    bundle = write_bundle(
        encoder=encoder,
        decoder=decoder,
        prior=StandardNormal(2),
        posterior=distributions.DiagonalNormal(),
        likelihood=likelihood,
        directory=tmp_path / "bundle",
    )
    outputs = bundle.manifest["signatures"]["decode"]["outputs"]
    z = np.zeros((1, 2), "float32")
    assert set(outputs) == set(likelihood.statistics(decoder(z)))
