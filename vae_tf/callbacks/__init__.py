"""What happens during `fit`: early stopping that survives a restart, checkpoints, pictures."""

from vae_tf.callbacks.early_stopping import ResumableEarlyStopping
from vae_tf.callbacks.pictures import TensorBoardPictures

__all__ = ["ResumableEarlyStopping", "TensorBoardPictures"]
