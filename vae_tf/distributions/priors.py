"""p(z): distributions over the latent space."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from vae_tf.distributions.base import DistributionObject
from vae_tf.errors import ConfigError

tfd = tfp.distributions


class Prior(DistributionObject):
    """p(z) over vectors of `latent_dim` numbers; a subclass gives `distribution`."""

    def __init__(self, latent_dim: int, **kwargs):
        super().__init__(**kwargs)
        if isinstance(latent_dim, bool) or not isinstance(latent_dim, int) or latent_dim < 1:
            raise ConfigError(
                "`latent_dim` must be a whole number of at least 1",
                repr(latent_dim),
                "Pass latent_dim=2 for pictures of the latent space, 16 to 64 for quality.",
            )
        self.latent_dim = latent_dim

    def distribution(self) -> tfd.Distribution:
        """Returns p(z), batch [], event [latent_dim]."""
        raise ConfigError("A Prior must define `distribution`", type(self).__name__, "Override it.")

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
