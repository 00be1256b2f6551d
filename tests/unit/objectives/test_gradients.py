"""Gradients of every estimator, against derivatives of the exact bound.

Each of many examples has its own copy of the parameters, so that one backward pass gives one
gradient per example: their mean must meet the oracle's within standard errors.
"""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import vae_tf
from vae_tf.objectives import (
    ELBO,
    IWAE,
    VIMCO,
    Baseline,
    DReG,
    LearnedBaseline,
    LeaveOneOut,
    Renyi,
    RunningMean,
    ScoreFunction,
    StickingTheLanding,
)
from vae_tf.objectives.gradients import through_draws, value_and_slope, with_gradient_of

from .toy import (
    NOISE,
    X,
    assert_meets,
    derivative,
    elbo,
    exact_posterior,
    expected,
    gradients,
    importance_weighted,
    inference,
    parameters,
    replicas,
)

SIZE = 50_000


def running_mean():
    """A RunningMean that has seen a batch."""
    baseline = RunningMean(0.9)
    baseline.learn(None, tf.constant([[2.0, 3.0]]), training=True)
    return baseline


ELBOS = {
    "ELBO": lambda dims: ELBO(),
    "ELBO, closed_form=False": lambda dims: ELBO(closed_form=False),
    "ELBO(2)": lambda dims: ELBO(2),
    "STL": lambda dims: StickingTheLanding(),
    "STL(2)": lambda dims: StickingTheLanding(2),
    "ScoreFunction": lambda dims: ScoreFunction(),
    "ScoreFunction(3)": lambda dims: ScoreFunction(3),
    "ScoreFunction, RunningMean": lambda dims: ScoreFunction(1, running_mean()),
    "ScoreFunction, LearnedBaseline": lambda dims: ScoreFunction(2, LearnedBaseline((dims,), (3,))),
    "ScoreFunction, LeaveOneOut": lambda dims: ScoreFunction(3, LeaveOneOut()),
}
BOUNDS = {
    "IWAE": (lambda: IWAE(2), 0.0),
    "DReG": (lambda: DReG(2), 0.0),
    "VIMCO": (lambda: VIMCO(2), 0.0),
    "Renyi 0.5": (lambda: Renyi(2, 0.5), 0.5),
    "Renyi 2": (lambda: Renyi(2, 2.0), 2.0),
    "IWAE(1)": (lambda: IWAE(1), 0.0),
    "DReG(1)": (lambda: DReG(1), 0.0),
}


def assert_gradients_meet(drawn, exact):
    assert drawn.keys() == exact.keys()
    for name, value in exact.items():
        try:
            assert_meets(drawn[name], -value)  # the loss is minus the bound
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


@pytest.mark.slow_but(10)
@pytest.mark.parametrize(
    ("dims", "prior", "beta"),
    [
        pytest.param(1, "normal", 1.0, marks=pytest.mark.slow),
        (1, "normal", 0.3),
        (1, "mixture", 0.3),
        (2, "mixture", 1.0),
    ],
)
@pytest.mark.parametrize("kind", ELBOS)
def test_gradients_of_the_elbo(kind, beta, prior, dims):
    theta = parameters(dims, prior)
    exact = derivative(lambda theta: expected(theta, elbo, beta=beta, nodes=40), theta)
    assert_gradients_meet(gradients(ELBOS[kind](dims), theta, SIZE, beta=beta), exact)


@pytest.mark.slow_but(5)
@pytest.mark.parametrize(
    ("prior", "beta"),
    [
        pytest.param("normal", 1.0, marks=pytest.mark.slow),
        ("normal", 0.3),
        ("mixture", 0.3),
    ],
)
@pytest.mark.parametrize("kind", BOUNDS)
def test_gradients_of_other_bounds(kind, beta, prior):
    make, alpha = BOUNDS[kind]
    objective, theta = make(), parameters(1, prior)
    k = objective.num_samples
    kwargs = {"draws": k, "beta": beta, "alpha": alpha, "nodes": 50}
    exact = derivative(lambda theta: expected(theta, importance_weighted, **kwargs), theta)
    assert_gradients_meet(gradients(objective, theta, SIZE, beta=beta), exact)


