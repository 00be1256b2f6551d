"""p(x|z): distributions over data, given what the decoder put out."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.likelihoods.binary import Bernoulli
from vae_tf.distributions.likelihoods.gaussian import (
    Gaussian,
    GaussianLearnedScale,
    GaussianPixelScale,
)

__all__ = ["Bernoulli", "Gaussian", "GaussianLearnedScale", "GaussianPixelScale", "Likelihood"]
