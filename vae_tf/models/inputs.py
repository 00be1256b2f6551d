"""What `fit` and `evaluate` are given: taking it apart, and refusing what cannot work."""

import keras
import numpy as np
import tensorflow as tf

from vae_tf.distributions.likelihoods import Likelihood
from vae_tf.errors import DataError
from vae_tf.models.shapes import batched


def unpack(data) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Returns x and its weights ([B] float32 or None) from x, (x,), (x, y) or (x, y, weight)."""
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        sample_weight = tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
    return x, sample_weight


def targets(x, y, sample_weight):
    """Returns `y`, or zeros where Keras would drop the weights: it does so if `y` is None."""
    return np.zeros(len(x), "int8") if y is None and sample_weight is not None else y


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
    x = data[0] if isinstance(data, tuple) else data
    if not isinstance(x, (np.ndarray, tf.Tensor, list)):
        return
    x = np.asarray(x)
    if x.dtype.kind not in "fbiu":
        fix = "Convert them to float32; images of mixed sizes must be resized first."
        raise DataError(f"The {role} data must be numbers", f"an array of {x.dtype}", fix)
    if event_shape is not None and not _fits(x.shape[1:], event_shape):
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


def _fits(shape, expected) -> bool:
    return len(shape) == len(expected) and all(
        want is None or size == want for size, want in zip(shape, expected, strict=True)
    )
