"""The time of each part of a training step, and advice on what to change."""

from vae_tf.profiling.measuring import profile_training
from vae_tf.profiling.profile import PARTS, TrainingProfile

__all__ = ["PARTS", "TrainingProfile", "profile_training"]


def __dir__() -> list[str]:
    return sorted(__all__)
