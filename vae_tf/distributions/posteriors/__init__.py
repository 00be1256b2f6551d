"""q(z|x): distributions over the latent space, given the encoder's outputs."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.distributions.posteriors.bottom_up import BottomUp
from vae_tf.distributions.posteriors.flow import InverseAutoregressive
from vae_tf.distributions.posteriors.joint import JointPosterior
from vae_tf.distributions.posteriors.ladder import Ladder
from vae_tf.distributions.posteriors.normal import DiagonalNormal, FullNormal

__all__ = [
    "BottomUp",
    "DiagonalNormal",
    "FullNormal",
    "InverseAutoregressive",
    "JointPosterior",
    "Ladder",
    "Posterior",
]


def __dir__() -> list[str]:
    return sorted(__all__)
