"""p(z) as a mixture of normal distributions."""

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.normal import Normal
from vae_tf.distributions.normal_mixture import NormalMixture
from vae_tf.distributions.priors.base import Prior


@keras.saving.register_keras_serializable(package="vae_tf")
class MixtureOfNormals(Prior):
    """p(z) = sum_k w_k N(z; m_k, diag(s_k^2)), weights, means and scales learned with the model.

    It can come closer to the aggregate posterior than N(0, I), so that the KL term costs less
    (Tomczak and Welling 2018, section 2.2 "Mixture of Gaussians").

    Args:
        latent_dim: L.
        components: K.
        seed: seed of the initial means, which are drawn from N(0, I), where codes start too.

    Example:
        >>> prior = vae_tf.priors.MixtureOfNormals(latent_dim=2, components=10)
        >>> parts = prior.mixture()
        >>> parts["loc"].shape, round(float(parts["weights"].sum()), 3)
        ((10, 2), 1.0)
    """

    log_scale_bounds = (-3.0, 3.0)

    def __init__(self, latent_dim: int, components: int = 500, seed: int = 0, **kwargs):
        super().__init__(latent_dim, **kwargs)
        self.components, self.seed = whole("components", components), whole("seed", seed, 0)
        shape = (self.components, self.latent_dim)
        self.logits = self.add_weight(name="logits", shape=(self.components,), initializer="zeros")
        start = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.means = self.add_weight(name="means", shape=shape, initializer=start)
        self.log_scales = self.add_weight(name="log_scales", shape=shape, initializer="zeros")

    def distribution(self) -> NormalMixture:
        """Returns the mixture, batch [], event [latent_dim]."""
        log_scales = self.bounded_log_scale(self.log_scales)
        return NormalMixture(
            tfd.Categorical(logits=tf.convert_to_tensor(self.logits)),
            tfd.Independent(Normal(tf.convert_to_tensor(self.means), tf.exp(log_scales)), 1),
        )

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """Returns draws [B, latent_dim]: `uniform` chooses components, `normal` points in them."""
        return self.distribution().from_noise(normal, uniform)

    def mixture(self) -> dict[str, np.ndarray]:
        """Returns the learned components."""
        return self.distribution().numbers()

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "components": self.components, "seed": self.seed}
