"""A new objective: copy this file, rename the class, change `estimate`.

An objective of several phases overrides `step` as well; one that shows examples to the networks
more than once overrides `examples`; see `vae_tf.objectives.Objective`.
"""

from typing import Any

import keras
import tensorflow as tf

import vae_tf
from vae_tf.objectives import Inference, Terms, log_mean_exp


@keras.saving.register_keras_serializable(package="skeletons")
class CombinedBound(vae_tf.objectives.Objective):
    """share * ELBO + (1 - share) * IWAE, both of K draws (Rainforth et al. 2018, CIWAE).

    Args:
        num_samples: K.
        share: of the ELBO, from 0 to 1.
    """

    has_kl_term = False  # a bound that is no reconstruction and KL: controls of the KL are refused

    def __init__(self, num_samples: int = 5, share: float = 0.5, **kwargs: Any):
        super().__init__(num_samples, **kwargs)
        self.share = share

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch, each [B], in nats."""
        z = inference.draw(self.num_samples)  # [K, B, L]
        log_px, log_ratio = inference.log_px(z), inference.log_ratio(z)  # both [K, B]
        nll = tf.stop_gradient(-tf.reduce_mean(log_px, 0))
        kl = tf.stop_gradient(-tf.reduce_mean(log_ratio, 0))
        loss = -self.bound(log_px + inference.beta * log_ratio)
        # The model adds nll and kl_term, so that the gradient is that of the loss
        return Terms(nll, kl, loss - nll, z, tf.stop_gradient(self.bound(log_px + log_ratio)))

    def bound(self, log_w: tf.Tensor) -> tf.Tensor:
        """Returns the bound of log importance weights [K, B], [B]."""
        return self.share * tf.reduce_mean(log_w, 0) + (1 - self.share) * log_mean_exp(log_w)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "share": self.share}


if __name__ == "__main__":
    print(vae_tf.conformance.check(objective=CombinedBound()))
