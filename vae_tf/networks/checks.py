"""Sizes, shapes and names that builders of networks are given, each refused in one sentence."""

from collections.abc import Iterable, Mapping, Sequence

import keras

from vae_tf.checks import whole
from vae_tf.errors import ConfigError, unknown

Shape = Sequence[int]


def check_sizes(**sizes: object) -> None:
    """Raises ConfigError unless every size, or every member of a sequence of them, is >= 1."""
    for name, value in sizes.items():
        members = value if isinstance(value, (tuple, list)) else (value,)
        for size in members:
            whole(name, size)


def widths_of(name: str, value: object, least: int = 0) -> tuple[int, ...]:
    """Returns the widths of layers as a tuple of at least `least` whole numbers.

    Raises:
        ConfigError: what is no sequence of sizes of 1 and more.
    """
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        fix = f"Pass {name}=(64, 32), one number a layer."
        raise ConfigError(f"`{name}` must be the widths of the layers", repr(value), fix)
    widths = tuple(value)
    check_sizes(**{name: widths})
    if len(widths) < least:
        fix = f"Pass {name}=(64, 32), one number a layer."
        raise ConfigError(f"`{name}` must have at least {least} layer", repr(value), fix)
    return tuple(map(int, widths))


def shape_of(name: str, value: object, *, image: bool = False, free: bool = False) -> tuple:
    """Returns the shape of one example as a tuple of whole numbers.

    Args:
        name: of the argument, for the message.
        value: what was given.
        image: whether it must be (H, W, C).
        free: whether height and width may be None.

    Raises:
        ConfigError: what is no such shape.
    """
    expected = f"`{name}` must be the shape of one example, " + (
        "(height, width, channels)" if image else "without the batch"
    )
    example = "Pass (28, 28, 1) for grey images of 28 by 28."
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        fix = example if image else f"{example[:-1]}, (8,) for vectors of 8 numbers."
        raise ConfigError(expected, repr(value), fix)
    shape = tuple(value)
    if image and len(shape) != 3:
        fix = "Give images a last axis of channels: (28, 28, 1)." if len(shape) == 2 else example
        raise ConfigError(expected, repr(shape), fix)
    open_axes = 2 if free else 0
    return tuple(
        None if size is None and axis < open_axes else whole(name, size)
        for axis, size in enumerate(shape)
    )


def outputs_of(value: object, *, image: bool = False) -> dict[str, tuple]:
    """Returns a network's outputs as {name: shape}, images all of one height and width.

    Raises:
        ConfigError: what is not that.
    """
    if not isinstance(value, Mapping) or not value:
        fix = "Pass likelihood.parameter_shapes(event_shape) or posterior.parameter_shapes(L)."
        raise ConfigError("`outputs` must be a dict of names and shapes", repr(value), fix)
    shapes = {name: shape_of(f"outputs[{name}]", s, image=image) for name, s in value.items()}
    if image and len({shape[:2] for shape in shapes.values()}) > 1:
        fix = "Use mlp_decoder, or a network of your own, for outputs of several sizes."
        raise ConfigError("Outputs must have one height and width", repr(shapes), fix)
    return shapes


def check_activation(activation: object) -> None:
    """Raises ConfigError unless Keras knows the activation."""
    try:
        keras.activations.get(activation)
    except (ValueError, TypeError):
        fix = "Name one of keras.activations, such as relu, silu, gelu or tanh."
        raise ConfigError("`activation` must be known to Keras", repr(activation), fix) from None


def one_of(name: str, value: object, known: Iterable[str]) -> None:
    """Raises ConfigError unless `value` is one of the `known` names."""
    if value not in tuple(known):
        raise unknown(f"`{name}`", str(value), known)
