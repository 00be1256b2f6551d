"""p(z) as one normal distribution."""

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.priors.base import Prior


@keras.saving.register_keras_serializable(package="vae_tf")
class StandardNormal(Prior):
    """p(z) = N(0, I) (Kingma and Welling 2014, appendix B)."""

    factorized = True

    def distribution(self) -> tfd.Distribution:
        """Returns N(0, I), batch [], event [latent_dim]."""
        zeros = tf.zeros([self.latent_dim])
        return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), 1)

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """Returns the normal draws, [B, latent_dim]."""
        return normal

    def mixture(self) -> dict[str, np.ndarray]:
        """Returns its one component."""
        shape = (1, self.latent_dim)
        loc: np.ndarray = np.zeros(shape, "float32")
        scale: np.ndarray = np.ones(shape, "float32")
        return {"weights": np.ones(1, "float32"), "loc": loc, "scale": scale}
