"""Variational autoencoders for Keras: train with `fit`, trust the likelihoods, ship the halves.

The examples of the reference take these imports for granted::

    import keras
    import numpy as np
    import tensorflow as tf
    from tensorflow_probability import distributions as tfd

    import vae_tf
"""

import importlib
from typing import TYPE_CHECKING, Any

from vae_tf.registration import register_with_keras
from vae_tf.version import __version__

# Where each public name lives. Looked up when first touched: TensorFlow takes seconds to import,
# and `--help` or a wrong flag should not wait for it.
_HOMES = {
    "SequenceVAE": "vae_tf.models",
    "VAE": "vae_tf.models",
    "bits_per_dimension": "vae_tf.evaluation",
    "export": "vae_tf.runs.bundle",
    "language_model": "vae_tf.models",
    "likelihoods": "vae_tf.distributions",
    "log_likelihood": "vae_tf.evaluation",
    "posteriors": "vae_tf.distributions",
    "priors": "vae_tf.distributions",
    "profile_training": "vae_tf.profiling",
    "show_versions": "vae_tf.environment",
}
_MODULES = (
    "callbacks",
    "codec",
    "conformance",
    "data",
    "densities",
    "distributions",
    "evaluation",
    "exporting",
    "networks",
    "objectives",
    "plots",
    "profiling",
)

if TYPE_CHECKING:  # editors and type checkers run no __getattr__
    from vae_tf import callbacks as callbacks
    from vae_tf import codec as codec
    from vae_tf import conformance as conformance
    from vae_tf import data as data
    from vae_tf import densities as densities
    from vae_tf import distributions as distributions
    from vae_tf import evaluation as evaluation
    from vae_tf import exporting as exporting
    from vae_tf import networks as networks
    from vae_tf import objectives as objectives
    from vae_tf import plots as plots
    from vae_tf import profiling as profiling
    from vae_tf.distributions import likelihoods as likelihoods
    from vae_tf.distributions import posteriors as posteriors
    from vae_tf.distributions import priors as priors
    from vae_tf.environment import show_versions as show_versions
    from vae_tf.evaluation import bits_per_dimension as bits_per_dimension
    from vae_tf.evaluation import log_likelihood as log_likelihood
    from vae_tf.models import VAE as VAE
    from vae_tf.models import SequenceVAE as SequenceVAE
    from vae_tf.models.language_model import language_model as language_model
    from vae_tf.profiling import profile_training as profile_training
    from vae_tf.runs.bundle import export as export

__all__ = [*sorted(_HOMES), *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"vae_tf.{name}")
    raise AttributeError(f"module 'vae_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


register_with_keras()
