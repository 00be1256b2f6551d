"""Disentangling and matching: penalties on the codes, beside any bound."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.objectives.penalties.base import Penalty
from vae_tf.objectives.penalties.moments import DIPVAE1, DIPVAE2, MaximumMeanDiscrepancy
from vae_tf.objectives.penalties.total_correlation import FactorVAE, TotalCorrelation

__all__ = [
    "DIPVAE1",
    "DIPVAE2",
    "FactorVAE",
    "MaximumMeanDiscrepancy",
    "Penalty",
    "TotalCorrelation",
]


def __dir__() -> list[str]:
    return sorted(__all__)
