"""What `fit` and `evaluate` are given: taking it apart, and refusing what cannot work."""

import keras
import numpy as np
import tensorflow as tf

from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.errors import DataError
from vae_tf.models.shapes import batched, fits


def unpack(data) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Returns x and its weights ([B] float32 or None) from x, (x,), (x, y) or (x, y, weight)."""
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        sample_weight = tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
    return x, sample_weight


def targets(x, y, sample_weight):
    """Returns `y`, or zeros where Keras would drop the weights: it does so if `y` is None."""
    return np.zeros(len(x), "int8") if y is None and sample_weight is not None else y


def checked(data, event_shape, likelihood: Likelihood, role: str):
    """Returns `x` as Keras takes it, having looked at it with `check`.

    Raises:
        DataError: as `check`, and for tuples and dicts, which Keras takes for several inputs.
    """
    if isinstance(data, (tuple, dict)):
        fix = "Pass x and y apart, as fit(x, y), or a tf.data.Dataset of tuples."
        raise DataError(f"The {role} data must be one array or data set", type(data).__name__, fix)
    if isinstance(data, list):
        data = as_array(data, role)
    check(data, event_shape, likelihood, role)
    return data


def checked_validation(data, event_shape, likelihood: Likelihood):
    """Returns validation data as Keras takes them: x, (x, y) or (x, y, weights), looked at."""
    if not isinstance(data, (tuple, list)):
        return checked(data, event_shape, likelihood, "validation")
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(tuple(data))
    x = checked(x, event_shape, likelihood, "validation")
    parts = (x, targets(x, y, sample_weight), sample_weight)
    return keras.utils.pack_x_y_sample_weight(*parts)


def check(data, event_shape, likelihood: Likelihood, role: str, strict: bool = False) -> None:
    """Looks at all of an array, or at the first batch of a `tf.data.Dataset`.

    Other iterables are left alone: a look would consume what it sees.

    Raises:
        DataError: empty, of another shape, not numbers, not finite, outside the support.
    """
    if isinstance(data, tf.data.Dataset):
        data = next(iter(data.take(1)), None)
        if data is None:
            fix = "Check the files, the split's name and any filter."
            raise DataError(f"The {role} data must hold examples", "an empty dataset", fix)
        data = data[0] if isinstance(data, tuple) else data
    if not isinstance(data, (np.ndarray, tf.Tensor)):
        return
    x = as_array(data, role)
    if event_shape is not None and not fits(x.shape[1:], event_shape):
        fix = f"Reshape the data to {batched(event_shape)}, or build the encoder for them."
        raise DataError(
            f"The {role} data must be {batched(event_shape)}, as the encoder takes",
            f"shape {x.shape}",
            fix,
        )
    if not len(x):
        fix = "Check the files and the split."
        raise DataError(f"The {role} data must hold examples", f"shape {x.shape}", fix)
    likelihood.check_support(x, strict=strict)


def batch(values, shape, what: str) -> tf.Tensor:
    """Returns float32 [B, *shape] of what a user called a method with; graphs look for themselves.

    Raises:
        DataError: not numbers, or of another shape.
    """
    if tf.executing_eagerly():
        values = values if tf.is_tensor(values) else as_array(values, "given")
        if shape is not None and not fits(values.shape[1:], shape):
            fix = "Pass a batch; of one example x alone, x[None]."
            received = f"shape {tuple(values.shape)}"
            raise DataError(f"The {what} must be {batched(shape)}", received, fix)
    return tf.cast(values, tf.float32)


def as_array(data, role: str) -> np.ndarray:
    """Returns data as an array of numbers, or raises DataError."""
    try:
        x = np.asarray(data)
        numbers = x.dtype.kind in "fbiu"
        received = f"an array of {x.dtype}"
    except ValueError:  # NumPy's word for rows of different lengths
        numbers, received = False, "examples of mixed sizes"
    if not numbers:
        fix = "Convert them to float32; images of mixed sizes must be resized first."
        raise DataError(f"The {role} data must be numbers", received, fix)
    return x