FAST_IN_XLA = ("STL", "DReG")


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in FAST_IN_XLA else pytest.param(kind, marks=pytest.mark.slow)
        for kind in (*ELBOS, *BOUNDS)
    ],
)
def test_gradients_compiled_by_xla(kind):
    theta = parameters(1, "mixture")
    if kind in ELBOS:
        objective, bound, alpha = ELBOS[kind](1), {"bound": elbo}, {}
    else:
        objective, bound = BOUNDS[kind][0](), {"bound": importance_weighted}
        alpha = {"alpha": BOUNDS[kind][1], "draws": objective.num_samples}
    exact = derivative(lambda theta: expected(theta, nodes=50, **bound, **alpha), theta)
    assert_gradients_meet(gradients(objective, theta, SIZE, jit_compile=True), exact)


@pytest.mark.slow
def test_gradients_of_other_bounds_in_two_dimensions():
    theta, exact = parameters(2, "mixture"), {}
    for kind in ("IWAE", "DReG", "VIMCO", "Renyi 0.5"):
        make, alpha = BOUNDS[kind]
        if alpha not in exact:
            kwargs = {"draws": 2, "alpha": alpha, "nodes": 12}
            exact[alpha] = derivative(
                lambda theta, kwargs=kwargs: expected(theta, importance_weighted, **kwargs), theta
            )
        assert_gradients_meet(gradients(make(), theta, SIZE), exact[alpha])


def test_the_quadrature_has_converged():
    theta = parameters(2, "mixture")
    values = [expected(theta, importance_weighted, 2, nodes=n) for n in (12, 20)]
    assert values[0] == pytest.approx(values[1], abs=1e-4)
    theta = parameters(1, "mixture")
    values = [expected(theta, importance_weighted, 2, nodes=n) for n in (50, 90)]
    assert values[0] == pytest.approx(values[1], abs=1e-7)


def test_the_derivative_of_the_oracle_is_that_on_paper():
    theta = parameters(1, "normal")
    a, b, w, m, t = (float(theta[name][0]) for name in "abwmt")
    distance, variance = X[0] - w * a, NOISE**2
    paper = {
        "a": w * distance / variance - (a - m) / np.exp(2 * t),
        "b": 0.5 - 0.5 * np.exp(b) * (w**2 / variance + np.exp(-2 * t)),
        "w": (a * distance - w * np.exp(b)) / variance,
        "m": (a - m) / np.exp(2 * t),
        "t": (np.exp(b) + (a - m) ** 2) / np.exp(2 * t) - 1,
    }
    exact = derivative(lambda theta: expected(theta, nodes=40), theta)
    for name, value in paper.items():
        assert exact[name] == pytest.approx(value, abs=1e-7)


# Through the model


@pytest.mark.slow_but(1)
@pytest.mark.parametrize("objective", [ELBO(2, False), DReG(2), VIMCO(2)], ids=lambda o: o.name)
def test_gradients_of_a_whole_vae(objective):
    """MixtureOfNormals is the prior, so its gradients are among them."""
    i, j = keras.Input((1,)), keras.Input((1,))
    mean, log_var, loc = (keras.layers.Dense(1, use_bias=False) for _ in range(3))
    encoder = keras.Model(i, {"z_mean": mean(i), "z_log_var": log_var(i)})
    decoder = keras.Model(j, {"loc": loc(j)})
    prior = vae_tf.priors.MixtureOfNormals(1, 2)
    vae = vae_tf.VAE(
        encoder,
        decoder,
        prior=prior,
        likelihood=vae_tf.likelihoods.Gaussian(NOISE),
        objective=objective,
    )
    theta, x = parameters(1, "mixture"), X[0]
    variables = {
        "a": mean.kernel,
        "b": log_var.kernel,
        "w": loc.kernel,
        "m": prior.means,
        "t": prior.log_scales,
        "l": prior.logits,
    }
    for name, variable in variables.items():
        value = theta[name] / x if name in "ab" else theta[name]  # encoder(x) = kernel * x
        variable.assign(np.reshape(value, variable.shape))

    @tf.function
    def gradient(seed):
        with tf.GradientTape() as tape:
            terms = vae(tf.fill([1000, 1], tf.cast(x, tf.float32)), seed=seed, training=True)
            loss = tf.reduce_mean(terms.nll) + tf.add_n(vae.losses)
        return tape.gradient(loss, [variable.value for variable in variables.values()])

    batches = [gradient(tf.constant([7, n])) for n in range(100)]
    bound = elbo if isinstance(objective, ELBO) else importance_weighted
    exact = derivative(lambda theta: expected(theta, bound, 2, nodes=50), theta)
    for n, name in enumerate(variables):
        drawn = np.array([np.reshape(batch[n], theta[name].shape) for batch in batches], float)
        chain = 1 / x if name in "ab" else 1.0
        assert_meets(drawn * chain, -exact[name], errors=5)  # 100 batches: Student's t


