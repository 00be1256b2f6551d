"""Values with gradients of one's choice, in which estimators differ, and sums of gradients."""

from collections.abc import Callable, Sequence

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


def without(part, weights: Sequence, gradients: Sequence) -> list:
    """Returns the gradients by `weights`, None in the place of those by the weights of `part`."""
    own = {id(weight) for weight in part.trainable_weights}
    return [None if id(w) in own else g for w, g in zip(weights, gradients, strict=True)]


def added(*gradients: Sequence) -> list:
    """Returns the sums of gradients by the same weights; any of them may be None."""

    def total(*some):
        given = [gradient for gradient in some if gradient is not None]
        if len(given) < 2:
            return given[0] if given else None
        return tf.add_n([tf.convert_to_tensor(gradient) for gradient in given])

    return [total(*some) for some in zip(*gradients, strict=True)]
