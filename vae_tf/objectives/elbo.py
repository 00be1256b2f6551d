"""The evidence lower bound, with reparametrized gradients."""

import keras
import tensorflow as tf

from vae_tf.objectives.base import Inference, Objective, Terms
from vae_tf.objectives.gradients import through_draws
from vae_tf.objectives.terms import kl_parts, pieces


@keras.saving.register_keras_serializable(package="vae_tf")
class ELBO(Objective):
    """The ELBO, E_q[log p(x|z)] - KL(q(z|x) || p(z)) (Kingma and Welling 2014, equation 7).

    Args:
        num_samples: L, draws of z for each example.
        closed_form: whether the KL is computed in closed form. None: where TFP knows one, else it
            is estimated at the draws. True: always. False: never (their equation 6).

    Raises:
        ConfigError: in a call, if `closed_form=True` and TFP knows none for the pair of
            distributions.

    Example:
        >>> qz = tfd.Independent(tfd.Normal([[1.0, 0.0]], 1.0), 1)  # one example, two latents
        >>> pz = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
        >>> inference = vae_tf.objectives.Inference(
        ...     batch=None,
        ...     qz=qz,
        ...     pz=pz,
        ...     log_px=lambda z: tf.fill(tf.shape(z)[:2], -3.0),
        ...     seed=tf.constant([0, 0]),
        ...     beta=tf.constant(1.0),
        ...     now=None,
        ... )
        >>> terms = vae_tf.objectives.ELBO().estimate(inference)
        >>> terms.nll.numpy(), terms.kl.numpy()  # the ELBO is -3.5 nats
        (array([3.], dtype=float32), array([0.5], dtype=float32))
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

    The gradient of log q(z|x) with respect to the parameters of q has expectation 0. Without it,
    the gradient of the ELBO has no variance at all where q(z|x) is the true posterior. The KL is
    estimated at the draws.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> objective = vae_tf.objectives.StickingTheLanding()
        >>> vae = vae_tf.VAE(encoder, decoder, objective=objective)
        >>> terms = vae(np.ones((3, 8)))
        >>> terms.nll.shape.as_list(), terms.kl.shape.as_list()
        ([3], [3])
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