# Variances


def variance(objective, theta, size=20_000, names="ab", **kwargs):
    """Variance of the encoder's gradients."""
    drawn = gradients(objective, theta, size, **kwargs)
    return np.array([drawn[name].var() for name in names])


@pytest.mark.slow_but(3)
@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize(
    "objective",
    [StickingTheLanding(), StickingTheLanding(3), DReG(1), DReG(5)],
    ids=lambda o: o.name,
)
def test_no_variance_at_the_exact_posterior(objective, dims):
    theta = exact_posterior(dims)
    drawn = gradients(objective, theta, 2000)
    for name in "ab":
        np.testing.assert_allclose(drawn[name], 0.0, atol=2e-5)
    assert drawn["w"].std() > 0.1  # the decoder's has some
    others = ELBO(closed_form=False), IWAE(5)
    for other in others:
        assert (variance(other, theta, 2000) > 1e-3).all()


class Exact(Baseline):
    """The best there is that does not look at z: a constant."""

    def value(self, x, signal):
        return tf.constant(
            expected(parameters(1, "normal"), lambda p, r: -p[0], nodes=40), "float32"
        )


@pytest.mark.slow
def test_score_functions_are_noisier_than_reparametrized_gradients():
    theta = parameters(1, "normal")
    none = variance(ScoreFunction(), theta)
    learned = RunningMean()
    learned.learn(None, tf.fill([1, 9], Exact().value(None, None)), training=True)
    mean, best = (
        variance(ScoreFunction(1, learned), theta),
        variance(ScoreFunction(1, Exact()), theta),
    )
    reparametrized = variance(ELBO(), theta)
    assert (none > 1.2 * best).all()
    np.testing.assert_allclose(mean, best, rtol=0.1)
    assert (best > 2 * reparametrized).all()
    # at equal numbers of draws
    three = variance(ScoreFunction(3), theta), variance(ScoreFunction(3, LeaveOneOut()), theta)
    assert (three[0] > 1.1 * three[1]).all()
    np.testing.assert_allclose(three[0], none / 3, rtol=0.1)  # draws are independent


class ScoreFunctionOfIWAE(VIMCO):
    """VIMCO without its baseline."""

    def _without_each(self, log_w):
        return tf.zeros_like(log_w)


def test_vimco_has_less_variance_than_no_baseline():
    theta = parameters(1, "normal")
    exact = derivative(lambda theta: expected(theta, importance_weighted, 2, nodes=50), theta)
    naive = ScoreFunctionOfIWAE(2)
    assert_gradients_meet(gradients(naive, theta, SIZE), exact)
    for k in (2, 8):
        with_baseline = variance(VIMCO(k), theta)
        assert (variance(ScoreFunctionOfIWAE(k), theta) > 3 * with_baseline).all()


def signal_to_noise(objective, theta, size=8000):
    drawn = gradients(objective, theta, size)
    return np.array([abs(drawn[name].mean()) / drawn[name].std() for name in "ab"])


def test_more_draws_drown_iwaes_encoder_and_not_dregs():
    """O(1/sqrt(K)) and O(sqrt(K)) (Rainforth et al. 2018; Tucker et al. 2019)."""
    theta = parameters(1, "standard")
    few, many = 2, 64
    iwae = signal_to_noise(IWAE(few), theta), signal_to_noise(IWAE(many), theta, 20_000)
    dreg = signal_to_noise(DReG(few), theta), signal_to_noise(DReG(many), theta)
    # sqrt(64 / 2) = 5.7 either way, as K -> infinity; each of error 1 / sqrt(size) or more
    assert (iwae[1] < iwae[0]).all()
    assert iwae[1][0] < iwae[0][0] / 4
    assert (dreg[1] > 2.5 * dreg[0]).all()
    assert (dreg[1] > 8 * iwae[1]).all()


# The tools


