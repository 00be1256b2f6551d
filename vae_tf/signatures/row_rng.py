"""Random numbers of one row each, from its seed and a counter: plain integer operations.

TensorFlow's own seeded generators do not convert to LiteRT. These are made of what every
runtime has, so that one seed gives one picture on servers, phones and in browsers. Draw i of
stream t for the seed s is 23 bits of a hash,

    word(s, t, i) = mix(mix(mix(s ^ A) ^ mix(T i + t)) + mix(s ^ B)),

and `mix` a bijection of 32-bit words that flips each output bit with probability 1/2 when any
input bit flips: a multiply-xorshift finalizer with the constants "lowbias32" (Wellons 2018,
public domain). Nothing here is fit for cryptography.
"""

import math

import tensorflow as tf

BITS = 23  # k + 1/2 for k < 2^23 is exact in float32, and so is never 0 or 1
RADII, ANGLES, UNIFORMS = STREAMS = range(3)
# Eigen computes whole packets of up to 16 numbers in one way and what is left over in another,
# which differs in the last bit. Rows of whole packets do not depend on their place in a batch.
PACKET = 16


def normals(seed: tf.Tensor, n: int) -> tf.Tensor:
    """Returns draws of N(0, 1), [B, n], by Box and Muller (1958); none is beyond 5.77.

    Args:
        seed: int32 [B], any value; each row of the result depends on its own alone.
        n: how many; the first ones are the same whatever `n` is.
    """
    whole = -(-n // PACKET) * PACKET
    radius = tf.sqrt(2.0 * _minus_log(_unit(seed, RADII, whole)))
    angle = 2.0 * math.pi * _unit(seed, ANGLES, whole)
    return (radius * tf.cos(angle))[:, :n]


def uniforms(seed: tf.Tensor, n: int) -> tf.Tensor:
    """Returns draws of U(0, 1), [B, n], odd multiples of 2^-24; independent of `normals`.

    Args:
        seed: int32 [B], any value; each row of the result depends on its own alone.
        n: how many; the first ones are the same whatever `n` is.
    """
    return _unit(seed, UNIFORMS, n)


def seeds(seed: tf.Tensor, n: int) -> tf.Tensor:
    """Returns seeds of further rows, int32 [B, n]; the words that `uniforms` are made of.

    Args:
        seed: int32 [B], any value; each row of the result depends on its own alone.
        n: how many; the first ones are the same whatever `n` is.
    """
    return _words(seed, UNIFORMS, n)


def _minus_log(u: tf.Tensor) -> tf.Tensor:
    """Returns -log u, as exact next to 1 as elsewhere."""
    # LiteRT's logarithm is off by 1e-7 next to 1, which in the square root becomes 3e-4.
    v = 1.0 - u  # exact
    series = v * (1 + v * (1 / 2 + v * (1 / 3 + v / 4)))  # short of 2e-7 of itself at v = 1/32
    return tf.where(v < 1 / 32, series, -tf.math.log(u))


def _unit(seed: tf.Tensor, stream: int, n: int) -> tf.Tensor:
    """Returns uniform numbers in (0, 1), [B, n], for seeds [B]."""
    bits = _logical_shift(_words(seed, stream, n), 32 - BITS)
    return (tf.cast(bits, tf.float32) + 0.5) * 2.0**-BITS


def _words(seed: tf.Tensor, stream: int, n: int) -> tf.Tensor:
    """Returns the words of the hash, int32 [B, n]."""
    seed = seed[:, tf.newaxis]
    counter = _mix(tf.range(n) * len(STREAMS) + stream)
    # Two keys: with one, two seeds whose keys differ by what two counters do would share words.
    inner = _mix(tf.bitwise.bitwise_xor(_mix(_xor(seed, 0x9E3779B9)), counter))
    return _mix(inner + _mix(_xor(seed, 0x3C6EF372)))


def _mix(x: tf.Tensor) -> tf.Tensor:
    """Returns the bits of int32 words, mixed by shifts and multiplications."""
    x = tf.bitwise.bitwise_xor(x, _logical_shift(x, 16)) * _int32(0x7FEB352D)
    x = tf.bitwise.bitwise_xor(x, _logical_shift(x, 15)) * _int32(0x846CA68B)
    return tf.bitwise.bitwise_xor(x, _logical_shift(x, 16))


def _logical_shift(x: tf.Tensor, places: int) -> tf.Tensor:
    """Returns int32 words shifted to the right, with zeros from the left."""
    # The shift of int32 keeps the sign, and LiteRT has no unsigned one and no bitwise and:
    # the remainder, which is never negative, drops the copies of the sign.
    shifted = tf.bitwise.right_shift(x, tf.constant(places))
    return tf.math.floormod(shifted, 1 << (32 - places))


def _xor(x: tf.Tensor, word: int) -> tf.Tensor:
    """Returns the exclusive or of words and a constant."""
    return tf.bitwise.bitwise_xor(x, tf.constant(_int32(word)))


def _int32(word: int) -> int:
    """Returns the int32 with the bits of a 32-bit word."""
    return word - (1 << 32) if word >= 1 << 31 else word
