"""Gaps in data: NaN turned into a mask, where somebody has said that it stands for one."""

import warnings

import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch, as_array, check_mask_shape, mask_beside
from vae_tf.errors import ConfigError, DataError

CODES = (None, "nan")  # what may stand for a missing value


def with_mask(x) -> dict:
    """Returns {"x": x, "mask": mask}, where the mask [N, *event] is false wherever `x` is NaN.

    A model takes this dict in place of x. For a `tf.data.Dataset`: `data.map(with_mask)`.

    Args:
        x: examples [N, *event], an array, a DataFrame of numbers or a tensor.

    Raises:
        DataError: `x` is no array of numbers.

    Example:
        >>> vae_tf.data.with_mask(np.array([[1.0, np.nan]]))["mask"]
        array([[ True, False]])
    """
    batch = nan_masked(Batch(x))
    return {"x": batch.x, "mask": batch.mask}


def nan_masked(batch: Batch) -> Batch:
    """Returns the batch with a mask that is 0 where x is NaN, and where it was 0 already.

    Specs of tensors stay as they are.
    """
    x, mask = batch.x, batch.mask
    if isinstance(x, tf.TypeSpec):
        return batch
    if tf.is_tensor(x):
        floating = x.dtype.is_floating
        observed = ~tf.math.is_nan(x) if floating else tf.ones_like(x, tf.bool)
        if mask is not None:
            mask = tf.where(observed, mask_beside(x, mask), 0.0)
    else:
        x = as_array(x, "given")
        observed = ~np.isnan(x) if x.dtype.kind == "f" else np.ones(x.shape, bool)
        if mask is not None:
            mask = as_array(mask, "mask")
            mask = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
            check_mask_shape(mask.shape, x.shape)
            mask = np.where(observed, mask, 0)
    return batch._replace(x=x, mask=observed if mask is None else mask)


def observed(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a mask as bool of the shape of the data.

    Raises:
        DataError: it does not broadcast to that shape, or holds other numbers than 0 and 1.
    """
    mask = mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
    check_mask_shape(mask.shape, shape)
    if mask.dtype != bool:
        wrong = (mask != 0) & (mask != 1)
        if np.any(wrong):
            received = f"{mask[wrong][0]:g}"
            fix = "Pass 1 where x was observed and 0 where not, such as ~np.isnan(x)."
            raise DataError("`mask` must hold 0 and 1 alone", received, fix)
    return np.broadcast_to(mask.astype(bool, copy=False), shape)


def warn_of_empty_columns(mask: np.ndarray) -> None:
    """Warns of columns of rows [N, D] that were never observed, of which nothing is learned."""
    empty = np.flatnonzero(~mask.any(0)) if mask.ndim == 2 else ()
    if len(empty):
        which = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        warnings.warn(
            f"{len(empty)} of {mask.shape[1]} columns were never observed in the training data "
            f"({which}): nothing is learned about them, and what is imputed there means nothing.",
            stacklevel=2,
        )


def check_code(missing) -> None:
    """Raises ConfigError unless `missing` is one of CODES."""
    if missing not in CODES:
        fix = 'Pass "nan", or data with a `mask`.'
        raise ConfigError("`missing` must be None or nan", repr(missing), fix)
