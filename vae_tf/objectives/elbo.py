"""The evidence lower bound, with reparametrized gradients."""

import keras
import tensorflow as tf

from vae_tf.objectives.base import Inference, Objective, Terms
from vae_tf.objectives.gradients import through_draws
from vae_tf.objectives.terms import kl_parts, pieces


@keras.saving.register_keras_serializable(package="vae_tf")
class ELBO(Objective):
    """E_q[log p(x|z)] - KL(q(z|x) || p(z)) (Kingma and Welling 2014, equation 7).

    Args:
        num_samples: L, draws of z for each example.
        closed_form: of the KL. None: where TFP has one, else estimated at the draws. True: it
            must exist. False: never (their equation 6).

    Raises:
        ConfigError: when called with a pair of distributions that lacks a demanded closed form.
    """

    def __init__(self, num_samples: int = 1, closed_form: bool | None = None, **kwargs):
        super().__init__(num_samples, **kwargs)
        self.closed_form = closed_form

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch."""
        z = inference.draw(self.num_samples)
        nll = -tf.reduce_mean(inference.log_px(z), 0)
        parts = kl_parts(inference.groups(z), inference.level, self.closed_form)
        return Terms(nll, tf.reduce_sum(parts, -1), inference.kl_term(parts), z)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "closed_form": self.closed_form}


@keras.saving.register_keras_serializable(package="vae_tf")
class StickingTheLanding(Objective):
    """The ELBO without the score term in its gradient (Roeder et al. 2017, equation 8).

    The gradient of log q(z|x) by the parameters of q has expectation 0; left out, the gradient
    has no variance at all where q(z|x) is the true posterior. The KL is estimated at the draws.
    """

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch."""
        z = inference.draw(self.num_samples)
        nll = -tf.reduce_mean(inference.log_px(z), 0)
        parts = []
        for group in inference.groups(z):
            # Where q depends on draws above, the gradient of its parameters by them is left out
            # as well: it has expectation 0 for the same reason
            q, p, draws, _ = pieces(group, inference.level)
            part = through_draws(draws, q.log_prob) - p.log_prob(draws)
            parts.append(part if inference.level == "dimension" else part[..., None])
        kl = tf.reduce_mean(tf.concat(parts, -1), 0)
        return Terms(nll, tf.reduce_sum(kl, -1), inference.kl_term(kl), z)