def test_gradients_through_draws():
    z = tf.constant([[[0.3, -1.0]], [[2.0, 0.5]]])
    loc = tf.constant([[0.1, 0.2]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([z, loc])
        value = through_draws(z, tfd.Independent(tfd.Normal(loc, 2.0), 1).log_prob)
        parts = through_draws(z, tfd.Normal(loc, 2.0).log_prob)
    assert value.shape == (2, 1)
    assert parts.shape == (2, 1, 2)
    np.testing.assert_allclose(tf.reduce_sum(parts, -1), value, rtol=1e-6)
    for y in (value, parts):
        np.testing.assert_allclose(tape.gradient(y, z), -(z - loc) / 4.0, rtol=1e-6)
        assert tape.gradient(y, loc) is None


def test_value_and_slope():
    z, a = tf.constant([[1.0, 2.0]]), tf.constant(3.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([z, a])
        value, slope = value_and_slope(z, lambda z: a * tf.reduce_sum(z**2, -1))
    np.testing.assert_allclose(slope, [[6.0, 12.0]])
    assert tape.gradient(value, a) == 5
    assert tape.gradient(value, z) is None
    assert tape.gradient(slope, a) is None


def test_with_gradient_of():
    with tf.GradientTape() as tape:
        a = tf.constant(3.0)
        tape.watch(a)
        y = with_gradient_of(a**2, 5 * a)
    assert y == 9
    assert tape.gradient(y, a) == 5


# What trains a baseline


def test_a_running_mean_is_the_mean_of_the_past():
    baseline, rng = RunningMean(0.9), np.random.default_rng(0)
    signals = rng.normal(size=(6, 2, 3)).astype("float32")
    assert baseline.value(None, signals[0]) == 0
    for n, signal in enumerate(signals):
        baseline.learn(None, tf.constant(signal), training=True)
        weights = 0.9 ** np.arange(n, -1.0, -1)
        past = weights @ signals[: n + 1].mean((1, 2)) / weights.sum()
        np.testing.assert_allclose(baseline.value(None, signal), past, rtol=1e-4, atol=1e-6)
    before = float(baseline.value(None, signals[0]))
    baseline.learn(None, tf.constant(signals[0]), training=False)
    assert baseline.value(None, signals[0]) == before


def test_leaving_one_out():
    signal = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    value = LeaveOneOut().value(None, tf.constant(signal))
    for s in range(4):
        np.testing.assert_allclose(value[s], np.delete(signal, s, 0).mean(0), rtol=1e-5, atol=1e-6)


def test_a_learned_baseline_learns_by_least_squares_alone():
    baseline = LearnedBaseline((1,), (3,))
    objective, theta = ScoreFunction(2, baseline), replicas(parameters(1), 40)
    weights = baseline.network.trainable_weights

    def gradient(loss):
        with tf.GradientTape() as tape:
            value = loss()
        return tape.gradient(value, [w.value for w in weights])

    def of_objective():
        terms = objective.estimate(inference(theta))
        return tf.reduce_sum(terms.nll + terms.kl_term)

    given = inference(theta)
    signal = -given.log_px(given.draw(2)).numpy()

    def by_hand():
        return tf.reduce_sum(tf.square(baseline.network(given.batch.x)[:, 0] - signal)) / 2

    for one, other in zip(gradient(of_objective), gradient(by_hand), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert baseline.value(given.batch.x, signal).shape == (1, 40)


def test_vimcos_baseline_replaces_a_weight_by_the_geometric_mean_of_the_others():
    log_w = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    without = VIMCO(4)._without_each(tf.constant(log_w))
    for k in range(4):
        others = np.delete(np.exp(log_w.astype(float)), k, 0)
        bound = np.log((others.sum(0) + np.prod(others, 0) ** (1 / 3)) / 4)
        np.testing.assert_allclose(without[k], bound, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("objective", [ScoreFunction(2), VIMCO(2)], ids=lambda o: o.name)
@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_score_functions_need_no_derivative_of_the_decoder(objective, prior):
    theta = replicas(parameters(1, prior), 50)
    both = []
    for cut in (tf.identity, tf.stop_gradient):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            given = inference(theta)
            through = dataclasses.replace(given, log_px=lambda z, g=given, c=cut: g.log_px(c(z)))
            terms = objective.estimate(through)
            loss = terms.nll + terms.kl_term
        both.append(tape.gradient(loss, theta))
    for name, gradient in both[0].items():
        np.testing.assert_array_equal(gradient, both[1][name])


@pytest.mark.parametrize("kind", [*ELBOS, *BOUNDS])
def test_the_draws_stay_differentiable_for_penalties(kind):
    objective = ELBOS[kind](1) if kind in ELBOS else BOUNDS[kind][0]()
    theta = replicas(parameters(1), 5)
    with tf.GradientTape() as tape:
        tape.watch(theta)
        z = objective.estimate(inference(theta)).z[0]
    np.testing.assert_array_equal(tape.gradient(z, theta["a"]), np.ones([5, 1]))
