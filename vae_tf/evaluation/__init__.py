"""Measures of a trained model: likelihoods, collapse, disentanglement, and its latent space."""

from vae_tf.evaluation import disentanglement
from vae_tf.evaluation.aggregate import fit_mixture, weigh_components, with_components
from vae_tf.evaluation.bits import BitsPerDimension, bits_per_dimension
from vae_tf.evaluation.collapse import (
    Collapse,
    MutualInformation,
    active_units,
    kl_per_dimension,
    measure_collapse,
    mutual_information,
    sensitivity,
)
from vae_tf.evaluation.importance import LogLikelihood, log_likelihood
from vae_tf.evaluation.levels import redrawn
from vae_tf.evaluation.paths import attribute_direction, linear, spherical, traversals
from vae_tf.evaluation.texts import neighbours, perplexity

__all__ = [
    "BitsPerDimension",
    "Collapse",
    "LogLikelihood",
    "MutualInformation",
    "active_units",
    "attribute_direction",
    "bits_per_dimension",
    "disentanglement",
    "fit_mixture",
    "kl_per_dimension",
    "linear",
    "log_likelihood",
    "measure_collapse",
    "mutual_information",
    "neighbours",
    "perplexity",
    "redrawn",
    "sensitivity",
    "spherical",
    "traversals",
    "weigh_components",
    "with_components",
]


def __dir__() -> list[str]:
    return sorted(__all__)
