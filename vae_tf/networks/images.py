"""From images to features and back: what convolutional and residual networks have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import keras

from vae_tf.checks import whole
from vae_tf.networks.checks import (
    Shape,
    check_activation,
    one_of,
    outputs_of,
    shape_of,
    widths_of,
)
from vae_tf.networks.conditions import Condition, Conditions
from vae_tf.networks.heads import (
    Initializers,
    as_float32,
    dense_heads,
    head_activation,
    head_dtype,
    posterior_heads,
)

# Below this no further halving: a 3x3 kernel would see little but its own padding.
SMALLEST_SIDE = 4
UPSAMPLING = ("transposed", "nearest", "bilinear")


@dataclass(frozen=True)
class Levels:
    """What the levels of a network are made of: a convolution that resizes, and its activation.

    Attributes:
        activation: a Keras activation's name.
        residual: whether maps are handed on before their activation, and the output layers of a
            decoder do the last doubling.
    """

    activation: str
    residual: ClassVar[bool] = False

    def check(self, filters: tuple[int, ...]) -> None:
        """Raises ConfigError unless the settings suit levels of so many channels."""
        check_activation(self.activation)

    def resized(self, h, layer, conditions: Conditions):
        """Returns the maps [B, H', W', C'] that `h` becomes by `layer`, without activation."""
        if not conditions:
            return layer(activation=self.activation)(h)
        return keras.layers.Activation(self.activation)(conditions.film(layer()(h)))

    def refined(self, h, initializers: Initializers, conditions: Conditions):
        """Returns maps of the same shape as `h` [B, H, W, C], a level's."""
        return h

    def finished(self, h):
        """Returns what the layer after the last level takes."""
        return h


def image_encoder(
    event_shape: Shape,
    latent_dim: int,
    filters: Sequence[int],
    hidden: int,
    levels: Levels,
    outputs: Mapping[str, Shape] | None,
    condition: Condition,
    mask: bool,
    seed: int | None,
) -> keras.Model:
    """Returns a model from images [B, H, W, C] to {name: [B, *shape]} for each of `outputs`."""
    event_shape = shape_of("event_shape", event_shape, image=True, free=True)
    filters = widths_of("filters", filters)
    heads = outputs_of(posterior_heads(whole("latent_dim", latent_dim), outputs))
    hidden, activation = whole("hidden", hidden), levels.activation
    levels.check(filters)
    conditions = Conditions(condition, event_shape if mask else None)
    initializers, x = Initializers(seed), conditions.data(event_shape)
    h = conditions.masked(x)
    for width, size in zip(filters, pyramid(event_shape, len(filters))[1:], strict=True):
        # Where height and width are free nothing tells that an image is too small to be halved
        stride = 1 if tuple(h.shape[1:3]) == size != (None, None) else 2
        layer = partial(
            keras.layers.Conv2D, width, 3, stride, "same", kernel_initializer=initializers()
        )
        h = levels.resized(h, layer, conditions)
        h = levels.refined(h, initializers, conditions)
    free = None in event_shape
    h = (keras.layers.GlobalAveragePooling2D if free else keras.layers.Flatten)()(
        levels.finished(h)
    )
    h = conditions.beside(h)
    h = keras.layers.Dense(hidden, activation=activation, kernel_initializer=initializers())(h)
    return conditions.model("encoder", x, dense_heads(h, heads, initializers), field="x")


def image_decoder(
    latent_dim: int,
    outputs: Mapping[str, Shape],
    filters: Sequence[int],
    hidden: int,
    levels: Levels,
    upsampling: str,
    condition: Condition,
    seed: int | None,
) -> keras.Model:
    """Returns a model from latents [B, L] to {name: [B, H, W, C]} for each of `outputs`."""
    outputs = outputs_of(outputs, image=True)
    filters = widths_of("filters", filters, least=1)
    hidden, activation = whole("hidden", hidden), levels.activation
    one_of("upsampling", upsampling, UPSAMPLING)
    levels.check(filters)
    initializers, conditions = Initializers(seed), Conditions(condition)
    *sizes, start = pyramid(next(iter(outputs.values())), len(filters))
    z = keras.Input((whole("latent_dim", latent_dim),), name="z")
    h = conditions.beside(z)
    h = keras.layers.Dense(hidden, activation=activation, kernel_initializer=initializers())(h)
    units = start[0] * start[1] * filters[0]
    h = keras.layers.Dense(
        units,
        activation=None if levels.residual else activation,
        kernel_initializer=initializers(),
    )(h)
    h = keras.layers.Reshape((*start, filters[0]))(h)
    h, targets = levels.refined(h, initializers, conditions), sizes[::-1]
    widths = filters[1:] if levels.residual else filters
    for width, size in zip(widths, targets, strict=False):
        h, layer = enlarging(h, size, upsampling)
        layer = partial(layer, width, 3, kernel_initializer=initializers())
        h = cropped(levels.resized(h, layer, conditions), size)
        h = levels.refined(h, initializers, conditions)
    heads = image_heads(levels.finished(h), outputs, targets[-1], upsampling, initializers)
    return conditions.model("decoder", z, heads, field="z")


def image_heads(h, shapes, size, upsampling: str, initializers: Initializers) -> dict:
    """Returns one float32 tensor [B, *shape] for each name, a convolution of `h` [B, H, W, C]."""
    kernel, layer = 3, partial(keras.layers.Conv2D, padding="same")
    if tuple(h.shape[1:3]) != size:
        h, layer = enlarging(h, size, upsampling)
        kernel = 4 if upsampling == "transposed" else 3  # 4: each output sees as many inputs
    outputs = {}
    for name, shape in shapes.items():
        y = layer(
            shape[-1],
            kernel,
            activation=head_activation(name),
            kernel_initializer=initializers(),
            dtype=head_dtype(name),
            name=f"{name}_output",
        )(h)
        outputs[name] = as_float32(cropped(y, size))
    return outputs


def enlarging(h, size: tuple[int, int], upsampling: str):
    """Returns maps, and of what (channels, kernel) makes a layer from them to `size`, uncropped."""
    stride = 1 if tuple(h.shape[1:3]) == size else 2
    if upsampling == "transposed":
        return h, partial(keras.layers.Conv2DTranspose, strides=stride, padding="same")
    if stride > 1:
        # Not keras.layers.Resizing, which knows any size: XLA cannot compute its gradient
        h = cropped(keras.layers.UpSampling2D(stride, interpolation=upsampling)(h), size)
    return h, partial(keras.layers.Conv2D, padding="same")


def cropped(h, size: tuple[int, int]):
    """Returns maps `h` without the rows and columns beyond `size`."""
    excess = (h.shape[1] - size[0], h.shape[2] - size[1])
    if not any(excess):
        return h
    return keras.layers.Cropping2D(((0, excess[0]), (0, excess[1])))(h)


def pyramid(shape: Shape, levels: int) -> list[tuple]:
    """Returns the height and width before the first and after each of `levels` layers."""
    sizes = [tuple(shape[:2])]
    for _ in range(levels):
        half = tuple(None if side is None else -(-side // 2) for side in sizes[-1])
        small = min(side or SMALLEST_SIDE for side in half) < SMALLEST_SIDE
        sizes.append(sizes[-1] if small else half)
    return sizes
