"""Functions whose gradient is a rule of ours, and graphs that leave such rules out."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

_values_only: contextvars.ContextVar[bool] = contextvars.ContextVar("values_only", default=False)


@contextlib.contextmanager
def values_only() -> Iterator[None]:
    """Leaves the rules out of all that is computed or traced meanwhile, as exported graphs do.

    Nobody asks a server for gradients. A rule within a loop cannot be saved, converters to other
    formats trip over it, and TensorFlow warns whoever loads a graph whose rules were not saved.
    """
    token = _values_only.set(True)
    try:
        yield
    finally:
        _values_only.reset(token)


def own_gradient(function: Callable) -> Callable:
    """Returns `tf.custom_gradient(function)`; within `values_only`, it has no rule."""
    differentiable = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*args: tf.Tensor) -> Any:
        return function(*args)[0] if _values_only.get() else differentiable(*args)

    return call
