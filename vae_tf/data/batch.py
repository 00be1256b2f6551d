"""One batch: what `fit`, a data set or a user's call gives, parsed into named fields."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from vae_tf.errors import DataError

FORMS = (
    "an array x; (x, y) or (x, y, sample_weight); a dict with some of the keys x, mask, condition, "
    "label, weight; or a tf.data.Dataset, a generator or a PyDataset of these"
)


class Batch(NamedTuple):
    """The fields of some examples, arrays or tensors; all but `x` may be missing."""

    x: Any  # data, [B, *event]
    mask: Any = None  # 1 where x was observed, 0 where it is missing or padding; broadcast to x
    condition: Any = None  # what everything is conditional on: [B, ...], or a dict of such
    label: Any = None  # classes [B], -1 where unknown
    weight: Any = None  # of the examples in means over them, [B]

    def present(self) -> dict[str, Any]:
        """Returns the fields there are, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    def tensors(self) -> "Batch":
        """Returns the batch as tensors: numbers float32, classes as they are, no NaN where masked.

        Raises:
            DataError: weights that are not one number an example, or a mask of another shape.
        """
        for part in keras.tree.flatten(self.condition):
            _check_axes("condition", part)
        x, mask = tf.cast(self.x, tf.float32), self.mask
        if mask is not None:
            mask = mask_beside(x, mask)
            x = tf.where(mask > 0, x, 0.0)
        weight = None if self.weight is None else _weights(self.weight)
        condition = keras.tree.map_structure(_numbers, self.condition)
        return Batch(x, mask, condition, self.label, weight)

    def rows(self, part: slice) -> "Batch":
        """Returns a part of the examples."""
        return Batch(
            *keras.tree.map_structure(lambda v: None if v is None else v[part], tuple(self))
        )

    def repeated(self, times) -> "Batch":
        """Returns the batch as many times over, [times * B, ...]; itself if `times` is 1."""
        if isinstance(times, int) and times == 1:
            return self

        def tiled(value):
            if value is None:
                return None
            value = tf.convert_to_tensor(value)
            return tf.tile(value, [times] + [1] * (value.shape.rank - 1))

        return Batch(*(keras.tree.map_structure(tiled, field) for field in self))


def parse(data, y_is: str | None = None) -> Batch:
    """Returns the fields of `data`, which stay what they are: arrays or tensors.

    Args:
        data: x, (x,), (x, y), (x, y, weight), a dict of fields in the place of x, or a Batch.
        y_is: the field that y is for the model; None if it has no use for y.

    Raises:
        DataError: a form or a field that is not known, or a field given twice.
    """
    if isinstance(data, Batch):
        return data
    x, y, weight = data, None, None
    if isinstance(data, (tuple, list)):
        if not 1 <= len(data) <= 3:
            received = f"a {type(data).__name__} of {len(data)}"
            raise DataError("Data must be given in a known form", received, f"Pass {FORMS}.")
        x, y, weight = (*data, None, None)[:3]
    fields = dict(x) if isinstance(x, Mapping) else {"x": x}
    unknown = sorted(set(map(str, fields)) - set(Batch._fields))
    if unknown or "x" not in fields:
        received = f"the keys {sorted(map(str, fields))}"
        raise DataError("A dict of data must have the key x", received, f"Pass {FORMS}.")
    for name, value in ((y_is, y), ("weight", weight)):
        if name is None or value is None:
            continue
        if fields.get(name) is not None:
            argument = "sample_weight" if name == "weight" else "y"
            fix = "Leave out one of them."
            raise DataError(f"`{name}` must be given once", f"`{name}` and {argument}", fix)
        fields[name] = value
    return Batch(**fields)


def kept(field):
    """Returns a field as arrays, or as the tensors it is; the values of a dict likewise."""
    if isinstance(field, Mapping):
        return {name: kept(value) for name, value in field.items()}
    return field if field is None or tf.is_tensor(field) else np.asarray(field)


def _numbers(value):
    """Returns floating-point numbers as float32 and all else as it is."""
    if value is None:
        return None
    value = tf.convert_to_tensor(value)
    return tf.cast(value, tf.float32) if value.dtype.is_floating else value


