"""q(z|x) as a normal distribution."""

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.base import bounded, named_parameters
from vae_tf.distributions.posteriors.base import Posterior


@keras.saving.register_keras_serializable(package="vae_tf")
class DiagonalNormal(Posterior):
    """q(z|x) = N(z_mean, diag(exp(z_log_var))) (Kingma and Welling 2014, equation 9).

    `z_log_var` is kept within [-20, 20]: variances from 2e-9 to 5e8, all safe in float32.
    """

    parameters = ("z_mean", "z_log_var")
    factorized = True
    log_var_bound = 20.0

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `z_mean` and the bounded `z_log_var`, each [B, L]."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        bound = self.log_var_bound
        return {**values, "z_log_var": bounded(values["z_log_var"], -bound, bound)}

    def distribution(self, params) -> tfd.Distribution:
        """Returns q(z|x), batch [B], event [L]."""
        q = self.statistics(params)
        return tfd.Independent(tfd.Normal(q["z_mean"], tf.exp(0.5 * q["z_log_var"])), 1)
