"""Which fields of a batch a network takes, and which outputs it gives, by their names."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from vae_tf.errors import ConfigError, DataError

FIELDS = ("x", "mask", "condition", "z")


class Wiring:
    """A network that is fed by the names of its inputs.

    A functional model tells the names; of a subclass, the parameters of its `call` do. A single
    input takes the main field whatever it is called, and so does the one input whose name says
    nothing beside others that are named. Names beyond `FIELDS` are keys of a `condition` that is
    a dict.

    Args:
        network: a Keras model.
        role: what it is to the user, such as "encoder".
        main: the field its main input takes; None where none is (a network of the condition).

    Attributes:
        names: the field of each input.

    Raises:
        ConfigError: the names do not tell which input takes the main field.
    """

    def __init__(self, network: keras.Model, role: str, main: str | None):
        if not isinstance(network, keras.layers.Layer):
            expected = f"`{role}` must be a Keras model"
            fix = "Pass keras.Model(inputs, outputs), or a builder's, such as networks.mlp_encoder."
            raise ConfigError(expected, repr(network)[:100], fix)
        self.network, self.role, self.main = network, role, main
        self._inputs = _inputs_of(network)
        self._by_call = self._inputs is None
        given = _parameters_of(network) if self._by_call else _names_of(self._inputs)
        self.names = self._assigned(given)

    def _assigned(self, given: Sequence[str]) -> tuple[str, ...]:
        main = self.main
        if main is None or main in given:
            return tuple(given)
        others: Sequence[str] = [name for name in given if name not in FIELDS]
        if self._by_call and given:  # a subclass's first parameter, x or inputs or whatever
            others = given[:1]
        if len(given) == 1 or len(others) == 1:
            chosen = others[0] if others else given[0]
            return tuple(main if name == chosen else name for name in given)
        fix = f'Name one keras.Input(..., name="{main}"), others condition or mask.'
        expected = f"One input of the {self.role} must be named {main}"
        raise ConfigError(expected, f"inputs named {', '.join(given) or 'nothing'}", fix)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The inputs that are the condition, or a part of it."""
        return tuple(n for n in self.names if n == "condition" or n not in FIELDS)

    @property
    def takes_condition(self) -> bool:
        """Whether an input is the condition, or a part of it."""
        return bool(self.conditions)

    def check_condition(self, condition) -> None:
        """Raises DataError unless the inputs take a condition, a tensor [B, ...] or a dict."""
        for name in self.conditions:
            self._value(name, {"condition": condition})

    def input_shape(self, name: str) -> tuple | None:
        """Returns the shape, without batch, of the input of that name; None if it is unknown."""
        if name not in self.names:
            return None
        if self._by_call:
            shape = getattr(self.network, "input_shape", None) if len(self.names) == 1 else None
            return tuple(shape[1:]) if isinstance(shape, tuple) else None
        return tuple(self.tensor(name).shape[1:])

    def input_dtype(self, name: str) -> str | None:
        """Returns the dtype of the input of that name; None if it is unknown."""
        return None if self._by_call or name not in self.names else self.tensor(name).dtype

    def tensor(self, name: str):
        """Returns a functional model's symbolic input of that name."""
        return keras.tree.flatten(self._inputs)[self.names.index(name)]

    def __call__(self, fields: Mapping[str, Any], training: bool = False):
        """Returns the network's outputs, by name where it has names for them.

        Args:
            fields: tensors by name; `condition` may be a dict of tensors.
            training: passed on to the network.

        Raises:
            DataError: a field that the network takes is missing, or cannot be made to fit.
        """
        return self.run([self._value(name, fields) for name in self.names], training)

    def run(self, values: Sequence[Any], training: bool = False):
        """Returns the network's outputs for the values of its inputs, in the order of `names`."""
        if self._by_call:
            main, *others = values
            named = dict(zip(self.names[1:], others, strict=True))
            outputs = self.network(main, **named, training=training)
        else:
            outputs = self.network(
                keras.tree.pack_sequence_as(self._inputs, values), training=training
            )
        return self.by_name(outputs)

    def by_name(self, outputs):
        """Returns a network's outputs as a dict, or as one tensor if there is one.

        Raises:
            ConfigError: several outputs in a list, whose layers' names do not tell them apart.
        """
        if not isinstance(outputs, (list, tuple)):
            return outputs
        if len(outputs) == 1:
            return outputs[0]
        names = getattr(self.network, "output_names", None)
        if not names or len(set(names)) < len(outputs):
            expected = f"Several outputs of the {self.role} must have names"
            fix = "Return a dict {name: tensor}, as in keras.Model(inputs, {name: tensor, ...})."
            raise ConfigError(expected, f"a list of {len(outputs)} tensors", fix)
        return dict(zip(names, outputs, strict=True))

    def output_shapes(self) -> dict[str, tuple] | tuple | None:
        """Returns the outputs' shapes without batch, by name; one if it is one; None if unknown."""
        try:
            outputs = self.by_name(self.network.output)
        except (AttributeError, ValueError) as error:  # Keras's ways of saying it does not know
            if isinstance(error, ConfigError):
                raise
            return None
        if isinstance(outputs, Mapping):
            return {name: tuple(tensor.shape[1:]) for name, tensor in outputs.items()}
        return tuple(outputs.shape[1:])

    def _value(self, name: str, fields: Mapping[str, Any]):
        value = fields.get(name)
        if name not in FIELDS:
            condition = fields.get("condition")
            value = condition.get(name) if isinstance(condition, Mapping) else None
        if value is None:
            what = "condition" if name not in FIELDS else name
            received = f"data without {name if what == name else f'{what}[{name!r}]'}"
            if what == "condition":
                fix = "Pass (x, y), y being the condition, or {'x': x, 'condition': c}."
            else:
                fix = f"Pass a dict of data with the key {what}."
            raise DataError(f"The {self.role} takes the input {name}", received, fix)
        if isinstance(value, Mapping):
            fix = f"Name the network's inputs {', '.join(sorted(value))}, or pass one tensor."
            raise DataError(f"The {self.role}'s input {name} must be one tensor", "a dict", fix)
        if self._by_call:
            return value
        spec = self.tensor(name)
        return value if name in ("x", "z") else _fitted(value, spec, name, self.role, fields)


