"""Penalties on how the codes of a batch are distributed: DIP-VAE and InfoVAE."""

import keras
import tensorflow as tf

from vae_tf.checks import real
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Inference
from vae_tf.objectives.penalties.base import Penalty


class DIP(Penalty):
    """weight * (off-diagonal Cov^2 + diagonal_ratio * (diagonal - 1)^2) (Kumar et al. 2018).

    Args:
        weight: lambda_od.
        diagonal_ratio: lambda_d / lambda_od.
    """

    needs_factorized = True
    default_ratio = 1.0

    def __init__(self, weight: float, diagonal_ratio: float | None = None, **kwargs):
        super().__init__(weight, **kwargs)
        ratio = self.default_ratio if diagonal_ratio is None else diagonal_ratio
        self.diagonal_ratio = real("diagonal_ratio", ratio, positive=False)

    def _covariance(self, inference: Inference) -> tf.Tensor:
        """Returns Cov_p(x)[E[z|x]] over the batch, [L, L]."""
        means = inference.qz.mean()
        centred = means - tf.reduce_mean(means, 0)
        return tf.matmul(centred, centred, transpose_a=True) / tf.cast(
            tf.shape(means)[0], tf.float32
        )

    def penalty(self, z: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns the penalty, a scalar."""
        covariance = self._covariance(inference)
        diagonal = tf.linalg.diag_part(covariance)
        all_squares = tf.reduce_sum(tf.square(covariance))
        off_diagonal = all_squares - tf.reduce_sum(tf.square(diagonal))
        on_diagonal = tf.reduce_sum(tf.square(diagonal - 1))
        return self.weight * (off_diagonal + self.diagonal_ratio * on_diagonal)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "diagonal_ratio": self.diagonal_ratio}


@keras.saving.register_keras_serializable(package="vae_tf")
class DIPVAE1(DIP):
    """The penalty of DIP-VAE-I, on the covariance of posterior means (Kumar et al. 2018, eq. 6).

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> penalty = vae_tf.objectives.DIPVAE1(10.0)
        >>> vae = vae_tf.VAE(encoder, decoder, penalties=[penalty])
        >>> vae(np.ones((3, 8))).extra.shape.as_list()  # beside the bound, in nats
        []
    """

    default_ratio = 10.0


@keras.saving.register_keras_serializable(package="vae_tf")
class DIPVAE2(DIP):
    """The penalty of DIP-VAE-II, on the covariance of the aggregate posterior (ibid., eq. 7).

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> penalty = vae_tf.objectives.DIPVAE2(10.0)
        >>> vae = vae_tf.VAE(encoder, decoder, penalties=[penalty])
        >>> vae(np.ones((3, 8))).extra.shape.as_list()  # beside the bound, in nats
        []
    """

    def _covariance(self, inference: Inference) -> tf.Tensor:
        within = tf.reduce_mean(inference.qz.variance(), 0)
        return super()._covariance(inference) + tf.linalg.diag(within)


@keras.saving.register_keras_serializable(package="vae_tf")
class MaximumMeanDiscrepancy(Penalty):
    """The penalty weight * MMD^2(q(z), p(z)), unbiased, between codes and draws of the prior.

    The InfoVAE (Zhao et al. 2019) with parameters alpha and lambda has beta = 1 - alpha and weight
    = alpha + lambda - 1. The kernel is a sum of inverse multiquadratics C / (C + |z - z'|^2), whose
    tails reach distant codes (Tolstikhin et al. 2018, section 4).

    Args:
        weight: factor on the penalty.
        scales: C in units of 2 L, the mean squared distance of two draws of N(0, I).

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> penalty = vae_tf.objectives.MaximumMeanDiscrepancy(100.0)
        >>> vae = vae_tf.VAE(encoder, decoder, penalties=[penalty])
        >>> vae(np.ones((3, 8))).extra.shape.as_list()  # beside the bound, in nats
        []
    """

    def __init__(self, weight: float, scales=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0), **kwargs):
        super().__init__(weight, **kwargs)
        self.scales = tuple(real("scales", scale, positive=True) for scale in scales)
        if not self.scales:
            fix = "Pass scales=(1.0,), or leave the default."
            raise ConfigError("`scales` must be at least one number", repr(scales), fix)

    def penalty(self, z: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns the penalty, a scalar; it has a meaning for batches of two or more."""
        seed = tf.random.experimental.stateless_fold_in(inference.seed, 2)
        prior = inference.pz.sample(tf.shape(z)[0], seed=seed)
        n = tf.cast(tf.shape(z)[0], tf.float32)
        within = self._others(z) + self._others(prior)
        across = tf.reduce_sum(self._kernel(z, prior)) / (n * n)
        return self.weight * (tf.math.divide_no_nan(within, n * (n - 1)) - 2 * across)

    def _others(self, z: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the kernel over pairs of different rows."""
        kernel = self._kernel(z, z)
        return tf.reduce_sum(tf.linalg.set_diag(kernel, tf.zeros_like(kernel[:, 0])))

    def _kernel(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        squared = tf.reduce_sum(tf.square(a[:, None] - b[None]), -1)
        unit = 2.0 * a.shape[-1]
        return tf.add_n([scale * unit / (scale * unit + squared) for scale in self.scales])

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "scales": self.scales}
