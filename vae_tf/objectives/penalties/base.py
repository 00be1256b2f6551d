"""What every penalty is: a term beside the bound, about the codes of a whole batch."""

import tensorflow as tf

from vae_tf.checks import real
from vae_tf.distributions.base import ModelPart
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Inference


class Penalty(ModelPart):
    """A scalar added to the loss; a subclass gives `penalty`.

    Args:
        weight: factor on the penalty.

    Attributes:
        needs_factorized: whether q(z|x) must be a product over the dimensions of z.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> class Length(vae_tf.objectives.Penalty):
        ...     def penalty(self, z, inference):
        ...         return self.weight * tf.reduce_mean(tf.norm(z, axis=-1))
        >>> vae = vae_tf.VAE(encoder, decoder, penalties=[Length(0.1)])
        >>> vae(np.ones((3, 8))).extra.shape.as_list()
        []
    """

    use = "Give it to a VAE: `VAE(..., penalties=[...])`."
    needs_factorized = False

    def __init__(self, weight: float, **kwargs):
        super().__init__(**kwargs)
        self.weight = real("weight", weight, positive=False)

    def penalty(self, z: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns the penalty of one draw z ~ q(z|x) [B, L] for each example, a scalar."""
        raise ConfigError("A Penalty must define `penalty`", type(self).__name__, "Override it.")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "weight": self.weight}
