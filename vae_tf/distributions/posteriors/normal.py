"""q(z|x) as a normal distribution."""

import math

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.bounds import bounded
from vae_tf.distributions.normal import Normal
from vae_tf.distributions.posteriors.base import Posterior

LOG_VAR_BOUND = 20.0  # variances from 2e-9 to 5e8, all safe in float32


def bounded_log_var(log_var: tf.Tensor) -> tf.Tensor:
    """Returns `log_var` within LOG_VAR_BOUND."""
    slower = "Lower the learning rate, and look at the scale of the"
    remedies = f"{slower} decoder's inputs, z.", f"{slower} data."
    return bounded(log_var, -LOG_VAR_BOUND, LOG_VAR_BOUND, "z_log_var", remedies)


def exp_of_rows(x: tf.Tensor) -> tf.Tensor:
    """Returns exp(x) for x [B, n], to the last bit the same wherever in a batch a row stands.

    Eigen's exponential of a whole packet, 16 numbers at most, and of what is left over differ.
    """
    n = x.shape[-1]
    return tf.exp(tf.pad(x, [[0, 0], [0, -n % 16]]))[:, :n]


@keras.saving.register_keras_serializable(package="vae_tf")
class DiagonalNormal(Posterior):
    """q(z|x) = N(z_mean, diag(exp(z_log_var))) (Kingma and Welling 2014, equation 9).

    Example:
        >>> params = {"z_mean": tf.ones([1, 2]), "z_log_var": tf.zeros([1, 2])}
        >>> qz = vae_tf.posteriors.DiagonalNormal().distribution(params)
        >>> pz = vae_tf.priors.StandardNormal(2).distribution()
        >>> tfd.kl_divergence(qz, pz).numpy()  # 1 / 2 for each latent, whose mean is 1
        array([1.], dtype=float32)
    """

    parameters = ("z_mean", "z_log_var")
    factorized = True

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `z_mean` and the bounded `z_log_var`, each [B, L]."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        return {**values, "z_log_var": bounded_log_var(values["z_log_var"])}

    def distribution(self, params) -> tfd.Distribution:
        """Returns q(z|x), batch [B], event [L]."""
        q = self.statistics(params)
        return tfd.Independent(Normal(q["z_mean"], tf.exp(0.5 * q["z_log_var"])), 1)

    def from_noise(self, params, normal: tf.Tensor) -> tf.Tensor:
        """Returns z_mean + exp(z_log_var / 2) * normal, [..., B, L]."""
        q = self.statistics(params)
        return q["z_mean"] + exp_of_rows(0.5 * q["z_log_var"]) * normal


@keras.saving.register_keras_serializable(package="vae_tf")
class FullNormal(Posterior):
    """q(z|x) = N(z_mean, T T'), T lower triangular with a positive diagonal.

    `z_scale_tril` holds first the logarithms of the diagonal of T, times two so that they are
    log-variances, and then the numbers below the diagonal, row by row.

    Example:
        >>> posterior = vae_tf.posteriors.FullNormal()
        >>> posterior.parameter_shapes(3)  # 3 on the diagonal of T, 3 below it
        {'z_mean': (3,), 'z_scale_tril': (6,)}
    """

    parameters = ("z_mean", "z_scale_tril")

    def parameter_shapes(self, latent_dim: int) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each network output."""
        entries = latent_dim * (latent_dim + 1) // 2
        return {"z_mean": (latent_dim,), "z_scale_tril": (entries,)}

    def _mean_and_scale(self, params, exp=tf.exp) -> tuple[tf.Tensor, tf.Tensor]:
        values = named_parameters(params, self.parameters, type(self).__name__)
        mean, entries = values["z_mean"], values["z_scale_tril"]
        size = mean.shape[-1]
        diagonal = tf.linalg.diag(exp(0.5 * bounded_log_var(entries[:, :size])))
        if size == 1:
            return mean, diagonal
        # Where entry (i, j) of T is among the entries below the diagonal; a 0 goes elsewhere
        rows = [
            [i * (i - 1) // 2 + j + 1 if j < i else 0 for j in range(size)] for i in range(size)
        ]
        limit = math.exp(0.5 * LOG_VAR_BOUND)  # as for the diagonal: variances stay finite
        padded = tf.pad(bounded(entries[:, size:], -limit, limit), [[0, 0], [1, 0]])
        return mean, diagonal + tf.gather(padded, tf.constant(rows), axis=1)

    def distribution(self, params) -> tfd.Distribution:
        """Returns q(z|x), batch [B], event [L]."""
        return _FullNormal(*self._mean_and_scale(params))

    def from_noise(self, params, normal: tf.Tensor) -> tf.Tensor:
        """Returns z_mean + T normal, [..., B, L]."""
        mean, scale = self._mean_and_scale(params, exp_of_rows)
        return mean + tf.linalg.matvec(scale, normal)

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `z_mean`, `z_log_var` of each latent alone, [B, L], and `z_scale_tril`."""
        mean, scale = self._mean_and_scale(params)
        variance = tf.reduce_sum(tf.square(scale), -1)
        return {"z_mean": mean, "z_log_var": tf.math.log(variance), "z_scale_tril": scale}


class _FullNormal(tfd.MultivariateNormalTriL):
    """A multivariate normal that knows its KL from products of normals."""


@tfd.RegisterKL(_FullNormal, tfd.Independent)
def _kl_from_independent(q: _FullNormal, p: tfd.Independent, name=None):
    if not isinstance(p.distribution, tfd.Normal):
        raise NotImplementedError("no closed form")  # TFP's word for it
    # mean and stddev, since loc and scale may be of smaller shapes that broadcast
    diagonal = tfd.MultivariateNormalDiag(p.distribution.mean(), p.distribution.stddev())
    return tfd.kl_divergence(tfd.MultivariateNormalTriL(q.loc, q.scale_tril), diagonal)