def _fitted(value, spec, name: str, role: str, fields):
    """Returns a condition or mask as the input takes it: classes one-hot, masks broadcast."""
    value, wanted = tf.convert_to_tensor(value), tuple(spec.shape[1:])
    if name == "mask":
        x = fields["x"]
        value = tf.broadcast_to(value, tf.shape(x)) if value.shape.rank == x.shape.rank else value
        return value[..., :1] if wanted and wanted[-1] == 1 != value.shape[-1] else value
    rank = value.shape.rank
    if len(wanted) == 1 and (rank == 1 or (rank == 2 and value.shape[1] == 1 != wanted[0])):
        if wanted[0] == 1:
            value = tf.reshape(value, [-1, 1])
        else:
            value = tf.one_hot(tf.cast(tf.reshape(value, [-1]), tf.int32), wanted[0])
    elif not wanted and rank == 2 and value.shape[1] == 1:
        value = value[:, 0]
    got = tuple(value.shape[1:])
    fits = len(got) == len(wanted) and all(
        None in (g, w) or g == w for g, w in zip(got, wanted, strict=True)
    )
    if not fits:
        expected = f"The {role}'s input {name} must be [B{''.join(f', {s}' for s in wanted)}]"
        fix = "Pass classes 0, 1, ... [B] or one-hot vectors, as the input takes."
        raise DataError(expected, f"shape {tuple(value.shape)}", fix)
    return tf.cast(value, spec.dtype)


def num_classes(wirings: Sequence[Wiring], name: str) -> int | None:
    """Returns how many classes integers in the field `name` may be of, None if that is open."""
    shapes = [wiring.input_shape(name) for wiring in wirings if not wiring._by_call]
    sizes = [shape[0] for shape in shapes if shape is not None and len(shape) == 1]
    return min((size for size in sizes if size and size > 1), default=None)


def _inputs_of(network):
    """Returns a functional model's inputs in their structure, None for other models."""
    try:
        known = getattr(network, "inputs", None)  # of a Sequential once it is built
        return network.input if known else None
    except (AttributeError, ValueError):
        return None


def _names_of(inputs) -> list[str]:
    if isinstance(inputs, Mapping):
        # As keras.tree flattens a dict
        return list(keras.tree.flatten({name: name for name in inputs}))
    return [tensor.name for tensor in keras.tree.flatten(inputs)]


def _parameters_of(network) -> list[str]:
    """Returns the parameters of a subclass's `call` that are fields: the first, and known names."""
    if isinstance(network, keras.Sequential):
        return ["inputs"]
    parameters = inspect.signature(network.call).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = [p for p in parameters if p.kind in kinds and p.name != "training"]
    if not named:  # call(*args)
        return ["inputs"]
    others = (p.name for p in named[1:] if p.name in FIELDS or p.default is p.empty)
    return [named[0].name, *others]
