"""p(z): distributions over the latent space."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.distributions.priors.base import Prior
from vae_tf.distributions.priors.conditional import Conditional
from vae_tf.distributions.priors.flow import MaskedAutoregressive, RealNVP
from vae_tf.distributions.priors.hierarchy import Hierarchy
from vae_tf.distributions.priors.joint import Joint
from vae_tf.distributions.priors.mixture import MixtureOfNormals
from vae_tf.distributions.priors.normal import LearnedNormal, StandardNormal
from vae_tf.distributions.priors.probability import DistributionPrior
from vae_tf.distributions.priors.vamp import VampPrior

__all__ = [
    "Conditional",
    "DistributionPrior",
    "Hierarchy",
    "Joint",
    "LearnedNormal",
    "MaskedAutoregressive",
    "MixtureOfNormals",
    "Prior",
    "RealNVP",
    "StandardNormal",
    "VampPrior",
]


def __dir__() -> list[str]:
    return sorted(__all__)
