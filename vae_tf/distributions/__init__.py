"""The only place that builds `tfd` objects: priors, posteriors, likelihoods."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.distributions import likelihoods, posteriors, priors
from vae_tf.distributions.likelihoods import *  # noqa: F403 (each package lists its names)
from vae_tf.distributions.posteriors import *  # noqa: F403
from vae_tf.distributions.priors import *  # noqa: F403

__all__ = [
    *likelihoods.__all__,
    *posteriors.__all__,
    *priors.__all__,
    "likelihoods",
    "posteriors",
    "priors",
]


def __dir__() -> list[str]:
    return sorted(__all__)
