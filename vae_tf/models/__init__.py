"""keras.Model subclasses, one family a file."""

from vae_tf.models.vae import VAE

__all__ = ["VAE"]
