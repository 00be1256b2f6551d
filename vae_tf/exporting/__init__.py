"""Artefacts of a trained VAE as two independent halves; knows nothing of training."""

from vae_tf.exporting.bundle import Bundle, verify_bundle, write_bundle

__all__ = ["Bundle", "verify_bundle", "write_bundle"]
