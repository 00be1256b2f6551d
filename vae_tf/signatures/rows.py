"""Rows that cannot be answered: all of their outputs are NaN, and no other row's.

An error would hit every client whose rows a server's batching has put together.
"""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

NAN = float("nan")
# Rounding of values that were computed elsewhere, such as 255 * (1 / 255).
TOLERANCE = 1e-6  # of the range
LARGEST = float(tf.float32.max)


def within(x: tf.Tensor, low: float = -LARGEST, high: float = LARGEST) -> tf.Tensor:
    """Returns which rows of x [B, ...] are finite and in [low, high] throughout, bool [B]."""
    slack = TOLERANCE * (high - low) if high - low < LARGEST else 0.0
    inside = (x >= low - slack) & (x <= high + slack)  # false for NaN
    return tf.reduce_all(inside, list(range(1, x.shape.rank))) if x.shape.rank > 1 else inside


def spoilt(outputs: Mapping[str, tf.Tensor], fit: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns float32 `outputs` [B, ...] with NaN throughout the rows that are not `fit` [B]."""
    # Added last: an activation may take NaN for 0.
    poison = tf.where(fit, 0.0, NAN)
    return {
        name: value + tf.reshape(poison, [-1] + [1] * (value.shape.rank - 1))
        if value.shape.rank  # no batch: `check_outputs` refuses it
        else value
        for name, value in outputs.items()
    }


def checked(
    function: Callable[..., dict[str, tf.Tensor]], shapes: Sequence[tuple[int, ...]]
) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns `function` with an error for inputs that are not [B, *shape], B the same for all.

    Runtimes do not look: TensorFlow's C++ session takes [2, 5, 6, 1] for [B, 6, 5, 1], a seed [1]
    would be broadcast, and a convolution of oneDNN aborts the process for an image without
    channels, and for an empty batch returns another number of channels.
    """

    # As in `fit` and `predict`: Keras does not rewrite what layers do either
    @tf.autograph.experimental.do_not_convert
    def of_those_shapes(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        first, *others = (
            tf.ensure_shape(x, (None, *shape)) for x, shape in zip(inputs, shapes, strict=True)
        )
        size = tf.shape(first)[0]
        for x in others:
            tf.debugging.assert_equal(tf.shape(x)[0], size, "one row for each")
        # LiteRT leaves assertions out, and TensorFlow some reshapes.
        others = [
            tf.reshape(x, [size, *shape]) for x, shape in zip(others, shapes[1:], strict=True)
        ]
        outputs = function(first, *others)
        return {name: _of_its_shape(value) for name, value in outputs.items()}

    return of_those_shapes


def _of_its_shape(value: tf.Tensor) -> tf.Tensor:
    """Returns a tensor [B, ...] of the shape that its graph promises, also where B is 0.

    By a reshape, for LiteRT has no EnsureShape where it cannot follow the shapes itself.
    """
    sides = value.shape[1:] if value.shape.rank else [None]
    return value if None in sides else tf.reshape(value, [-1, *sides])
