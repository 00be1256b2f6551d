"""Variational autoencoders for Keras: train with `fit`, trust the likelihoods, ship the halves.

The examples of the reference take these imports for granted::

    import keras
    import numpy as np
    import tensorflow as tf
    from tensorflow_probability import distributions as tfd

    import vae_tf
"""

import importlib

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

__all__ = [*sorted(_HOMES), *_MODULES, "__version__"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"vae_tf.{name}")
    raise AttributeError(f"module 'vae_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


register_with_keras()
