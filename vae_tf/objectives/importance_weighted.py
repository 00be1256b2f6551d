"""Bounds from several draws and their importance weights."""

import keras
import tensorflow as tf

from vae_tf.checks import real
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Inference, Objective, Terms
from vae_tf.objectives.gradients import value_and_slope, with_gradient_of
from vae_tf.objectives.terms import log_mean_exp


class ImportanceWeighted(Objective):
    """A bound made of w_k = p(x, z_k) / q(z_k|x); a subclass gives `estimate`.

    While beta warms up, the weights are p(x|z) (p(z) / q(z|x))^beta, whose log-mean meets the
    ELBO of that beta at one draw. The KL reported is its estimate at the draws.
    """

    has_kl_term = False

    def _terms(self, inference: Inference, z, log_px, log_ratio, loss) -> Terms:
        """Returns the terms, given log p(x|z) and log p(z)/q(z|x), both [K, B], and the loss."""
        nll = tf.stop_gradient(-tf.reduce_mean(log_px, 0))
        kl = tf.stop_gradient(-tf.reduce_mean(log_ratio, 0))
        bound = tf.stop_gradient(self._bound(log_px + log_ratio))
        return Terms(nll, kl, loss - nll, z, bound)

    def _bound(self, log_w: tf.Tensor) -> tf.Tensor:
        return log_mean_exp(log_w)


@keras.saving.register_keras_serializable(package="vae_tf")
class IWAE(ImportanceWeighted):
    """The bound log (1/K) sum_k w_k, reparametrized (Burda et al. 2016, equation 8).

    Args:
        num_samples: K.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> objective = vae_tf.objectives.IWAE(num_samples=5)
        >>> vae = vae_tf.VAE(encoder, decoder, objective=objective)
        >>> terms = vae(np.ones((3, 8)))
        >>> terms.z.shape.as_list(), terms.bound.shape.as_list()
        ([5, 3, 2], [3])
    """

    def __init__(self, num_samples: int = 5, **kwargs):
        super().__init__(num_samples, **kwargs)

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch."""
        z = inference.draw(self.num_samples)
        log_px = inference.log_px(z)
        log_ratio = inference.log_ratio(z)
        loss = -self._bound(log_px + inference.beta * log_ratio)
        return self._terms(inference, z, log_px, log_ratio, loss)


@keras.saving.register_keras_serializable(package="vae_tf")
class DReG(ImportanceWeighted):
    """The IWAE bound with doubly reparametrized gradients (Tucker et al. 2019, equation 8).

    As K grows, the encoder's gradient keeps its signal, while that of IWAE drowns in noise. The
    decoder's gradient is that of IWAE.

    Args:
        num_samples: K.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> objective = vae_tf.objectives.DReG(num_samples=5)
        >>> vae = vae_tf.VAE(encoder, decoder, objective=objective)
        >>> terms = vae(np.ones((3, 8)))
        >>> terms.z.shape.as_list(), terms.bound.shape.as_list()
        ([5, 3, 2], [3])
    """

    def __init__(self, num_samples: int = 5, **kwargs):
        super().__init__(num_samples, **kwargs)

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch."""
        z, beta = inference.draw(self.num_samples), inference.beta
        terms = {}

        def negative_log_weights(z):
            terms["log_px"] = inference.log_px(z)
            latents = inference.groups(z)
            terms["log_pz"] = tf.add_n([group.p.log_prob(group.z) for group in latents])
            terms["log_qz"] = tf.add_n([group.q.log_prob(group.z) for group in latents])
            return beta * (terms["log_qz"] - terms["log_pz"]) - terms["log_px"]

        # Of the weights' inverses, for bounded parameters take a gradient for one to be descended
        value, slope = value_and_slope(z, negative_log_weights)
        log_w = -value
        w = tf.stop_gradient(tf.nn.softmax(log_w, 0))
        decoder_side = tf.reduce_sum(w * (terms["log_px"] + beta * terms["log_pz"]), 0)
        # w^2 at beta = 1; the score of q^beta is reparametrized a second time, the rest is not
        doubly = (1 - beta) * w + beta * tf.square(w)
        encoder_side = tf.reduce_sum(doubly * tf.reduce_sum(slope * z, -1), 0)
        loss = with_gradient_of(-self._bound(log_w), encoder_side - decoder_side)
        log_ratio = terms["log_pz"] - terms["log_qz"]
        return self._terms(inference, z, terms["log_px"], log_ratio, loss)


@keras.saving.register_keras_serializable(package="vae_tf")
class Renyi(ImportanceWeighted):
    """The bound log ((1/K) sum_k w_k^(1 - alpha)) / (1 - alpha) (Li and Turner 2016).

    It is reparametrized. alpha = 0 is IWAE and alpha -> 1 the ELBO; values between trade
    mode-seeking against mode-covering.

    Args:
        num_samples: K.
        alpha: order of the Renyi divergence, at least 0 and not 1.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> objective = vae_tf.objectives.Renyi(num_samples=5, alpha=0.5)
        >>> vae = vae_tf.VAE(encoder, decoder, objective=objective)
        >>> terms = vae(np.ones((3, 8)))
        >>> terms.z.shape.as_list(), terms.bound.shape.as_list()
        ([5, 3, 2], [3])
    """

    def __init__(self, num_samples: int = 5, alpha: float = 0.5, **kwargs):
        super().__init__(num_samples, **kwargs)
        self.alpha = real("alpha", alpha, positive=False)
        if self.alpha == 1:
            fix = "Use ELBO(num_samples), which is the bound of that order."
            raise ConfigError("`alpha` must not be 1", repr(alpha), fix)

    def _bound(self, log_w: tf.Tensor) -> tf.Tensor:
        order = 1 - self.alpha
        return log_mean_exp(order * log_w) / order

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch."""
        return IWAE.estimate(self, inference)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "alpha": self.alpha}
