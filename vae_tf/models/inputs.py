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
        _check_shape_of_weights(sample_weight.shape)
        sample_weight = tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
    return x, sample_weight


def check_weights(sample_weight, x) -> None:
    """Looks at all of the weights that go with an array.

    Raises:
        DataError: they are not one finite number, 0 or more, for each example.
    """
    if sample_weight is None:
        return
    weights = as_array(sample_weight, "sample_weight")
    _check_shape_of_weights(weights.shape)
    if hasattr(x, "shape") and len(weights) != len(x):
        fix = "Pass one weight for each example."
        raise DataError(f"There must be {len(x)} sample_weight", f"{len(weights)} of them", fix)
    bad = np.flatnonzero(~((weights >= 0) & np.isfinite(weights)))
    if len(bad):
        raise DataError(
            "The weights in sample_weight must be finite and not negative",
            f"{weights.flat[bad[0]]:g} at index {bad[0]}",
            "Pass 0 for an example that shall not count.",
        )


def _check_shape_of_weights(shape) -> None:
    if len(shape) != 1 and tuple(shape[1:]) != (1,):
        fix = "Pass one weight for each example."
        raise DataError("sample_weight must be [B]", f"shape {tuple(shape)}", fix)


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
    """Looks at all of an array, or at what a `tf.data.Dataset` says of its shape.

    No stream is read, for a look would consume what it sees; its batches are looked at in the
    compiled step.

    Raises:
        DataError: empty, of another shape, not numbers, not finite, outside the support.
    """
    if isinstance(data, (tf.RaggedTensor, tf.SparseTensor)):
        fix = "Pad ragged rows to one length, and turn sparse ones into dense arrays."
        raise DataError(f"The {role} data must be a dense array", type(data).__name__, fix)
    if isinstance(data, tf.data.Dataset):
        _check_spec(data, event_shape, role)
    if not isinstance(data, (np.ndarray, tf.Tensor)):
        return
    x = as_array(data, role)
    _check_shape(x.shape, event_shape, role)
    if not len(x):
        fix = "Check the files and the split."
        raise DataError(f"The {role} data must hold examples", f"shape {x.shape}", fix)
    likelihood.check_support(x, strict=strict)


def _check_spec(data: tf.data.Dataset, event_shape, role: str) -> None:
    spec = data.element_spec
    spec = spec[0] if isinstance(spec, tuple) and spec else spec
    if isinstance(spec, (tf.RaggedTensorSpec, tf.SparseTensorSpec)):
        fix = "Map it to dense tensors of one shape, such as by `ragged.to_tensor(shape=...)`."
        raise DataError(f"The {role} data must be dense", type(spec).__name__, fix)
    if isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None:
        _check_shape(spec.shape, event_shape, role)
    if int(data.cardinality()) == 0:
        fix = "Check the files, the split's name and any filter."
        raise DataError(f"The {role} data must hold examples", "an empty dataset", fix)


def _check_shape(shape, event_shape, role: str) -> None:
    """Raises DataError where what is known of a shape is not what the encoder takes."""
    wanted = (None,) * len(shape[1:]) if event_shape is None else event_shape
    known = [want if size is None else size for size, want in zip(shape[1:], wanted, strict=False)]
    if len(shape) != 1 + len(wanted) or not fits(known, wanted):
        fix = f"Reshape the data to {batched(wanted)}, or build the encoder for them."
        expected = f"The {role} data must be {batched(wanted)}, as the encoder takes"
        raise DataError(expected, f"shape {tuple(shape)}", fix)


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
