"""p(z): distributions over the latent space."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.distributions.priors.base import Prior
from vae_tf.distributions.priors.mixture import MixtureOfNormals
from vae_tf.distributions.priors.normal import StandardNormal

__all__ = ["MixtureOfNormals", "Prior", "StandardNormal"]
