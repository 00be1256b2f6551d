"""Bounds on log p(x), their gradients, the KL term's weight, and penalties beside them."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.objectives.base import Inference, Objective, Terms
from vae_tf.objectives.baselines import Baseline, LearnedBaseline, LeaveOneOut, RunningMean
from vae_tf.objectives.elbo import ELBO, StickingTheLanding
from vae_tf.objectives.importance_weighted import IWAE, DReG, Renyi
from vae_tf.objectives.kl_controls import Capacity, FreeBits, GroupBalance, GroupWeights, KLControl
from vae_tf.objectives.monte_carlo_em import MonteCarloEM
from vae_tf.objectives.penalties import (
    DIPVAE1,
    DIPVAE2,
    FactorVAE,
    MaximumMeanDiscrepancy,
    Penalty,
    TotalCorrelation,
)
from vae_tf.objectives.schedules import (
    Constant,
    CosineWarmup,
    Cyclical,
    LinearWarmup,
    Schedule,
    as_schedule,
)
from vae_tf.objectives.score_function import VIMCO, ScoreFunction
from vae_tf.objectives.semi_supervised import SemiSupervised
from vae_tf.objectives.terms import (
    Group,
    groups_of,
    kl_divergence,
    kl_parts,
    log_mean_exp,
    log_ratio,
    weighted_mean,
)
from vae_tf.objectives.wake_sleep import WakeSleep

__all__ = [
    "DIPVAE1",
    "DIPVAE2",
    "ELBO",
    "IWAE",
    "VIMCO",
    "Baseline",
    "Capacity",
    "Constant",
    "CosineWarmup",
    "Cyclical",
    "DReG",
    "FactorVAE",
    "FreeBits",
    "Group",
    "GroupBalance",
    "GroupWeights",
    "Inference",
    "KLControl",
    "LearnedBaseline",
    "LeaveOneOut",
    "LinearWarmup",
    "MaximumMeanDiscrepancy",
    "MonteCarloEM",
    "Objective",
    "Penalty",
    "Renyi",
    "RunningMean",
    "Schedule",
    "ScoreFunction",
    "SemiSupervised",
    "StickingTheLanding",
    "Terms",
    "TotalCorrelation",
    "WakeSleep",
    "as_schedule",
    "groups_of",
    "kl_divergence",
    "kl_parts",
    "log_mean_exp",
    "log_ratio",
    "weighted_mean",
]


def __dir__() -> list[str]:
    return sorted(__all__)
