"""p(z): distributions over the latent space."""

import math

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.base import DistributionObject, bounded
from vae_tf.errors import ConfigError


class Prior(DistributionObject):
    """p(z) over vectors of `latent_dim` numbers; a subclass gives `distribution`."""

    def __init__(self, latent_dim: int, **kwargs):
        super().__init__(**kwargs)
        fix = "Pass latent_dim=2 for pictures of the latent space, 16 to 64 for quality."
        self.latent_dim = whole("latent_dim", latent_dim, fix=fix)

    def distribution(self) -> tfd.Distribution:
        """Returns p(z), batch [], event [latent_dim]."""
        raise ConfigError("A Prior must define `distribution`", type(self).__name__, "Override it.")

    def mixture(self) -> dict[str, np.ndarray] | None:
        """Returns p(z) as a mixture of diagonal normals, for those who have the numbers alone.

        Returns:
            `weights` [K], `loc` [K, L] and `scale` [K, L] float32; None if it is no such mixture.
        """
        return None

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "latent_dim": self.latent_dim}


@keras.saving.register_keras_serializable(package="vae_tf")
class StandardNormal(Prior):
    """p(z) = N(0, I) (Kingma and Welling 2014, appendix B)."""

    def distribution(self) -> tfd.Distribution:
        """Returns N(0, I), batch [], event [latent_dim]."""
        zeros = tf.zeros([self.latent_dim])
        return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), 1)

    def mixture(self) -> dict[str, np.ndarray]:
        """Returns its one component."""
        shape = (1, self.latent_dim)
        loc: np.ndarray = np.zeros(shape, "float32")
        scale: np.ndarray = np.ones(shape, "float32")
        return {"weights": np.ones(1, "float32"), "loc": loc, "scale": scale}


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
