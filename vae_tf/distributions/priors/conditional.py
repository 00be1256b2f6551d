"""p(z|c): a normal distribution whose parameters a network gives."""

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.normal import Normal
from vae_tf.distributions.priors.base import Prior
from vae_tf.errors import ConfigError
from vae_tf.wiring import Wiring

OUTPUTS = ("loc", "log_scale")


@keras.saving.register_keras_serializable(package="vae_tf")
class Conditional(Prior):
    """p(z|c) = N(loc(c), diag(exp(log_scale(c))^2)) (Sohn et al. 2015, section 4.1).

    Args:
        network: a Keras model from the condition to `loc` and `log_scale`, [B, L] each;
            `networks.conditional_prior_network` builds one.

    Raises:
        ConfigError: the network has other outputs.

    Example:
        >>> network = vae_tf.networks.conditional_prior_network(condition=10, latent_dim=2)
        >>> prior = vae_tf.priors.Conditional(network)
        >>> digits = tf.constant([3, 7])
        >>> prior.distribution(digits).mean().shape.as_list()  # a mean for each condition
        [2, 2]
    """

    factorized = True
    conditional = True

    def __init__(self, network: keras.Model, **kwargs):
        if isinstance(network, dict):
            network = keras.saving.deserialize_keras_object(network)
        wiring = Wiring(network, "prior's network", main=None)
        shapes = wiring.output_shapes()
        fix = "Use networks.conditional_prior_network(condition, latent_dim)."
        if not isinstance(shapes, dict) or set(shapes) != set(OUTPUTS):
            expected = "The network of a Conditional prior must put out loc and log_scale"
            raise ConfigError(expected, f"outputs {shapes}", fix)
        loc = shapes["loc"]
        if len(loc) != 1 or shapes["log_scale"] != loc:
            raise ConfigError("loc and log_scale must both be [B, latent_dim]", shapes, fix)
        super().__init__(loc[0], **kwargs)
        self.network = network
        self.wiring = wiring

    def distribution(self, condition=None) -> tfd.Distribution:
        """Returns p(z|c), batch [B], event [latent_dim], of a condition [B, ...] or a dict of such.

        Raises:
            DataError: there is no condition, or the network does not take it.
        """
        params = self.wiring({"condition": condition})
        loc, raw = (tf.cast(params[name], tf.float32) for name in OUTPUTS)
        return tfd.Independent(Normal(loc, tf.exp(self.bounded_log_scale(raw))), 1)

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor, condition=None) -> tf.Tensor:
        """Returns loc(c) + exp(log_scale(c)) * normal, [B, latent_dim]."""
        inside = self.distribution(condition).distribution
        return inside.loc + inside.scale * normal

    def get_config(self) -> dict:
        """Returns the constructor's arguments, serialized."""
        config = super().get_config()
        config.pop("latent_dim")
        return {**config, "network": keras.saving.serialize_keras_object(self.network)}
