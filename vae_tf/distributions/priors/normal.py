"""p(z) as one normal distribution."""

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.normal import Normal
from vae_tf.distributions.priors.base import Prior


@keras.saving.register_keras_serializable(package="vae_tf")
class StandardNormal(Prior):
    """p(z) = N(0, I) (Kingma and Welling 2014, appendix B).

    Example:
        >>> pz = vae_tf.priors.StandardNormal(2).distribution()
        >>> pz.log_prob(tf.zeros([1, 2])).numpy().round(3)  # -ln(2 pi)
        array([-1.838], dtype=float32)
    """

    factorized = True

    def distribution(self) -> tfd.Distribution:
        """Returns N(0, I), batch [], event [latent_dim]."""
        zeros = tf.zeros([self.latent_dim])
        return tfd.Independent(Normal(zeros, tf.ones_like(zeros)), 1)

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """Returns the normal draws, [B, latent_dim]."""
        return normal

    def mixture(self) -> dict[str, np.ndarray]:
        """Returns its one component."""
        shape = (1, self.latent_dim)
        loc: np.ndarray = np.zeros(shape, "float32")
        scale: np.ndarray = np.ones(shape, "float32")
        return {"weights": np.ones(1, "float32"), "loc": loc, "scale": scale}


@keras.saving.register_keras_serializable(package="vae_tf")
class LearnedNormal(Prior):
    """p(z) = N(loc, diag(scale^2)), both learned with the model.

    Example:
        >>> prior = vae_tf.priors.LearnedNormal(2)
        >>> [variable.name for variable in prior.trainable_variables]
        ['loc', 'log_scale']
        >>> prior.distribution().stddev().numpy()
        array([1., 1.], dtype=float32)
    """

    factorized = True

    def __init__(self, latent_dim: int, **kwargs):
        super().__init__(latent_dim, **kwargs)
        shape = (self.latent_dim,)
        self.loc = self.add_weight(name="loc", shape=shape, initializer="zeros")
        self.log_scale = self.add_weight(name="log_scale", shape=shape, initializer="zeros")

    def distribution(self) -> tfd.Distribution:
        """Returns p(z), batch [], event [latent_dim]."""
        log_scale = self.bounded_log_scale(self.log_scale)
        return tfd.Independent(Normal(tf.convert_to_tensor(self.loc), tf.exp(log_scale)), 1)

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """Returns the normal draws, moved and scaled, [B, latent_dim]."""
        inside = self.distribution().distribution
        return inside.loc + inside.scale * normal

    def mixture(self) -> dict[str, np.ndarray]:
        """Returns its one component."""
        inside = self.distribution().distribution
        weights: np.ndarray = np.ones(1, "float32")
        return {
            "weights": weights,
            "loc": inside.loc.numpy()[None],
            "scale": inside.scale.numpy()[None],
        }
