"""Artefacts of a trained VAE as independent parts; knows nothing of training."""

from vae_tf.exporting.bundle import Bundle, verify_bundle, write_bundle
from vae_tf.exporting.options import FULL, Options
from vae_tf.exporting.texts import export_texts

__all__ = ["FULL", "Bundle", "Options", "export_texts", "verify_bundle", "write_bundle"]
