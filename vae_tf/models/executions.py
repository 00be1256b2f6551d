"""How many batches a compiled function takes before Python has its turn."""

import math
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

MOST = 64
# Of data between two turns: a fraction of a second of training, so that progress still moves
NUMBERS = 2**22
EVENTS = ("batch", "train_batch", "test_batch")  # validation runs as training does
HOOKS = [f"on_{event}_{end}" for event in EVENTS for end in ("begin", "end")]


def steps_per_execution(
    x, batch_size: int | None, steps_per_epoch: int | None, callbacks, validation_steps=None
) -> int:
    """Returns how many batches of `x` to train on at a time.

    Args:
        x: an array, a dict of them, or a `tf.data.Dataset`; anything else is Python's, batch by
            batch.
        batch_size: of arrays.
        steps_per_epoch: as `fit` was given it.
        callbacks: as `fit` was given them.
        validation_steps: as `fit` was given them.
    """
    numbers = _numbers(x, batch_size or 32)
    callbacks = keras.tree.flatten(getattr(callbacks, "callbacks", callbacks))
    if not numbers or any(map(_listens_to_batches, callbacks)):
        return 1
    return steps_of(numbers, steps_per_epoch, validation_steps)


def steps_of(numbers: int, *ends: int | None) -> int:
    """Returns how many batches of so many numbers to train on at a time.

    An endless data set must not be read past its end, so a divisor of each of `ends` is taken;
    where one is None, the data end by themselves, and Keras stops in time.
    """
    most = max(1, min(MOST, NUMBERS // numbers))
    given = [end for end in ends if end is not None]
    return max(n for n in range(1, most + 1) if all(end % n == 0 for end in given))


def _numbers(x, batch_size: int) -> int | None:
    """Returns how many numbers a batch of `x` has; None where that cannot be told."""
    x = x.get("x") if isinstance(x, Mapping) else x
    if isinstance(x, tf.data.Dataset):
        spec = x.element_spec
        spec = spec[0] if isinstance(spec, tuple) else spec
        shape = getattr(spec.get("x") if isinstance(spec, Mapping) else spec, "shape", None)
    elif isinstance(x, (np.ndarray, tf.Tensor)):
        shape = (batch_size, *x.shape[1:])
    else:
        return None
    if shape is None or getattr(shape, "rank", len(shape)) is None:
        return None
    return math.prod(32 if size is None else size for size in shape)


def _listens_to_batches(callback) -> bool:
    """Returns whether a callback, other than Keras's and ours, waits for every batch."""
    hooks = (getattr(callback, name, None) for name in HOOKS)
    modules = {getattr(hook, "__module__", "") for hook in hooks if hook is not None}
    frequencies = {getattr(callback, name, "epoch") for name in ("save_freq", "update_freq")}
    return frequencies != {"epoch"} or any(
        module.partition(".")[0] not in ("keras", "vae_tf") for module in modules
    )
