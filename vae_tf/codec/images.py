"""Data as indices into an alphabet, and back to the last bit."""

import math

import numpy as np

from vae_tf.distributions.likelihoods.alphabets import Alphabet, Levels
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.errors import DataError


def indices(
    x: np.ndarray, event_shape: tuple[int, ...], likelihood: Likelihood, alphabet: Alphabet
) -> np.ndarray:
    """Returns the indices of data [N, *event], `small(...)` [N, D]; one channel may be left out.

    Raises:
        DataError: they are of another shape, or not all in the alphabet.
    """
    one_channel = x.ndim == len(event_shape) and (*x.shape[1:], 1) == event_shape
    if x.ndim == 0 or not (x.shape[1:] == event_shape or one_channel):
        fix = "Pass the data as the model was trained on."
        raise DataError(f"The data must be of shape (N, *{event_shape})", x.shape, fix)
    if x.dtype.kind not in "buif":
        fix = "Pass booleans, whole numbers or floats."
        raise DataError("The data must be numbers", f"an array of {x.dtype}", fix)
    if _are_levels(x.dtype, alphabet):
        low, high = (int(x.min()), int(x.max())) if x.size else (0, 0)
        if low < 0 or high >= alphabet.size:
            fix = "Pass images as the model was trained on, or their levels."
            expected = f"Whole numbers must be levels from 0 to {alphabet.size - 1}"
            raise DataError(expected, f"min={low}, max={high}", fix)
        index = x
    else:
        likelihood.check_support(x, strict=True)
        index = alphabet.index(x)
        if of_dtype(index, x.dtype, alphabet).tobytes() != x.tobytes():
            received = f"values of {x.dtype} that are near them"
            fix = "Pass whole numbers, or floats that were divided by the highest level."
            raise DataError("The data must be the alphabet's values to the last bit", received, fix)
    return index.astype(small(alphabet)).reshape(len(x), math.prod(event_shape))


def small(alphabet: Alphabet) -> np.dtype:
    """Returns the smallest type of whole numbers that an index has room in, little-endian."""
    return np.min_scalar_type(alphabet.size - 1).newbyteorder("<")


def of_dtype(index: np.ndarray, dtype: np.dtype, alphabet: Alphabet) -> np.ndarray:
    """Returns the data at these indices as numbers of that type."""
    if _are_levels(dtype, alphabet):
        return index.astype(dtype)
    return alphabet.value(index).astype(dtype)


def _are_levels(dtype: np.dtype, alphabet: Alphabet) -> bool:
    """Returns whether numbers of that type are the levels of a grid, not its values."""
    return isinstance(alphabet, Levels) and dtype.kind in "iu"
