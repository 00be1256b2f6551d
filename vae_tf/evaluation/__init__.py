"""Numbers about a trained model."""

from vae_tf.evaluation.importance import LogLikelihood, log_likelihood

__all__ = ["LogLikelihood", "log_likelihood"]
