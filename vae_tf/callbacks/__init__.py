"""Callbacks of `fit`: early stopping, checkpoints, monitors, pictures."""

from vae_tf.callbacks.after_warmup import EarlyStopping, ModelCheckpoint
from vae_tf.callbacks.collapse import CollapseMonitor
from vae_tf.callbacks.early_stopping import ResumableEarlyStopping
from vae_tf.callbacks.manifold import ManifoldFrames, manifold, write_animation
from vae_tf.callbacks.pictures import TensorBoardPictures

__all__ = [
    "CollapseMonitor",
    "EarlyStopping",
    "ManifoldFrames",
    "ModelCheckpoint",
    "ResumableEarlyStopping",
    "TensorBoardPictures",
    "manifold",
    "write_animation",
]


def __dir__() -> list[str]:
    return sorted(__all__)
