"""Grey levels -> numbers spread evenly, for likelihoods that are densities."""

import tensorflow as tf

from vae_tf.checks import whole
from vae_tf.data.randomness import DEQUANTIZATION, check_seed, key


def dequantize(x, levels: int = 256, *, seed: int = 0, step=0) -> tf.Tensor:
    """Returns (i + u) / levels with u ~ U[0, 1) for data x = i / (levels - 1), float32.

    A density p of these bounds the probability of the levels: log P(i) >= E_u log p - D log(levels)
    (Theis, van den Oord and Bethge 2016, section 3.1). Train with new noise in each batch:
    `batches.enumerate().map(lambda step, x: dequantize(x, step=step))`.

    Args:
        x: data in [0, 1], of any shape; each number is moved to the nearest level.
        levels: number of values that the data can take; 256 for 8-bit images.
        seed: seed of the noise.
        step: number of the batch, an integer or a scalar tensor; each has noise of its own.

    Raises:
        ConfigError: fewer than two levels.

    Example:
        >>> x = np.array([0.0, 1.0])  # the levels 0 and 255 of 256
        >>> y = vae_tf.data.dequantize(x)  # (0 + u) / 256 and (255 + u) / 256
        >>> np.floor(y * 256)
        array([  0., 255.], dtype=float32)
    """
    levels = whole("levels", levels, least=2)
    x = tf.cast(x, tf.float32)
    u = tf.random.stateless_uniform(tf.shape(x), key(check_seed(seed), DEQUANTIZATION, step))
    return (tf.round(x * (levels - 1)) + u) / levels
