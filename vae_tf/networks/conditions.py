"""What a network sees beside its main input: a condition and a mask, on their way into layers."""

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
        mask: shape of the mask, for an encoder that sees it; None for one that does not.

    Raises:
        ConfigError: what is none of these.
    """

    def __init__(self, condition: Condition, mask: Shape | None = None):
        self.inputs = {
            name: keras.Input(shape, name=name) for name, shape in _shapes(condition).items()
        }
        flat = [keras.layers.Flatten()(value) for value in self.inputs.values()]
        self.features = keras.layers.Concatenate()(flat) if len(flat) > 1 else (flat or [None])[0]
        self.mask = None if mask is None else keras.Input(mask, name="mask")

    def __bool__(self) -> bool:
        return bool(self.inputs)

    def data(self, event_shape: Shape):
        """Returns an encoder's input for the data, [B, *event_shape]."""
        alone = not self and self.mask is None
        return keras.Input(event_shape, name="image" if alone else "x")

    def beside(self, h):
        """Returns features `h` [B, D] with the numbers of the condition beside them."""
        return keras.layers.Concatenate()([h, self.features]) if self else h

    def masked(self, h):
        """Returns data `h` [..., C], or [B, D] if flattened, with the mask as further channels."""
        if self.mask is None:
            return h
        flat = len(h.shape) < len(self.mask.shape)
        mask = keras.layers.Flatten()(self.mask) if flat else self.mask
        return keras.layers.Concatenate()([h, mask])

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
        """Returns the model from `value` to `outputs`, or from {field: value} and others."""
        others = dict(self.inputs)
        if self.mask is not None:
            others["mask"] = self.mask
        return keras.Model({field: value, **others} if others else value, outputs, name=name)


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
