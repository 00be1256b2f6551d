"""The only place that builds `tfd` objects: priors, posteriors, likelihoods."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.distributions import likelihoods, posteriors, priors
from vae_tf.distributions.likelihoods import (
    Bernoulli,
    Gaussian,
    GaussianLearnedScale,
    GaussianPixelScale,
    Likelihood,
)
from vae_tf.distributions.posteriors import DiagonalNormal, Posterior
from vae_tf.distributions.priors import MixtureOfNormals, Prior, StandardNormal

__all__ = [
    "Bernoulli",
    "DiagonalNormal",
    "Gaussian",
    "GaussianLearnedScale",
    "GaussianPixelScale",
    "Likelihood",
    "MixtureOfNormals",
    "Posterior",
    "Prior",
    "StandardNormal",
    "likelihoods",
    "posteriors",
    "priors",
]
