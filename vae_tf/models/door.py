"""Where data enter a model: the same forms for every method, looked at once more."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.data.batch import (
    FORMS,
    Batch,
    as_array,
    check_mask_shape,
    kept,
    not_by_example,
    parse,
)
from vae_tf.data.missing import nan_masked, observed, warn_of_empty_columns
from vae_tf.data.storage import chunks
from vae_tf.errors import DataError
from vae_tf.models.inputs import (
    check_shape,
    data_of,
    example_of,
    is_stream,
    labels_of,
    look_at_classes,
    look_at_labels,
    weights_of_classes,
)
from vae_tf.models.parts import Parts
from vae_tf.models.shapes import batched, fits

UNFIT = (str, bytes, int, float, complex, bool, type)


@dataclasses.dataclass(frozen=True)
class Door:
    """Takes data in every known form for one model.

    Attributes:
        parts: of the model.
        event_shape: of one example, None where it is not known yet.
        y_is: the field that `y` is, None if the model has no use for it.
        missing: "nan" if NaN stands for what is missing; None if it is refused.
    """

    parts: Parts
    event_shape: tuple[int | None, ...] | None
    y_is: str | None = None
    missing: str | None = None

    def parse(self, data) -> Batch:
        """Returns the fields of one batch, as they came."""
        return self._complete(parse(data, self.y_is))

    def arrays(
        self, data, y=None, sample_weight=None, *, role: str, class_weight=None, strict=False
    ):
        """Returns all examples as a Batch of arrays, looked at; a stream as it came.

        Args:
            data: any of FORMS.
            y: as `fit` takes it.
            sample_weight: [N] or None.
            role: of the data, for messages.
            class_weight: {class: weight} for the classes that y names, as `fit` takes it.
            strict: whether a true density is asked for, as for `check_support`.

        Raises:
            DataError: a form that is not known, or data that cannot be used; see `look`.
        """
        if is_stream(data):
            self._check_stream(data, y, sample_weight, class_weight, role)
            return data
        if data is None or isinstance(data, UNFIT):
            received = "nothing" if data is None else repr(data)[:60]
            raise DataError(
                f"The {role} data must be given in a known form", received, f"Pass {FORMS}."
            )
        if isinstance(data, list):
            data = as_array(data, role)
        elif isinstance(data, (tuple, Batch)) and (y is not None or sample_weight is not None):
            fix = "Pass fit(x, y, sample_weight=w), or a tuple alone."
            raise DataError(f"The {role} data must be given once", "a tuple and other fields", fix)
        given = data if isinstance(data, (tuple, Batch)) else (data, y, sample_weight)
        batch = self.parse(given)
        if class_weight is not None:
            by_class = weights_of_classes(labels_of(given, batch), class_weight)
            own = 1.0 if batch.weight is None else as_array(batch.weight, "weight").reshape(-1)
            batch = batch._replace(weight=own * by_class)
        weight = None if batch.weight is None else as_array(batch.weight, "weight")
        if weight is not None and weight.size != len(weight):
            raise not_by_example(weight.shape)
        others = {name: kept(getattr(batch, name)) for name in ("mask", "condition", "label")}
        x = batch.x if tf.is_tensor(batch.x) else as_array(batch.x, role)
        mask = others["mask"]
        if mask is not None and len(mask.shape) < len(x.shape):
            # Graphs take batches of one rank
            others["mask"] = mask.reshape(mask.shape + (1,) * (len(x.shape) - mask.ndim))
        batch = Batch(x, **others, weight=None if weight is None else weight.reshape(-1))
        mask = self.look(batch, role, strict)
        if mask is not None and not tf.is_tensor(x):
            if x.dtype == "float64":
                # Keras casts to float32, in which a missing 1e300 would overflow, with a warning
                batch = batch._replace(x=np.where(mask, x, 0))
            if role == "training":
                warn_of_empty_columns(mask)
        return batch

    def look(self, batch: Batch, role: str, strict: bool = False) -> np.ndarray | None:
        """Raises DataError unless the arrays of `batch` are examples that the model can take.

        That is: some, all fields as many, of the event's shape, numbers, finite and within the
        support where they were observed, weights of at least 0, classes that exist.

        Returns:
            Which values were observed, bool of the shape of x; None without a mask.
        """
        x = as_array(batch.x, role)
        if self.event_shape is not None and not fits(x.shape[1:], self.event_shape):
            fix = f"Reshape the data to {batched(self.event_shape)}, or build the encoder for them."
            expected = f"The {role} data must be {batched(self.event_shape)}, as the encoder takes"
            raise DataError(expected, f"shape {x.shape}", fix)
        if not x.ndim or not len(x):
            fix = "Check the files and the split."
            raise DataError(f"The {role} data must hold examples", f"shape {x.shape}", fix)
        self._look_at_lengths(batch, role)
        self._look_at_weights(batch.weight, role)
        self._look_at_condition(batch.condition)
        if self.y_is == "label":
            look_at_labels(batch.label, self.parts.classifier.num_classes, role)
        return self._look_at_support(batch, strict)

    def _look_at_lengths(self, batch: Batch, role: str) -> None:
        rows = len(batch.x)
        for name, value in batch.present().items():
            for array in keras.tree.flatten(value):
                entries = len(array) if len(array.shape) else None
                if entries != rows:
                    seen = "one number" if entries is None else f"{entries} entries"
                    expected = f"All fields of the {role} data must have one length"
                    received = f"{rows} examples and {seen} of `{name}`"
                    raise DataError(expected, received, "Pass arrays of one length.")

    def _look_at_support(self, batch: Batch, strict: bool = False) -> np.ndarray | None:
        likelihood, x = self.parts.likelihood, as_array(batch.x, "given")
        if not len(x):
            return None
        if batch.mask is None:
            likelihood.check_support(x, strict=strict)
            return None
        mask = observed(as_array(batch.mask, "mask"), x.shape)
        empty = np.asarray(likelihood.placeholder(x.shape[1:]))
        try:
            for rows in chunks(x):
                likelihood.check_support(_filled(x[rows], mask[rows], empty), strict=strict)
        except DataError:  # once more, since the message may tell an index
            likelihood.check_support(_filled(x, mask, empty), strict=strict)
        return mask

    def batch(self, data, what: str, condition=None) -> Batch:
        """Returns the fields of what a method was called with, all examples at once.

        Args:
            data: x, (x, y) or a dict of fields.
            what: the data are, for messages.
            condition: in place of the one among the data.

        Raises:
            DataError: not numbers, or of another shape.
        """
        if is_stream(data):
            fix = "Take its batches one by one."
            raise DataError(f"The {what} must be one batch here", type(data).__name__, fix)
        fields = data if isinstance(data, (tuple, Mapping, Batch)) else (data,)
        batch = parse(fields, self.y_is)
        if condition is not None:
            batch = batch._replace(condition=condition)
        batch = self._complete(batch)
        if tf.executing_eagerly():
            x = batch.x if tf.is_tensor(batch.x) else as_array(batch.x, "given")
            check_shape(x, self.event_shape, what)
            batch = Batch(x, *map(kept, batch[1:]))
            self._look_at_lengths(batch, what.removesuffix("data").strip() or "given")
            self._look_at_condition(batch.condition)
            self._look_at_support(batch)
        return batch

    def batches(self, data, batch_size: int, what: str, condition=None) -> Iterator[Batch]:
        """Returns the data in batches: those of a stream, or of `batch_size` examples of arrays.

        Raises:
            DataError: data that cannot be used, or a condition beside a stream.
        """
        if is_stream(data):
            if condition is not None:
                fix = "Let its elements be (x, y), y being the condition."
                raise DataError(f"A stream of {what} must hold all fields", "a condition", fix)
            for element in data_of(data):
                yield self.batch(element, what)
            return
        batch = self.arrays(data, role=what)
        for start in range(0, len(batch.x), batch_size):
            yield batch.rows(slice(start, start + batch_size))

    def condition(self, condition, rows: int) -> Any:
        """Returns a condition for so many rows, as tensors; None if the model takes none.

        Raises:
            DataError: a condition is missing, or for another number of rows.
        """
        if not self.parts.conditional:
            if condition is None:
                return None
            fix = "Drop it, or give the networks an input named condition."
            raise DataError("This model takes no condition", "condition=...", fix)
        if condition is None:
            fix = "Pass condition=..., one entry for each."
            raise DataError("This model needs a condition", "none", fix)
        condition = kept(condition)
        shapes = [part.shape for part in keras.tree.flatten(condition)]
        lengths = {shape[0] if len(shape) else "one number" for shape in shapes}
        if lengths != {rows}:
            expected = f"`condition` must have {rows} entries"
            received = " and ".join(map(str, sorted(lengths, key=str)))
            raise DataError(expected, received, "Pass one entry for each example or sample.")
        self._look_at_condition(condition)
        return keras.tree.map_structure(tf.convert_to_tensor, condition)

    def _complete(self, batch: Batch) -> Batch:
        """Returns the batch, or raises DataError if a condition is missing or nobody takes it."""
        untold = self.parts.conditional and batch.condition is None
        if untold and self.parts.classifier is None:
            fix = "Pass (x, y), y being the condition, or {'x': x, 'condition': c}."
            raise DataError("This model's data must have a condition", "x alone", fix)
        if not self.parts.conditional and batch.condition is not None:
            fix = "Drop it, or give the networks an input named condition."
            raise DataError("This model takes no condition", "data with a condition", fix)
        return nan_masked(batch) if self.missing == "nan" else batch

    def _look_at_weights(self, weight, role: str) -> None:
        if weight is not None and not bool(np.all(np.isfinite(weight) & (weight >= 0))):
            bad = int(np.argmin(np.isfinite(weight) & (weight >= 0)))
            expected = f"`sample_weight` of the {role} data must be finite and at least 0"
            received = f"{weight[bad]:g} at index {bad}"
            raise DataError(expected, received, "Pass 0 for an example that shall not count.")

    def _look_at_condition(self, condition) -> None:
        """Raises DataError unless the networks can take a condition, arrays [N, ...]."""
        if condition is None:
            return
        named = condition if isinstance(condition, Mapping) else {"condition": condition}
        for name, part in named.items():
            values = np.asarray(part)
            classes = self.parts.num_classes.get(name)
            look_at_classes(values, classes, name)
        first = keras.tree.map_structure(lambda v: tf.convert_to_tensor(v[:1]), condition)
        for wiring in self.parts.wirings:
            wiring.check_condition(first)

    def _check_stream(self, data, y, sample_weight, class_weight, role: str) -> None:
        if any(given is not None for given in (y, sample_weight, class_weight)):
            fix = "Let its elements be (x, y, sample_weight), without class_weight."
            raise DataError(f"A stream of {role} data must hold all fields", "more beside it", fix)
        if isinstance(data, tf.data.Dataset):
            spec = data.element_spec
            batch = self.parse(tuple(spec) if isinstance(spec, list) else spec)
            if isinstance(batch.x, (tf.RaggedTensorSpec, tf.SparseTensorSpec)):
                fix = "Pad it, and pass a `mask` that is 0 in the padding."
                raise DataError(f"The {role} data must be dense", type(batch.x).__name__, fix)
            self._look_at_condition(example_of(batch.condition))
            if isinstance(batch.x, tf.TensorSpec) and batch.x.shape.rank is not None:
                self._check_known(batch.x.shape, role)
                # Not left to the step: one that was traced for several shapes knows none
                mask = batch.mask.shape if isinstance(batch.mask, tf.TensorSpec) else None
                if mask is not None and mask.rank is not None:
                    check_mask_shape(
                        [*mask, *[1] * (batch.x.shape.rank - mask.rank)], batch.x.shape
                    )
            if int(data.cardinality()) == 0:
                fix = "Check the files, the split's name and any filter."
                raise DataError(f"The {role} data must hold examples", "an empty dataset", fix)

    def _check_known(self, shape: tf.TensorShape, role: str) -> None:
        """Raises DataError where what is known of a shape is not what the encoder takes."""
        wanted = self.event_shape
        if wanted is None:
            return
        known = [w if s is None else s for s, w in zip(shape[1:], wanted, strict=False)]
        if len(shape) != 1 + len(wanted) or not fits(known, wanted):
            fix = f"Reshape the data to {batched(wanted)}, or build the encoder for them."
            expected = f"The {role} data must be {batched(wanted)}, as the encoder takes"
            raise DataError(expected, f"shape {tuple(shape)}", fix)


def _filled(x: np.ndarray, mask: np.ndarray, empty: np.ndarray) -> np.ndarray:
    return np.where(mask, x, empty).astype("float32", copy=False)
