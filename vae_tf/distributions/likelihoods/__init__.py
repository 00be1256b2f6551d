"""p(x|z): distributions over data, given the decoder's outputs."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.likelihoods.binary import Bernoulli
from vae_tf.distributions.likelihoods.categorical import Categorical
from vae_tf.distributions.likelihoods.continuous_bernoulli import ContinuousBernoulli
from vae_tf.distributions.likelihoods.counts import NegativeBinomial, Poisson
from vae_tf.distributions.likelihoods.discretized import (
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
)
from vae_tf.distributions.likelihoods.gaussian import (
    Gaussian,
    GaussianLearnedScale,
    GaussianPixelScale,
)
from vae_tf.distributions.likelihoods.mixed import Mixed

__all__ = [
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Gaussian",
    "GaussianLearnedScale",
    "GaussianPixelScale",
    "Likelihood",
    "Mixed",
    "NegativeBinomial",
    "Poisson",
]


def __dir__() -> list[str]:
    return sorted(__all__)
