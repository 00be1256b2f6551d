"""Numbers about a trained model."""

from vae_tf.evaluation.bits import BitsPerDimension, bits_per_dimension
from vae_tf.evaluation.importance import LogLikelihood, log_likelihood

__all__ = ["BitsPerDimension", "LogLikelihood", "bits_per_dimension", "log_likelihood"]
