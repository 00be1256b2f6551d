"""Keeping parameters within bounds, so that none of them runs away."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from vae_tf.distributions.gradients import own_gradient

# exp(-1e6) is 0 in any precision. Infinite logits, as float16 has beyond 65504, would make NaN.
MAX_LOGIT = 1e6

Bound = float | np.ndarray


class Bounded(NamedTuple):
    """A parameter that was given a name when it was bounded.

    Attributes:
        name: of the parameter.
        raw: its values before.
        low: the lower bound, one or one for each element.
        high: the upper bound.
        remedies: what to do if many values are at the lower bound, and at the upper one.
    """

    name: str
    raw: tf.Tensor
    low: Bound
    high: float
    remedies: tuple[str, str]


_watch: contextvars.ContextVar[list[Bounded] | None] = contextvars.ContextVar("watch", default=None)


@contextlib.contextmanager
def watched() -> Iterator[list[Bounded]]:
    """Yields a list of the named parameters that are bounded eagerly from now on.

    Their gradients are those of the identity meanwhile: a parameter at its bound is not dead.
    """
    seen: list[Bounded] = []
    token = _watch.set(seen)
    try:
        yield seen
    finally:
        _watch.reset(token)


def bounded(
    x: tf.Tensor,
    low: Bound,
    high: float,
    name: str = "",
    remedies: tuple[str, str] = ("", ""),
) -> tf.Tensor:
    """Returns `x` clipped to [low, high]; outside, its gradient points back inside or is 0.

    A plain clip has gradient 0 outside, so that a unit which starts there stays there for ever.
    With the gradient of the identity, on the other hand, an optimizer that wants more than the
    bound allows would drive `x` ever further out, and not be back for as long. What is
    differentiated is taken for something to be minimized.

    Args:
        x: any tensor.
        low: the lower bound, one or one for each element.
        high: the upper bound.
        name: under which `watched` lists it; not listed if empty.
        remedies: what to do if it is often at the lower bound, and at the upper one.
    """
    watch = _watch.get()
    if watch is not None and name and tf.executing_eagerly():
        watch.append(Bounded(name, tf.convert_to_tensor(x), low, high, remedies))

    if watch is not None:
        return _identity_gradient(x, low, high)
    # By adding 0: a gradient that captured `x` would keep the graph from being saved
    clipped = tf.clip_by_value(x, low, high)
    clipped += tf.where(x > high, _falling(x), 0.0)
    return clipped + tf.where(x < low, _rising(x), 0.0)


@own_gradient
def _falling(x: tf.Tensor):
    """Returns 0, with the gradient of x where descent makes it smaller."""
    return tf.zeros_like(x), lambda upstream: tf.where(upstream < 0, 0.0, upstream)


@own_gradient
def _rising(x: tf.Tensor):
    """Returns 0, with the gradient of x where descent makes it larger."""
    return tf.zeros_like(x), lambda upstream: tf.where(upstream > 0, 0.0, upstream)


def _identity_gradient(x: tf.Tensor, low: Bound, high: float) -> tf.Tensor:
    @own_gradient
    def clip(raw):
        return tf.clip_by_value(raw, low, high), lambda upstream: upstream

    return clip(x)
