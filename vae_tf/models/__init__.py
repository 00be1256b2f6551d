"""Models: subclasses of keras.Model, each family in a file of its own."""

from vae_tf.models.continuations import Continuations
from vae_tf.models.language_model import language_model
from vae_tf.models.sequences import SequenceVAE
from vae_tf.models.vae import VAE

__all__ = ["VAE", "Continuations", "SequenceVAE", "language_model"]


def __dir__() -> list[str]:
    return sorted(__all__)
