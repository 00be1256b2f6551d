"""The condition as inputs of a signature: classes as numbers, all else as networks take it."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.signatures import rows
from vae_tf.signatures.endpoint import INPUTS, Input, Words
from vae_tf.wiring import FIELDS, Wiring, num_classes

CLASS: Words = ("class of the row, which all outputs are conditional on", "number from 0")
VALUES: Words = ("condition of all outputs of the row", "as in training")
ONE = "condition"  # the name of a condition that is no dict


@dataclass(frozen=True)
class Condition:
    """The inputs of one signature that are its condition; none of a model without.

    Attributes:
        inputs: one, or one for each key of a dict.
        keys: what networks call them.
        one_hot: those of classes that all networks take one-hot.
    """

    inputs: tuple[Input, ...] = ()
    keys: tuple[str, ...] = ()
    one_hot: frozenset[str] = frozenset()

    def value(self, given: Sequence[tf.Tensor]) -> Any:
        """Returns what networks take: a tensor, a dict of tensors, or None.

        Args:
            given: values of `inputs`, [B, ...] each. Classes that there are not become others,
                which the row's NaN hide.
        """
        named = {}
        for key, spec, x in zip(self.keys, self.inputs, given, strict=True):
            if spec.bounds is not None:
                x = tf.clip_by_value(x, int(spec.bounds[0]), int(spec.bounds[1]))
            if spec.bounds is not None and key in self.one_hot:
                # Not tf.one_hot: LiteRT in integers scales its ones otherwise than its result,
                # and what is made of comparisons becomes the same operator.
                x = tf.gather(tf.eye(1 + int(spec.bounds[1])), x)
            named[key] = x
        return named.get(ONE, named or None)

    def also(self, fit: tf.Tensor, given: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns which rows, of those that are `fit` [B], have a condition that there is."""
        for x, spec in zip(given, self.inputs, strict=True):
            if spec.bounds is not None:
                fit &= (x >= int(spec.bounds[0])) & (x <= int(spec.bounds[1]))
            elif spec.dtype == "float32":
                fit &= rows.within(x)
        return fit

    def example(self, size: int) -> list[tf.Tensor]:
        """Returns values for so many rows, different ones as far as there are."""
        return [
            tf.zeros([size, *i.shape], i.dtype)
            if i.bounds is None
            else tf.range(size) % (1 + int(i.bounds[1]))
            for i in self.inputs
        ]

    def among(self, named: Mapping[str, Any]) -> list[Any]:
        """Returns the values of its own inputs, of values by the names of inputs."""
        return [named[i.name] for i in self.inputs]

    def sent(self, value: Any) -> dict[str, np.ndarray]:
        """Returns a condition as data have it in the form in which clients send it, by input.

        Raises:
            ExportError: it is missing, or no such condition.
        """
        values = value if isinstance(value, Mapping) else {ONE: value}
        result = {}
        for key, spec in zip(self.keys, self.inputs, strict=True):
            if values.get(key) is None:
                expected = f"the data of a conditional model must have {key!r}"
                fix = "Pass (x, y), y being the condition, or {'x': x, 'condition': c}."
                raise ExportError(expected, "none", fix)
            array = np.asarray(values[key])
            if spec.bounds is not None and array.ndim == 2 and array.shape[1] > 1:
                classes = array.argmax(1)
                if not np.array_equal(array, np.eye(array.shape[1])[classes]):
                    fix = f"Export with Options(vectors=[{key!r}]), which sends the vectors."
                    raise ExportError(f"{key!r} must be classes", "vectors not one-hot", fix)
                array = classes
            if spec.bounds is not None and not np.isin(array, np.arange(spec.bounds[1] + 1)).all():
                fix = "Number the classes from 0."
                expected = f"{key!r} must be classes from 0 to {int(spec.bounds[1])}"
                raise ExportError(expected, f"values up to {array.max()}", fix)
            result[spec.name] = array.astype(spec.dtype).reshape(len(array), *spec.shape)
        return result


def condition_of(
    takers: Sequence[Wiring], everyone: Sequence[Wiring], vectors: Sequence[str]
) -> Condition:
    """Returns the condition of a signature.

    Args:
        takers: the networks it runs.
        everyone: all networks of the model, which agree about what a class is.
        vectors: names of conditions of which a vector is no class, one-hot.

    Raises:
        ExportError: the shape of a condition is not known.
    """
    keys = dict.fromkeys(
        name for wiring in takers for name in wiring.names if name == ONE or name not in FIELDS
    )
    inputs = tuple(_input(key, everyone, vectors) for key in keys)
    one_hot = {
        key
        for key, spec in zip(keys, inputs, strict=True)
        if spec.bounds is not None
        and {w.input_shape(key) for w in takers if key in w.names} == {(1 + int(spec.bounds[1]),)}
    }
    return Condition(inputs, tuple(keys), frozenset(one_hot))


def _input(key: str, everyone: Sequence[Wiring], vectors: Sequence[str]) -> Input:
    """Returns the input of one condition: a class where its number is known, else a vector."""
    # A key of a dict may be called like another input.
    name = f"{ONE}_{key}" if key in {known.split(",")[0] for known in INPUTS} else key
    counts = [] if key in vectors else [num_classes(everyone, key), *_embedded(everyone, key)]
    count = min((count for count in counts if count is not None), default=None)
    if count is not None:
        bounds = (0.0, float(count - 1))
        return Input(name, "int32", (), words=CLASS, bounds=bounds, whole=True, role=ONE)
    shapes = [wiring.input_shape(key) for wiring in everyone]
    shape = next((shape for shape in shapes if shape is not None), None)
    if shape is None or None in shape:
        raise ExportError(
            f"the shape of the condition {key!r} must be known",
            "networks that do not tell" if shape is None else f"[B, {str(shape)[1:-1]}]",
            f'Let a network take it by keras.Input(shape, name="{key}").',
        )
    dtype = next((kind for kind in (w.input_dtype(key) for w in everyone) if kind), "float32")
    kind = "int32" if tf.as_dtype(dtype).is_integer else "float32"
    return Input(name, kind, tuple(shape), words=VALUES, role=ONE)


def _embedded(everyone: Sequence[Wiring], key: str) -> list[int]:
    """Returns of how many classes the embeddings are that take an input as it comes."""
    sizes = []
    for wiring in everyone:
        if wiring.input_dtype(key) is None:
            continue
        for layer in wiring.network.layers:
            with contextlib.suppress(AttributeError, ValueError):  # a layer without one input
                if isinstance(layer, keras.layers.Embedding) and layer.input is wiring.tensor(key):
                    sizes.append(layer.input_dim)
    return sizes
