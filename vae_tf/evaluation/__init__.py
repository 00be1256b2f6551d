"""Numbers about a trained model."""

from vae_tf.evaluation.aggregate import fit_mixture, with_prior
from vae_tf.evaluation.importance import LogLikelihood, log_likelihood

__all__ = ["LogLikelihood", "fit_mixture", "log_likelihood", "with_prior"]