def _weights(weight) -> tf.Tensor:
    weight = tf.cast(weight, tf.float32)
    shape = weight.shape
    if shape.rank is not None and any(size != 1 for size in shape[1:]):
        raise not_by_example(tuple(shape))
    return tf.reshape(weight, [-1])


def _check_axes(name: str, value) -> None:
    if tf.is_tensor(value) and value.shape.rank is None:
        fix = "Give it the same number of axes at every call of a model."
        raise DataError(f"`{name}` must have known axes", "a tensor of any rank", fix)


def mask_beside(x: tf.Tensor, mask) -> tf.Tensor:
    """Returns a mask as float32, with as many axes as the data `x`, to whose shape it broadcasts.

    Raises:
        DataError: it does not, or its axes are not known.
    """
    _check_axes("mask", mask)
    mask = tf.cast(mask, tf.float32)
    for _ in range(x.shape.rank - mask.shape.rank):
        mask = mask[..., tf.newaxis]
    check_mask_shape(mask.shape, x.shape)
    return mask


def check_mask_shape(mask, x) -> None:
    """Raises DataError unless a shape of a mask, as far as it is known, broadcasts to that of x."""
    fits = len(mask) == len(x) and all(
        None in (m, size) or m in (1, size) for m, size in zip(mask[1:], x[1:], strict=True)
    )
    if not fits or (None not in (mask[0], x[0]) and mask[0] != x[0]):
        fix = "Pass 1 where x was observed and 0 where not, in the shape of x."
        raise DataError("`mask` must broadcast to x", f"{tuple(mask)} and {tuple(x)}", fix)


def not_by_example(shape) -> DataError:
    """Returns the error for weights that are not one number an example."""
    fix = "Pass one weight an example; to leave pixels out, pass a `mask` beside x."
    return DataError("`sample_weight` must be one number an example, [B]", f"shape {shape}", fix)


def as_array(data, role: str) -> np.ndarray:
    """Returns data as an array of numbers; half-precision ones as float32.

    Raises:
        DataError: what is no array of numbers, or one whose rows differ in size.
    """
    if hasattr(data, "dtypes") and hasattr(data, "to_numpy"):
        return _of_frame(data, role)
    if isinstance(data, (tf.RaggedTensor, tf.SparseTensor)):
        fix = "Pass a dense array, padded, with a `mask` that is 0 in the padding."
        raise DataError(f"The {role} data must be dense", type(data).__name__, fix)
    try:
        x = np.asarray(data.to_numpy() if hasattr(data, "to_numpy") else data)
        if x.dtype.name == "bfloat16":
            x = x.astype("float32")
        numbers, received = x.dtype.kind in "fbiu", f"an array of {x.dtype}"
    except ValueError:  # NumPy's word for rows of different lengths
        numbers, received = False, "examples of mixed sizes"
    if not numbers:
        fix = "Convert them to float32; images of mixed sizes must be resized first."
        raise DataError(f"The {role} data must be numbers", received, fix)
    return x


def _of_frame(frame, role: str) -> np.ndarray:
    """Returns the numbers of a pandas DataFrame or Series, NaN where they are missing.

    Raises:
        DataError: other columns than numbers.
    """
    columns = [frame] if frame.ndim == 1 else [frame.iloc[:, j] for j in range(frame.shape[1])]
    for column in columns:
        if getattr(column.dtype, "kind", "O") not in "fbiu":
            fix = "Let a Table turn its columns into numbers: vae_tf.data.Table.from_frame(df)."
            received = f"column {column.name!r} of {column.dtype}"
            raise DataError(f"A DataFrame of {role} data must hold numbers alone", received, fix)
    if frame.ndim == 1:
        return _column(frame)
    return np.stack([_column(column) for column in columns], 1) if columns else frame.to_numpy()


def _column(column) -> np.ndarray:
    missing = bool(column.isna().any())
    return column.to_numpy("float64", na_value=np.nan) if missing else column.to_numpy()
