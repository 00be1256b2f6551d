"""Explicit densities of data: written down, not learned by a network; baselines for a VAE."""

from vae_tf.densities.base import Density
from vae_tf.densities.known import Heights, Houses
from vae_tf.densities.mixture import GaussianMixture
from vae_tf.densities.normal import Normal, ProbabilisticPCA

__all__ = ["Density", "GaussianMixture", "Heights", "Houses", "Normal", "ProbabilisticPCA"]


def __dir__() -> list[str]:
    return sorted(__all__)
