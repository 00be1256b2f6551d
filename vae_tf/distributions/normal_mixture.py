"""Mixtures of diagonal normal distributions, over vectors."""

import math

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability import random as tfp_random


class NormalMixture(tfd.MixtureSameFamily):
    """sum_k w_k N(z; m_k, diag(s_k^2)), whose density takes matrix products.

    TFP's own forms the differences of every z with every mean, [..., K, L] numbers; expanding
    the square needs [..., K] only.

    Args:
        mixture_distribution: a `tfd.Categorical` of K, batch [].
        components_distribution: a `tfd.Independent` of `tfd.Normal`, batch [K], event [L].
    """

    products = tf.float32

    def _log_prob(self, z):
        normal, dtype = self.components_distribution.distribution, z.dtype
        z, loc = tf.cast(z, self.products), tf.cast(normal.loc, self.products)
        log_scale = tf.math.log(tf.cast(normal.scale, self.products))
        # About their common centre, or squares of large numbers would cancel in float32
        centre = tf.reduce_mean(loc, 0)
        z, loc = z - centre, loc - centre
        precision = tf.exp(-2 * log_scale)  # [K, L]
        weighted = loc * precision
        constant = tf.reduce_sum(loc * weighted + 2 * log_scale + math.log(2 * math.pi), -1)
        squares = (
            tf.linalg.matmul(_rows(tf.square(z)), precision, transpose_b=True)
            - 2 * tf.linalg.matmul(_rows(z), weighted, transpose_b=True)
            + constant
        )
        log_weights = tf.nn.log_softmax(self.mixture_distribution.logits)
        log_prob = tf.reduce_logsumexp(log_weights - 0.5 * tf.cast(squares, dtype), -1)
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


class NarrowNormalMixture(NormalMixture):
    """A NormalMixture whose scales may be far below the distances between its means.

    The expanded square is then the small difference of numbers as large as (m / s)^2, beyond
    the digits of float32, so its products are taken in float64.
    """

    products = tf.float64


def component_of(uniform: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns which component each of `uniform` [B] falls into, int32 [B], by its weight."""
    cumulative = tf.cumsum(tf.nn.softmax(logits))
    # The sum is 1 but for rounding; without it, components of weight 0 at the end got the rest
    level = uniform[:, None] * cumulative[-1]
    return tf.reduce_sum(tf.cast(level >= cumulative[None, :-1], tf.int32), -1)


def _rows(z: tf.Tensor) -> tf.Tensor:
    return tf.reshape(z, [-1, z.shape[-1]])
