"""Batches for `fit` out of arrays in memory."""

import math

import keras
import numpy as np
import tensorflow as tf

from vae_tf.data.pipeline import beside_training
from vae_tf.data.randomness import permutation
from vae_tf.data.storage import copied

KERAS_BATCH_SIZE = 32


def gathered(x, batch_size: int | None = None, shuffle: bool = True) -> tf.data.Dataset | None:
    """Returns batches of arrays as Keras makes them, but sooner; None where Keras has to.

    Each epoch has an order of its own, the same in every process in which
    `keras.utils.set_random_seed` was called; Keras's own, then, is the same in all epochs.

    Args:
        x: an array [N, ...], or a nest of them.
        batch_size: Keras's default if None.
        shuffle: whether to draw an order for each epoch.
    """
    arrays = keras.tree.flatten(x)
    if not all(isinstance(array, np.ndarray) and array.dtype.kind in "fbiu" for array in arrays):
        return None
    size = KERAS_BATCH_SIZE if batch_size is None else batch_size
    whole_batches = isinstance(size, (int, np.integer)) and size > 0
    if len({len(array) for array in arrays}) != 1 or not whole_batches:
        return None
    with tf.device("CPU:0"):
        tensors = [copied(array, _keras_dtype(array.dtype)) for array in arrays]
    steps, examples = math.ceil(len(arrays[0]) / size), len(arrays[0])

    def batches_of(seed):
        order = tf.range(examples, dtype=tf.int64)
        if shuffle:
            order = permutation(examples, tf.stack([seed, 0]))
        return tf.data.Dataset.range(steps).map(lambda i: part(order, i))

    def part(order, i):
        rows = order[i * size : (i + 1) * size]
        # Where all batches are of one size, XLA wants to know
        return tf.ensure_shape(rows, [size]) if examples % size == 0 else rows

    def gather(rows):
        return keras.tree.pack_sequence_as(x, [tf.gather(tensor, rows) for tensor in tensors])

    seeds = tf.data.Dataset.random(rerandomize_each_iteration=True).take(1)
    return beside_training(seeds.flat_map(batches_of).map(gather), steps)


def _keras_dtype(dtype: np.dtype) -> np.dtype:
    """Returns in which type Keras holds numbers: floating-point ones in its own precision."""
    return np.dtype(keras.config.floatx() if dtype.kind == "f" else dtype.newbyteorder("="))
