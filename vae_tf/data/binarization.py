"""Grey images -> images of zeros and ones."""

import tensorflow as tf

# What each name does to a grey value x in [0, 1]; also the words of `ImageData.describe()`.
RULES = {
    "none": "x is fed as it is",
    "static": "x ~ Bernoulli(x), drawn once for each example",
    "dynamic": "x ~ Bernoulli(x), drawn anew for each training batch, once for `batches`",
}
BINARIZATIONS = tuple(RULES)


def bernoulli(x: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Returns one draw of Bernoulli(x), of the shape and dtype of `x`.

    0 stays 0 and 1 stays 1, since the uniform numbers lie in [0, 1).

    Args:
        x: Probabilities in [0, 1], any shape.
        at: Key [2] of `tf.random.stateless_uniform`.
    """
    return tf.cast(tf.random.stateless_uniform(tf.shape(x), at, dtype=x.dtype) < x, x.dtype)
