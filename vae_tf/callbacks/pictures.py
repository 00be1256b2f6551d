"""Reconstructions and samples in TensorBoard while training goes on."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.plots import tile


class TensorBoardPictures(keras.callbacks.Callback):
    """Writes two images every few epochs: examples above reconstructions, and prior samples.

    Args:
        log_dir: directory of TensorBoard's logs.
        x: examples [N, H, W, C], in any form that `fit` takes.
        every: epochs between two writes.
        num_samples: number of draws from the prior, at the same latents each time. A conditional
            model is given the conditions of the examples in turn.

    Example:
        >>> x = np.zeros((16, 28, 28, 1))
        >>> pictures = vae_tf.callbacks.TensorBoardPictures("logs", x, every=5, num_samples=25)
        >>> pictures.every, pictures.num_samples  # vae.fit(..., callbacks=[pictures])
        (5, 25)
    """

    def __init__(self, log_dir: str, x: Any, every: int = 10, num_samples: int = 64):
        super().__init__()
        self.log_dir, self.x, self.every, self.num_samples = log_dir, x, every, num_samples

    def on_epoch_end(self, epoch, logs=None):
        """Writes the pictures of this epoch, if it is one of those."""
        if (epoch + 1) % self.every and epoch:
            return
        examples = self.model.door.parse(self.x)
        pairs = np.stack([examples.x, self.model.reconstruct(examples)])
        condition = keras.tree.map_structure(self._in_turn, examples.condition)
        samples = self.model.sample(self.num_samples, seed=0, condition=condition).numpy()
        columns = int(np.ceil(np.sqrt(self.num_samples)))
        with tf.summary.create_file_writer(self.log_dir).as_default(step=epoch):
            for name, rows in (("reconstructions", pairs), ("samples", samples)):
                picture = np.clip(tile(rows, columns), 0, 1)
                channels = picture.shape[-1]
                if channels not in (1, 3, 4):  # what an image summary can hold
                    picture = picture.mean(-1, keepdims=True)
                tf.summary.image(name, picture[None])

    def _in_turn(self, values):
        """Returns a condition of as many rows as there are samples."""
        if values is None:
            return None
        values = np.asarray(values)
        return np.resize(values, (self.num_samples, *values.shape[1:]))
