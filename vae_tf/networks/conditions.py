"""What a network is conditional on: its inputs, and their way into dense and image layers."""

import numbers
from collections.abc import Mapping

import keras

from vae_tf.checks import whole
from vae_tf.errors import ConfigError
from vae_tf.networks.checks import Shape, shape_of

FIELDS = ("x", "mask", "condition", "z")  # what other inputs of a network are called

# A number of classes, the shape of one condition, several of either by name, or none
Condition = int | Shape | Mapping[str, int | Shape] | None


class Conditions:
    """The Keras inputs of a condition; without one, everything here leaves networks as they are.

    Args:
        condition: a number of classes K, whose input is one-hot [K]; the shape of a tensor; or
            a dict of either by the name of the input; or None. An input without a name of its
            own is called `condition`.

    Raises:
        ConfigError: what is none of these.
    """

    def __init__(self, condition: Condition):
        self.inputs = {
            name: keras.Input(shape, name=name) for name, shape in _shapes(condition).items()
        }
        flat = [keras.layers.Flatten()(value) for value in self.inputs.values()]
        self.features = keras.layers.Concatenate()(flat) if len(flat) > 1 else (flat or [None])[0]

    def __bool__(self) -> bool:
        return bool(self.inputs)

    def beside(self, h):
        """Returns features `h` [B, D] with the numbers of the condition beside them."""
        return keras.layers.Concatenate()([h, self.features]) if self else h

    def film(self, h):
        """Returns maps `h` [B, H, W, C], each channel scaled and shifted as the condition says.

        Feature-wise linear modulation (Perez et al. 2018), the identity at first.
        """
        if not self:
            return h
        scale, shift = (
            keras.layers.Reshape((1, 1, h.shape[-1]))(
                keras.layers.Dense(h.shape[-1], kernel_initializer="zeros")(self.features)
            )
            for _ in range(2)
        )
        return keras.layers.Add()([h, keras.layers.Multiply()([h, scale]), shift])

    def model(self, name: str, value, outputs, field: str) -> keras.Model:
        """Returns the model from `value` to `outputs`, or from {field: value} and the condition."""
        inputs = {field: value, **self.inputs} if self else value
        return keras.Model(inputs, outputs, name=name)


def _shapes(condition: Condition) -> dict[str, tuple]:
    if condition is None:
        return {}
    if not isinstance(condition, Mapping):
        return {"condition": _shape("condition", condition)}
    for name in condition:
        if not isinstance(name, str) or not name.isidentifier() or name in FIELDS:
            fix = f"Name them otherwise than {', '.join(FIELDS)}, as in {{'digit': 10}}."
            raise ConfigError("Names in `condition` must be identifiers", repr(name), fix)
    if not condition:
        raise ConfigError("`condition` must name a condition", "{}", "Pass None for none.")
    return {name: _shape(f"condition[{name}]", value) for name, value in condition.items()}


def _shape(name: str, value) -> tuple:
    if isinstance(value, numbers.Number):
        fix = "Pass the number of classes, 2 or more, or a shape, such as (1,) for one number."
        return (whole(name, value, least=2, fix=fix),)
    return shape_of(name, value)
