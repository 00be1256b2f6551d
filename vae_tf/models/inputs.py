"""What data are: streams or arrays, latents, labels that weigh."""

from collections.abc import Iterable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch, as_array
from vae_tf.errors import DataError
from vae_tf.models.shapes import batched, fits

UNKNOWN = -1  # as a label


def is_stream(data) -> bool:
    """Returns whether data come batch by batch: a data set, a PyDataset, a generator."""
    kinds = (tf.data.Dataset, keras.utils.PyDataset, Iterator)
    return isinstance(data, kinds) or (
        isinstance(data, Iterable)
        and not isinstance(data, (np.ndarray, tf.Tensor, tuple, list, Mapping, str, bytes))
        and not hasattr(data, "__array__")
        and not hasattr(data, "shape")
    )


def weights_of_classes(labels, class_weight: Mapping[int, float]) -> np.ndarray:
    """Returns the weight of each example by its class, [N] float32.

    Raises:
        DataError: no labels, or a class without a weight.
    """
    if labels is None:
        fix = "Pass y with the class of each example, or sample_weight."
        raise DataError("`class_weight` needs the classes of the examples", "no y", fix)
    labels = np.asarray(labels)
    classes = labels.argmax(-1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(-1)
    missing = sorted(set(classes.tolist()) - set(class_weight))
    if missing:
        fix = "Pass {class: weight} for every class in y."
        raise DataError("`class_weight` must name every class", f"no weight for {missing[0]}", fix)
    return np.array([class_weight[c] for c in classes.tolist()], "float32")


def labels_of(given, batch: Batch):
    """Returns the classes of the examples: y, a label or a condition; None if there are none."""
    y = (
        given[1]
        if isinstance(given, tuple) and not isinstance(given, Batch) and len(given) > 1
        else None
    )
    named = (y, batch.label, batch.condition)
    return next((v for v in named if v is not None and not isinstance(v, Mapping)), None)


def data_of(stream) -> Iterator:
    """Returns the elements of a stream, one pass over a PyDataset."""
    if isinstance(stream, keras.utils.PyDataset):
        return (stream[i] for i in range(len(stream)))
    return iter(stream)


def for_keras(batch: Batch):
    """Returns what Keras's `fit` takes for x: the array, or a dict of arrays if there are more."""
    fields = batch.present()
    return batch.x if len(fields) == 1 else fields


def vectors(values, size: int, what: str) -> tf.Tensor:
    """Returns float32 [B, size] of latents a method was called with.

    Raises:
        DataError: not numbers, of another shape, or an array that is not finite in float32.
    """
    if tf.executing_eagerly():
        values = values if tf.is_tensor(values) else as_array(values, "given")
        check_shape(values, (size,), what)
    if isinstance(values, np.ndarray):  # a tensor may be on another device, or be differentiated
        with np.errstate(over="ignore"):
            values = values.astype("float32")
        if not np.all(np.isfinite(values)):
            fix = "See what they were computed from."
            raise DataError(f"The {what} must be finite", "NaN or infinity", fix)
    return tf.cast(values, tf.float32)


def check_shape(values, shape, what: str) -> None:
    """Raises DataError unless `values` are a batch of things of `shape`."""
    if shape is not None and not fits(values.shape[1:], shape):
        fix = "Pass a batch; of one example x alone, x[None]."
        raise DataError(f"The {what} must be {batched(shape)}", f"shape {tuple(values.shape)}", fix)


def look_at_classes(values: np.ndarray, classes: int | None, name: str) -> None:
    """Raises DataError unless a condition is of numbers, and of classes where it is of classes.

    Args:
        values: [N, ...].
        classes: how many there are; None where the condition is something else.
        name: of the condition.
    """
    if values.dtype.kind not in "fbiu" and values.dtype.name != "bfloat16":
        what = "must hold the numbers of classes, 0, 1, ..." if classes else "must hold numbers"
        fix = "Number the classes, as np.unique(labels, return_inverse=True) does."
        raise DataError(f"`{name}` {what}", f"an array of {values.dtype}", fix)
    if values.dtype.kind == "f" and not np.all(np.isfinite(values)):
        fix = "Fill in what is missing, or leave these examples out."
        raise DataError(f"`{name}` must be finite", "NaN or infinity", fix)
    if classes is None or (values.ndim > 1 and values.shape != (len(values), 1)):
        return
    wrong = (values < 0) | (values >= classes) | (values != np.rint(values))
    if np.any(wrong):
        received = f"{values.reshape(-1)[int(np.argmax(wrong))]:g}"
        expected = f"Classes in `{name}` must be whole numbers from 0 to {classes - 1}"
        raise DataError(expected, received, "Number the classes from 0.")


def look_at_labels(label, classes: int, role: str) -> None:
    """Raises DataError unless labels are classes that exist, or -1, and train a classifier.

    Args:
        label: [N], or None where all are unknown.
        classes: how many there are.
        role: of the data.
    """
    values = np.full(1, UNKNOWN) if label is None else np.asarray(label)
    if values.size != len(values) or values.dtype.kind not in "iufb":
        fix = f"Number the classes from 0; pass {UNKNOWN} where the class is unknown."
        received = f"shape {values.shape} of {values.dtype}"
        raise DataError("`label` must be one whole number an example, [B]", received, fix)
    wrong = (values < UNKNOWN) | (values >= classes) | (values != np.rint(values))
    if np.any(wrong):
        expected = f"Labels must be whole numbers from 0 to {classes - 1}, or -1 where unknown"
        received = f"{values.reshape(-1)[int(np.argmax(wrong))]:g} in the {role} data"
        raise DataError(expected, received, "Number the classes from 0.")
    if role == "training" and np.all(values == UNKNOWN):
        fix = "Pass fit(x, y), y being the class of each example, -1 where it is unknown."
        raise DataError("Training a classifier needs labelled examples", "none", fix)


def example_of(specs):
    """Returns one row of zeros like each of some specs; None where a size is not known."""
    leaves = keras.tree.flatten(specs)
    known = (isinstance(spec, tf.TensorSpec) and spec.shape.rank for spec in leaves)
    if specs is None or not all(known) or any(None in spec.shape[1:] for spec in leaves):
        return None
    return keras.tree.map_structure(lambda s: tf.zeros([1, *s.shape[1:]], s.dtype), specs)
