"""Lossless compression with a trained model: bits-back coding (Townsend, Bird and Barber 2019)."""

import importlib

# Looked up when first touched, since TensorFlow takes seconds to import
_HOMES = {"Codec": "vae_tf.codec.coding", "Container": "vae_tf.codec.container"}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vae_tf.codec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
