"""Every estimator at groups that depend on each other, against quadrature and differences."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.distributions.hierarchical import Hierarchical, Level
from vae_tf.errors import ConfigError
from vae_tf.objectives import (
    ELBO,
    IWAE,
    VIMCO,
    DReG,
    FreeBits,
    GroupWeights,
    Inference,
    LeaveOneOut,
    LinearWarmup,
    Renyi,
    ScoreFunction,
    StickingTheLanding,
)

from ..models.conftest import make
from .toy import (
    NOISE,
    assert_meets,
    derivative,
    elbo,
    importance_weighted,
    log_normal,
    normal,
    quadrature,
    replicas,
)

X = 1.1
# q: z_0 ~ N(a_0, e^b_0), z_1 ~ N(a_1 + k z_0, e^b_1); p: z_0 ~ N(0, 1), z_1 ~ N(m z_0, e^2t)
THETA = {"a": [0.4, 0.3], "b": [-0.9, -0.4], "k": [0.5], "m": [0.8], "t": [-0.2], "w": [0.7, 1.1]}
THETA = {name: np.array(value) for name, value in THETA.items()}


def distributions(theta):
    """Returns q and p, batch [B]; p of the lower group is what q was made of."""
    a, b = theta["a"], theta["b"]

    def p_below(z, state):
        return Level(normal(theta["m"] * z, tf.exp(theta["t"]) * tf.ones_like(z)))

    def q_below(z, state):
        scale = tf.exp(b[:, 1:] / 2) * tf.ones_like(z)
        return Level(normal(a[:, 1:] + theta["k"] * z, scale), None, p_below(z, state).own)

    top = normal(tf.zeros_like(a[:, :1]), tf.ones_like(a[:, :1]))
    first, way = normal(a[:, :1], tf.exp(b[:, :1] / 2)), object()
    sizes = (1, 1)
    return (
        Hierarchical(Level(first), [q_below], sizes, way=way),
        Hierarchical(Level(top), [p_below], sizes, way=way),
    )


def inference(theta, seed, **kwargs):
    def log_px(z):
        return normal(tf.reduce_sum(theta["w"] * z, -1, keepdims=True), NOISE).log_prob([X])

    qz, pz = distributions(theta)
    given = {"log_px": log_px, "seed": tf.constant(seed), "beta": tf.constant(1.0)}
    given |= {"now": lambda schedule: schedule(tf.constant(0.0)), "training": True}
    return Inference(Batch(X * tf.ones_like(theta["k"])), qz, pz, **{**given, **kwargs})


def gradients(objective, size, seed=(1, 2), **kwargs):
    @tf.function
    def of_batch(theta):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            terms = objective.estimate(inference(theta, seed, **kwargs))
            loss = terms.nll + terms.kl_term
        return tape.gradient(loss, theta, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return {k: g.numpy().astype(float) for k, g in of_batch(replicas(THETA, size)).items()}


def expected(theta, bound=elbo, draws=1, nodes=40, **kwargs):
    """Returns E over draws of q of a bound, by quadrature."""
    points, weights = quadrature(2 * draws, nodes if draws == 1 else 18)
    noise = points.reshape(draws, 2, -1)
    scale = np.exp(theta["b"] / 2)
    z0 = theta["a"][0] + scale[0] * noise[:, 0]
    mean = theta["a"][1] + theta["k"][0] * z0
    z1 = mean + scale[1] * noise[:, 1]
    log_px = log_normal(X, theta["w"][0] * z0 + theta["w"][1] * z1, np.log(NOISE))
    log_q = log_normal(z0, theta["a"][0], theta["b"][0] / 2)
    log_q = log_q + log_normal(z1, mean, theta["b"][1] / 2)
    log_p = log_normal(z0, 0, 0) + log_normal(z1, theta["m"][0] * z0, theta["t"][0])
    return weights @ bound(log_px, log_p - log_q, **kwargs)


@pytest.mark.parametrize(
    ("objective", "bound", "draws"),
    [
        (ELBO(), elbo, 1),
        (ELBO(2, closed_form=True), elbo, 1),
        (ELBO(closed_form=False), elbo, 1),
        (StickingTheLanding(), elbo, 1),
        (ScoreFunction(), elbo, 1),
        (ScoreFunction(2, LeaveOneOut()), elbo, 1),
        (IWAE(2), importance_weighted, 2),
        (DReG(2), importance_weighted, 2),
        (VIMCO(2), importance_weighted, 2),
        (Renyi(2, alpha=0.5), lambda *terms: importance_weighted(*terms, alpha=0.5), 2),
    ],
    ids=lambda value: f"{type(value).__name__}" if hasattr(value, "estimate") else "",
)
def test_the_gradient_is_that_of_the_bound(objective, bound, draws):
    exact = derivative(lambda theta: -expected(theta, bound, draws), THETA, step=1e-3)
    for name, draws_of_it in gradients(objective, 40_000).items():
        assert_meets(draws_of_it, exact[name])


def test_kl_by_group_is_that_of_quadrature():
    theta, size = replicas(THETA, 40_000), 40_000
    seen = {}

    def control(parts, inference):
        seen["parts"] = parts
        return tf.reduce_sum(parts, -1)

    ELBO().estimate(inference(theta, (1, 2), kl_control=control, level="group"))
    parts = seen["parts"].numpy().astype(float)
    assert parts.shape == (size, 2)
    a, b, k, m, t = (THETA[name] for name in "abkmt")
    first = 0.5 * (np.exp(b[0]) + a[0] ** 2 - 1 - b[0])
    distance = (a[1] + (k[0] - m[0]) * a[0]) ** 2 + (k[0] - m[0]) ** 2 * np.exp(b[0])
    second = 0.5 * ((np.exp(b[1]) + distance) / np.exp(2 * t[0]) - 1 - b[1]) + t[0]
    np.testing.assert_allclose(parts[:, 0], first, rtol=1e-5)
    assert_meets(parts[:, 1], second)


# --- controls by group

PARTS = tf.constant([[0.5, 2.0, 1.0], [1.5, 0.0, 3.0]])  # means 1, 1, 2


def controlled(control, step=0.0):
    now = lambda schedule: schedule(tf.constant(step))  # noqa: E731
    return control(PARTS, inference(replicas(THETA, 2), (1, 2), beta=tf.constant(0.5), now=now))


def test_free_bits_of_each_group():
    free = FreeBits([0.9, 5.0, 2.5], per="group")
    # Group 0 holds more than it has free; the others pay what is free to them
    np.testing.assert_allclose(controlled(free), 0.5 * (np.array([0.5, 1.5]) + 7.5))
    copy = FreeBits.from_config(free.get_config())
    assert copy.get_config() == free.get_config()


def test_weights_of_each_group_follow_their_schedules():
    weights = GroupWeights([1.0, LinearWarmup(10), LinearWarmup(20, beta=2.0)])
    for step, w in ((0, [1, 0, 0]), (5, [1, 0.5, 0.5]), (20, [1, 1, 2])):
        expected = 0.5 * PARTS.numpy() @ np.float32(w)
        np.testing.assert_allclose(controlled(weights, float(step)), expected, rtol=1e-6)
    assert len(weights.schedules) == 3
    copy = GroupWeights.from_config(weights.get_config())
    assert copy.get_config() == weights.get_config()


def test_refusals():
    with pytest.raises(ConfigError, match="`nats` of several groups need per='group'"):
        FreeBits([1.0, 2.0])
    with pytest.raises(ConfigError, match="`nats` must be a finite number of at least 0"):
        FreeBits([1.0, -2.0], per="group")
    with pytest.raises(ConfigError, match="`weights` must have one for each group"):
        GroupWeights([])
    for control in (FreeBits([1.0, 2.0], per="group"), GroupWeights([1.0, 2.0])):
        with pytest.raises(ConfigError, match="must be for the 1 groups of the prior"):
            make(kl_control=control)
