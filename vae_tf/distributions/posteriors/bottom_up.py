"""q(z|x) from the lowest group up."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.hierarchical import Level
from vae_tf.distributions.normal import Normal
from vae_tf.distributions.posteriors.groups import Groups
from vae_tf.distributions.posteriors.normal import bounded_log_var


@keras.saving.register_keras_serializable(package="vae_tf")
class BottomUp(Groups):
    """q(z|x) = q(z_G|x) prod_g q(z_g|z_g+1, x), from the lowest group up (Burda et al. 2016).

    The upper groups depend on the draws of the lower ones, while p(z) goes the other way. So only
    the KL of the top group has a closed form, and the cross entropy of the others is estimated at
    the draws.

    Args:
        networks: a functional Keras model for each group above the lowest, in upward order. Its
            inputs are `z`, the draw of the group below, and `features`, the encoder's output for
            the group, or one of the two; its outputs are `z_mean` and `z_log_var`, both [B,
            *shape].
        first: the posterior of the lowest group; a DiagonalNormal if None.

    Example:
        >>> z = keras.Input((4,), name="z")  # the lowest group
        >>> heads = {name: keras.layers.Dense(2)(z) for name in ("z_mean", "z_log_var")}
        >>> posterior = vae_tf.posteriors.BottomUp([keras.Model({"z": z}, heads)])
        >>> posterior.group_sizes(latent_dim=6)
        (2, 4)
    """

    upwards = True
    taken, given = ("z", "features"), ("z_mean", "z_log_var")

    def _level(self, n: int, features, z: tf.Tensor, state: Any) -> Level:
        says = self.rows[n](features=features, z=z)
        scale = tf.exp(0.5 * bounded_log_var(says["z_log_var"]))
        return Level(tfd.Independent(Normal(says["z_mean"], scale), 1))
