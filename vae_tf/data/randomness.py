"""Randomness as pure functions of a seed and of where in the data it is used."""

import operator

import tensorflow as tf

from vae_tf.errors import ConfigError

# One stream for each use: the same user seed never gives two of them the same numbers.
CARVING, ORDER, TRAINING_DRAW, FIXED_DRAW, DEQUANTIZATION, LABELLED = range(6)


def key(seed: int, stream: int, *path) -> tf.Tensor:
    """Returns the key [2] of `stream` at `path`, e.g. (epoch, step), for stateless sampling.

    Args:
        seed: The user's seed.
        stream: One of this module's streams.
        *path: Integers or scalar integer tensors, folded in one after the other.
    """
    folded = tf.constant([seed, stream], tf.int64)
    for position in path:
        folded = tf.random.fold_in(folded, tf.cast(position, tf.int64))
    return folded


def permutation(n: int, at: tf.Tensor) -> tf.Tensor:
    """Returns the numbers 0..n-1 [n] int64 in the order that belongs to the key `at` [2]."""
    return tf.random.experimental.stateless_shuffle(tf.range(n, dtype=tf.int64), seed=at)


def check_seed(seed: int) -> int:
    """Returns `seed` as a Python int.

    Raises:
        ConfigError: It is no integer in [0, 2^63).
    """
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 2**63:
        raise ConfigError(
            "`seed` must be an integer from 0 to 2^63 - 1", repr(seed), "Pass seed=0, for example."
        )
    return value
