"""Bundles: the files of a trained VAE as independent parts, which need no code of training."""

from vae_tf.exporting.bundle import Bundle, verify_bundle, write_bundle
from vae_tf.exporting.options import FULL, Options

__all__ = ["FULL", "Bundle", "Options", "verify_bundle", "write_bundle"]


def __dir__() -> list[str]:
    return sorted(__all__)
