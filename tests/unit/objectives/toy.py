"""A model that can be solved: x_d = w_d z_d + noise, q(z|x) = N(a, diag(exp(b))).

p(z) is one normal, or a mixture of them, with parameters m (means), t (log-scales) and l
(logits). Twice over: for the package in TensorFlow, and as an oracle in NumPy float64.
"""

import functools
import itertools

import numpy as np
import tensorflow as tf
from scipy.special import logsumexp
from tensorflow_probability import distributions as tfd

from vae_tf.data.batch import Batch
from vae_tf.objectives import Inference

NOISE = 0.8
X = np.array([1.3, -0.6])  # of two dimensions; one-dimensional models take the first


def parameters(dims=1, prior="normal"):
    """Parameters that are right for nothing: q is not the posterior, p(z) not N(0, I)."""
    theta = {"a": [0.4, 0.3], "b": [-0.9, -0.4], "w": [1.1, 0.7]}
    theta = {name: np.array(value[:dims]) for name, value in theta.items()}
    m, t = np.array([[-0.5, 0.2], [0.9, -0.4]]), np.array([[-0.1, 0.1], [-0.4, 0.2]])
    if prior == "standard":
        return theta
    if prior == "normal":
        return {**theta, "m": m[0, :dims], "t": t[0, :dims]}
    return {**theta, "m": m[:, :dims], "t": t[:, :dims], "l": np.array([0.3, -0.2])}


def exact_posterior(dims=1, x=X):
    """Parameters with q(z|x) = p(z|x) under p(z) = N(0, I)."""
    theta = parameters(dims, "standard")
    w = theta["w"]
    total = w**2 + NOISE**2
    return {**theta, "a": w * x[:dims] / total, "b": np.log(NOISE**2 / total)}


# In TensorFlow, each example with parameters of its own: gradients are then per example


def replicas(theta, size):
    """Returns each parameter `size` times, float32."""
    return {
        name: tf.constant(np.broadcast_to(value, (size, *value.shape)), tf.float32)
        for name, value in theta.items()
    }


def normal(loc, scale):
    return tfd.Independent(tfd.Normal(loc, scale), 1)


def prior_of(theta):
    if "m" not in theta:
        return normal(tf.zeros_like(theta["a"]), tf.ones_like(theta["a"]))
    components = normal(theta["m"], tf.exp(theta["t"]))
    if "l" not in theta:
        return components
    return tfd.MixtureSameFamily(tfd.Categorical(logits=theta["l"]), components)


def inference(theta, seed=(1, 2), beta=1.0, x=X, **kwargs):
    """Returns one batch of the model as an objective sees it."""
    x = tf.constant(x[: theta["a"].shape[-1]], tf.float32)

    def log_px(z):
        return normal(theta["w"] * z, NOISE * tf.ones_like(z)).log_prob(x)

    given = {
        "batch": Batch(x * tf.ones_like(theta["a"])),
        "qz": normal(theta["a"], tf.exp(theta["b"] / 2)),
        "pz": prior_of(theta),
        "log_px": log_px,
        "seed": tf.convert_to_tensor(seed),
        "beta": tf.constant(beta),
        "now": lambda schedule: schedule(tf.constant(0.0)),
        "training": True,
    }
    weight = kwargs.pop("sample_weight", None)
    given["batch"] = given["batch"]._replace(weight=weight)
    return Inference(**{**given, **kwargs})


def gradients(objective, theta, size, seed=(1, 2), beta=1.0, jit_compile=False, **kwargs):
    """Returns per-example gradients of the loss by each parameter, {name: [size, ...]}."""

    @tf.function(jit_compile=jit_compile)
    def of_batch(theta):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            terms = objective.estimate(inference(theta, seed, beta, **kwargs))
            loss = terms.nll + terms.kl_term
        return tape.gradient(loss, theta, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return {k: g.numpy().astype(float) for k, g in of_batch(replicas(theta, size)).items()}


# The oracle


def log_normal(x, loc, log_scale):
    return -0.5 * np.square((x - loc) / np.exp(log_scale)) - log_scale - 0.5 * np.log(2 * np.pi)


def log_prior(theta, z):
    """log p(z) of z [..., L]."""
    if "m" not in theta:
        return np.sum(log_normal(z, 0.0, 0.0), -1)
    if "l" not in theta:
        return np.sum(log_normal(z, theta["m"], theta["t"]), -1)
    inside = np.sum(log_normal(z[..., None, :], theta["m"], theta["t"]), -1)
    return logsumexp(inside + theta["l"] - logsumexp(theta["l"]), axis=-1)


def elbo(log_px, log_ratio, beta=1.0):
    return np.mean(log_px + beta * log_ratio, 0)


def importance_weighted(log_px, log_ratio, beta=1.0, alpha=0.0):
    order = 1 - alpha
    log_w = order * (log_px + beta * log_ratio)
    return (logsumexp(log_w, axis=0) - np.log(len(log_w))) / order


@functools.cache
def quadrature(dims, nodes):
    """Nodes [dims, N] and weights [N] of Gauss and Hermite for N(0, I)."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    grid = np.array(list(itertools.product(range(nodes), repeat=dims))).T
    return points[grid], np.prod(weights[grid], axis=0)


def expected(theta, bound=elbo, draws=1, nodes=None, **kwargs):
    """Returns E over `draws` draws of q of `bound`, by quadrature."""
    dims = len(theta["a"])
    nodes = nodes or {1: 120, 2: 60, 3: 40, 4: 22}[draws * dims]
    points, weights = quadrature(draws * dims, nodes)
    noise = points.reshape(draws, dims, -1).swapaxes(1, 2)  # [K, N, L]
    z = theta["a"] + np.exp(theta["b"] / 2) * noise
    log_px = np.sum(log_normal(X[:dims], theta["w"] * z, np.log(NOISE)), -1)
    log_q = np.sum(log_normal(z, theta["a"], theta["b"] / 2), -1)
    return weights @ bound(log_px, log_prior(theta, z) - log_q, **kwargs)


def log_marginal(theta, x=X):
    """log p(x) for p(z) = N(0, I): x_d ~ N(0, w_d^2 + NOISE^2)."""
    w = theta["w"]
    return np.sum(log_normal(x[: len(w)], 0.0, np.log(w**2 + NOISE**2) / 2))


def derivative(function, theta, step=1e-4):
    """Returns the derivative of function(theta) by each parameter: central differences."""
    result = {}
    for name, value in theta.items():
        result[name] = np.zeros_like(value)
        for i in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = value.copy()
                moved[i] += sign * step
                ends.append(function({**theta, name: moved}))
            result[name][i] = (ends[0] - ends[1]) / (2 * step)
    return result


def assert_meets(draws, value, errors=4.5):
    """Asserts that the mean of `draws` [N, ...] is `value` within so many standard errors."""
    error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    # rounding: float32 draws, each off by parts in 1e-6
    slack = 1e-6 * np.abs(draws).max(0)
    np.testing.assert_array_less(np.abs(draws.mean(0) - value), errors * error + slack + 1e-9)
