"""p(z) as a mixture of normal distributions."""

import math

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.base import bounded
from vae_tf.distributions.priors.base import Prior


@keras.saving.register_keras_serializable(package="vae_tf")
class MixtureOfNormals(Prior):
    """p(z) = sum_k w_k N(z; m_k, diag(s_k^2)), weights, means and scales learned with the model.

    Closer to the aggregate posterior than N(0, I) can be, so less is lost in the KL term
    (Tomczak and Welling 2018, section 2.2 "Mixture of Gaussians").

    Args:
        latent_dim: L.
        components: K.
        seed: of the means' start; drawn from N(0, I), where the encoder's outputs start.
    """

    # Narrower components would make the matrix form of the density lose its last digits.
    log_scale_bounds = (-3.0, 3.0)

    def __init__(self, latent_dim: int, components: int = 500, seed: int = 0, **kwargs):
        super().__init__(latent_dim, **kwargs)
        self.components, self.seed = whole("components", components), whole("seed", seed, 0)
        shape = (self.components, self.latent_dim)
        self.logits = self.add_weight(name="logits", shape=(self.components,), initializer="zeros")
        start = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.means = self.add_weight(name="means", shape=shape, initializer=start)
        self.log_scales = self.add_weight(name="log_scales", shape=shape, initializer="zeros")

    def distribution(self) -> tfd.Distribution:
        """Returns the mixture, batch [], event [latent_dim]."""
        log_scales = bounded(tf.convert_to_tensor(self.log_scales), *self.log_scale_bounds)
        return _Mixture(
            tfd.Categorical(logits=tf.convert_to_tensor(self.logits)),
            tfd.Independent(tfd.Normal(tf.convert_to_tensor(self.means), tf.exp(log_scales)), 1),
        )

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """Returns draws [B, latent_dim]: `uniform` chooses components, `normal` points in them."""
        pz = self.distribution()
        chosen = component_of(uniform, pz.mixture_distribution.logits)
        inside = pz.components_distribution.distribution
        return tf.gather(inside.loc, chosen) + tf.gather(inside.scale, chosen) * normal

    def mixture(self) -> dict[str, np.ndarray]:
        """Returns the learned components."""
        pz = self.distribution()
        normal = pz.components_distribution.distribution
        weights = tf.nn.softmax(pz.mixture_distribution.logits)
        parts = {"weights": weights, "loc": normal.loc, "scale": normal.scale}
        return {name: value.numpy() for name, value in parts.items()}

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "components": self.components, "seed": self.seed}


class _Mixture(tfd.MixtureSameFamily):
    """A mixture of diagonal Gaussians whose density takes matrix products.

    TFP's own forms the differences of every z with every mean, [..., K, L] numbers; expanding
    the square needs [..., K] only.
    """

    def _log_prob(self, z):
        normal = self.components_distribution.distribution
        # About their common centre, or squares of large numbers would cancel in float32
        centre = tf.reduce_mean(normal.loc, 0)
        z, loc = z - centre, normal.loc - centre
        precision = 1 / tf.square(normal.scale)  # [K, L]
        weighted = loc * precision
        constant = tf.reduce_sum(
            loc * weighted + 2 * tf.math.log(normal.scale) + math.log(2 * math.pi), -1
        )
        squares = (
            tf.linalg.matmul(_rows(tf.square(z)), precision, transpose_b=True)
            - 2 * tf.linalg.matmul(_rows(z), weighted, transpose_b=True)
            + constant
        )
        log_weights = tf.nn.log_softmax(self.mixture_distribution.logits)
        log_prob = tf.reduce_logsumexp(log_weights - 0.5 * squares, -1)
        return tf.reshape(log_prob, tf.shape(z)[:-1])


def _rows(z: tf.Tensor) -> tf.Tensor:
    return tf.reshape(z, [-1, z.shape[-1]])


def component_of(uniform: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns which component each of `uniform` [B] falls into, int32 [B], by its weight."""
    cumulative = tf.cumsum(tf.nn.softmax(logits))
    # The sum is 1 but for rounding; without it, components of weight 0 at the end got the rest
    level = uniform[:, None] * cumulative[-1]
    return tf.reduce_sum(tf.cast(level >= cumulative[None, :-1], tf.int32), -1)
