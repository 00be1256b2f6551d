"""Mixtures of diagonal normal distributions, over vectors."""

import math

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability import random as tfp_random

# Up to these float32 keeps a thousandth of a nat. In units of the scales: the squared distance of
# a component from the centre of all, and the distance of that centre from 0.
LARGEST_SQUARE, LARGEST_SHIFT = 4096.0, 256.0


class NormalMixture(tfd.MixtureSameFamily):
    """sum_k w_k N(z; m_k, diag(s_k^2)), whose density takes matrix products.

    TFP's own forms the differences of every z with every mean, [..., K, L] numbers; expanding
    the square needs [..., K] only. Products are taken in float64 where float32 would lose digits.

    Args:
        mixture_distribution: a `tfd.Categorical` of K, batch [].
        components_distribution: a `tfd.Independent` of `tfd.Normal`, batch [K], event [L].
    """

    def _log_prob(self, z):
        normal = self.components_distribution.distribution
        loc, scale = tf.convert_to_tensor(normal.loc), tf.convert_to_tensor(normal.scale)
        centre = tf.reduce_mean(loc, 0)
        narrow = tf.reduce_max(tf.reduce_sum(tf.square((loc - centre) / scale), -1))
        far = tf.reduce_max(tf.abs(centre) / scale)
        # The square of a z near a mean is the small difference of numbers as large as these,
        # beyond the digits of float32 where scales are far below the distances between means.
        # What decides is asked of the mixture alone: log p(z) shall not depend on other z.
        squares = tf.cond(
            (narrow < LARGEST_SQUARE) & (far < LARGEST_SHIFT),
            lambda: _squares(z, loc, scale, tf.float32),
            lambda: _squares(z, loc, scale, tf.float64),
        )
        log_weights = tf.nn.log_softmax(self.mixture_distribution.logits)
        log_prob = tf.reduce_logsumexp(log_weights - 0.5 * squares, -1)
        return tf.reshape(log_prob, tf.shape(z)[:-1])

    def _sample_n(self, n, seed=None):
        # TFP's own draws from every component, [n, K, L] numbers, to keep one of each K
        choice, point = tfp_random.split_seed(seed)
        uniform = tf.random.stateless_uniform([n], choice)
        normal = tf.random.stateless_normal([n, self.event_shape[0]], point)
        return self.from_noise(normal, uniform)

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """Returns draws [B, L]: `uniform` [B] chooses components, `normal` points in them."""
        inside = self.components_distribution.distribution
        chosen = component_of(uniform, self.mixture_distribution.logits)
        return tf.gather(inside.loc, chosen) + tf.gather(inside.scale, chosen) * normal

    def numbers(self) -> dict[str, np.ndarray]:
        """Returns `weights` [K], `loc` [K, L] and `scale` [K, L]."""
        inside = self.components_distribution.distribution
        weights = tf.nn.softmax(self.mixture_distribution.logits)
        parts = {"weights": weights, "loc": inside.loc, "scale": inside.scale}
        return {name: value.numpy() for name, value in parts.items()}


def component_of(uniform: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns which component each of `uniform` [B] falls into, int32 [B], by its weight."""
    cumulative = tf.cumsum(tf.nn.softmax(logits))
    # The sum is 1 but for rounding; without it, components of weight 0 at the end got the rest
    level = uniform[:, None] * cumulative[-1]
    return tf.reduce_sum(tf.cast(level >= cumulative[None, :-1], tf.int32), -1)


def _squares(z: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor, products: tf.DType) -> tf.Tensor:
    """Returns -2 log N(z; m_k, diag(s_k^2)), [rows of z, K], the products taken in that type."""
    rows, loc, scale = (
        tf.cast(t, products) for t in (tf.reshape(z, [-1, z.shape[-1]]), loc, scale)
    )
    # About their common centre, or squares of large numbers would cancel
    centre = tf.reduce_mean(loc, 0)
    rows, loc, log_scale = rows - centre, loc - centre, tf.math.log(scale)
    precision = tf.exp(-2 * log_scale)  # [K, L]
    weighted = loc * precision
    constant = tf.reduce_sum(loc * weighted + 2 * log_scale + math.log(2 * math.pi), -1)
    squares = (
        tf.linalg.matmul(tf.square(rows), precision, transpose_b=True)
        - 2 * tf.linalg.matmul(rows, weighted, transpose_b=True)
        + constant
    )
    return tf.cast(squares, z.dtype)
