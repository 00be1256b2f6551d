"""The terms of the bound, per example, in nats; and how beta moves during training."""

import keras  # noqa: F401 (first: importing it imports vae_tf.models, see registration.py)

from vae_tf.objectives.elbo import (
    kl_divergence,
    log_importance_weights,
    negative_log_likelihood,
    weighted_mean,
)
from vae_tf.objectives.schedules import Constant, LinearWarmup, Schedule, as_schedule

__all__ = [
    "Constant",
    "LinearWarmup",
    "Schedule",
    "as_schedule",
    "kl_divergence",
    "log_importance_weights",
    "negative_log_likelihood",
    "weighted_mean",
]
