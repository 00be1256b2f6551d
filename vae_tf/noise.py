"""Random numbers that belong to an example, whatever batch it comes in.

They come from the counter-based generator Philox-4x32-10 (Salmon et al. 2011): a key made of the
seed, and a counter that says where a number stands. Each kind of number has a range of counters to
itself, and in it each position, such as draw k of example n, has the same few steps of the counter
in every batch. So positions next to each other are made by one operation, as fast as numbers that
depend on their place in a batch.

TensorFlow's kernel and XLA make the same bits, but turn them into normal numbers in different
ways. Here plain operations do that, so both give the same numbers, up to rounding.

The exports draw from `signatures.row_rng` instead: LiteRT has no Philox.
"""

import math

import tensorflow as tf

PHILOX = 1  # tf.random.Algorithm
NORMALS, UNIFORMS, SEEDS = range(3)  # kinds of numbers, in the upper word of the counter
WORDS = 4  # of 32 bits that a step of the counter gives


def normals(seed: tf.Tensor, first, count, width: int) -> tf.Tensor:
    """Returns draws of N(0, 1), [count, width] float32, by Box and Muller (1958).

    Args:
        seed: int32 [2].
        first: position of the first row, which owns its numbers; up to 2^63 / width.
        count: rows, of the positions first, first + 1, ...
        width: numbers in a row; rows of other widths are made of the same bits.
    """
    words = _words(seed, NORMALS, first, count, width)
    radii, angles = tf.split(words, 2, -1)  # [count, half]
    # The sign's bit is left out: small numbers keep all of their digits
    u = (tf.cast(tf.bitwise.bitwise_and(radii, 0x7FFFFFFF), tf.float32) + 0.5) * 2.0**-31
    radius = tf.sqrt(-2.0 * tf.math.log(u))
    angle = tf.cast(angles, tf.float32) * (2.0 * math.pi * 2.0**-32)
    return tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], -1)[:, :width]


def uniforms(seed: tf.Tensor, first, count, width: int) -> tf.Tensor:
    """Returns draws of U(0, 1), neither end among them, [count, width] float32.

    Args:
        seed: int32 [2].
        first: position of the first row, which owns its numbers; up to 2^63 / width.
        count: rows, of the positions first, first + 1, ...
        width: numbers in a row; rows of other widths share their first numbers.
    """
    words = _words(seed, UNIFORMS, first, count, width)[:, :width]
    # 23 bits and a half are exact in float32, and so never become 0 or 1
    bits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(words, 9), 0x7FFFFF)
    return (tf.cast(bits, tf.float32) + 0.5) * 2.0**-23


def seeds(seed: tf.Tensor, first, count) -> tf.Tensor:
    """Returns a seed for each position, int32 [count, 2].

    Args:
        seed: int32 [2].
        first: position of the first.
        count: how many, of the positions first, first + 1, ...
    """
    return _words(seed, SEEDS, first, count, 2)[:, :2]


def _words(seed: tf.Tensor, kind: int, first, count, width: int) -> tf.Tensor:
    """Returns random words, int32 [count, width rounded up to whole steps of the counter]."""
    steps = -(-width // WORDS)
    key = tf.bitcast(tf.cast(seed, tf.int32), tf.uint64)[None]
    start = tf.cast(tf.cast(first, tf.int64) * steps, tf.uint64)
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=tf.stack([count, WORDS * steps]),
        key=key,
        counter=tf.stack([start, tf.constant(kind, tf.uint64)]),
        alg=PHILOX,
        dtype=tf.int32,
    )
