"""The names of the command line, each resolved to the object of the mathematics it stands for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vae_tf.distributions import likelihoods, posteriors, priors
from vae_tf.networks import conditional_prior_network
from vae_tf.objectives import (
    ELBO,
    IWAE,
    VIMCO,
    CosineWarmup,
    Cyclical,
    DReG,
    FreeBits,
    KLControl,
    LeaveOneOut,
    LinearWarmup,
    Objective,
    Renyi,
    RunningMean,
    Schedule,
    ScoreFunction,
    StickingTheLanding,
)
from vae_tf.objectives.schedules import Warmup
from vae_tf.runs.config import TrainConfig


@dataclass(frozen=True)
class Setting:
    """What a part may depend on.

    Attributes:
        config: the flags.
        examples: returns so many training images, [N, *event].
        num_classes: of the labels that the model is conditional on; None if it is not.
    """

    config: TrainConfig
    examples: Callable[[int], np.ndarray]
    num_classes: int | None = None

    @property
    def latent_dim(self) -> int:
        """L."""
        return self.config.number("latent_dim")


LIKELIHOODS: dict[str, Callable[[TrainConfig], likelihoods.Likelihood]] = {
    "bernoulli": lambda config: likelihoods.Bernoulli(),
    "gaussian": lambda config: likelihoods.Gaussian(float(config.scale)),
    "gaussian-learned": lambda config: likelihoods.GaussianLearnedScale(float(config.scale)),
    "gaussian-pixel": lambda config: likelihoods.GaussianPixelScale(),
    "continuous-bernoulli": lambda config: likelihoods.ContinuousBernoulli(),
    "discretized-logistic": lambda config: likelihoods.DiscretizedLogistic(),
    "discretized-logistic-mixture": lambda config: likelihoods.DiscretizedLogisticMixture(),
}

PRIORS: dict[str, Callable[[Setting], priors.Prior]] = {
    "normal": lambda s: priors.StandardNormal(s.latent_dim),
    "learned-normal": lambda s: priors.LearnedNormal(s.latent_dim),
    "mixture": lambda s: priors.MixtureOfNormals(
        s.latent_dim, s.config.number("prior_components"), s.config.seed
    ),
    "vamp": lambda s: priors.VampPrior.from_data(
        s.latent_dim,
        s.examples(s.config.number("prior_components")),
        s.config.number("prior_components"),
    ),
    "realnvp": lambda s: priors.RealNVP(s.latent_dim),
    "maf": lambda s: priors.MaskedAutoregressive(s.latent_dim),
    "conditional": lambda s: priors.Conditional(
        conditional_prior_network(s.num_classes, s.latent_dim, seed=s.config.seed + 2)
    ),
}

POSTERIORS: dict[str, Callable[[TrainConfig], posteriors.Posterior]] = {
    "diagonal": lambda config: posteriors.DiagonalNormal(),
    "full": lambda config: posteriors.FullNormal(),
    "iaf": lambda config: posteriors.InverseAutoregressive(
        config.number("latent_dim"), config.number("latent_dim")
    ),
}

OBJECTIVES: dict[str, Callable[[int], Objective]] = {
    "elbo": ELBO,
    "stl": StickingTheLanding,
    "iwae": IWAE,
    "dreg": DReG,
    "renyi": Renyi,
    "vimco": VIMCO,
    "score-function": lambda draws: ScoreFunction(
        draws, RunningMean() if draws == 1 else LeaveOneOut()
    ),
}

SCHEDULES: dict[str, type[Warmup]] = {
    "linear": LinearWarmup,
    "cosine": CosineWarmup,
    "cyclical": Cyclical,
}


def beta(config: TrainConfig) -> float | Schedule:
    """Returns the weight of the KL term."""
    if not config.beta_warmup_epochs:
        return config.beta
    warmup = SCHEDULES[config.beta_schedule]
    return warmup(epochs=config.beta_warmup_epochs, beta=config.beta)


def kl_control(config: TrainConfig) -> KLControl | None:
    """Returns the control of the KL term, if one is asked for."""
    if not config.free_bits:
        return None
    return FreeBits(config.free_bits, "group" if config.latents else "dimension")
