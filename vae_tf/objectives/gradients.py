"""Values with gradients of one's choice: what the estimators differ in."""

from collections.abc import Callable

import tensorflow as tf


def with_gradient_of(value: tf.Tensor, surrogate: tf.Tensor) -> tf.Tensor:
    """Returns `value`, whose gradient is that of `surrogate`."""
    # Not surrogate + stop(value - surrogate): a large surrogate would round the value
    return tf.stop_gradient(value) + (surrogate - tf.stop_gradient(surrogate))


def through_draws(z: tf.Tensor, function: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Returns function(z), whose gradient goes through `z` alone.

    Whatever else the function depends on, a distribution's parameters say, counts as constant
    (Roeder et al. 2017). The value is the function's; the gradient is that of its tangent.

    Args:
        z: [..., L].
        function: of z to [...], or to [..., L] if each entry depends on its own z alone.
    """
    value, slope = value_and_slope(z, function)
    tangent = slope * z
    if value.shape.rank < z.shape.rank:
        tangent = tf.reduce_sum(tangent, -1)
    return with_gradient_of(value, tangent)


def value_and_slope(z, function) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns function(z), differentiable in all but `z`, and its derivative by z, a constant."""
    fixed = tf.stop_gradient(z)
    with tf.GradientTape() as tape:
        tape.watch(fixed)
        value = function(fixed)
    return value, tf.stop_gradient(tape.gradient(value, fixed))
