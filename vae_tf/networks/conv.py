"""Convolutional networks for images of any height, width and channel count."""

from collections.abc import Mapping, Sequence

import keras

from vae_tf.networks.heads import (
    Initializers,
    Shape,
    as_float32,
    check_sizes,
    dense_heads,
    head_dtype,
)

# Below this no further halving: a 3x3 kernel would see little but its own padding.
SMALLEST_SIDE = 4


def conv_encoder(
    event_shape: Shape,
    latent_dim: int,
    filters: Sequence[int] = (32, 64),
    hidden: int = 256,
    *,
    activation: str = "silu",
    outputs: Mapping[str, Shape] | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """Returns a model from images [B, H, W, C] to {name: [B, *shape]} for each of `outputs`.

    Each of `filters` halves height and width (rounding up) while both stay at least 4.

    Args:
        event_shape: (H, W, C).
        latent_dim: L.
        filters: channels of the convolutions.
        hidden: width of the dense layer after them.
        activation: a Keras activation's name.
        outputs: what the posterior needs, `posterior.parameter_shapes(latent_dim)`; if None
            what a DiagonalNormal does, `z_mean` and `z_log_var`, each [B, L].
        seed: of the initial weights.

    Raises:
        ConfigError: a size below 1.
    """
    event_shape = tuple(event_shape)
    check_sizes(event_shape=event_shape, latent_dim=latent_dim, filters=tuple(filters))
    check_sizes(hidden=hidden)
    initializers = Initializers(seed)
    x = h = keras.Input(event_shape, name="image")
    for width, size in zip(filters, _pyramid(event_shape, len(filters))[1:], strict=True):
        stride = 1 if tuple(h.shape[1:3]) == size else 2
        h = keras.layers.Conv2D(
            width, 3, stride, "same", activation=activation, kernel_initializer=initializers()
        )(h)
    h = keras.layers.Flatten()(h)
    h = keras.layers.Dense(hidden, activation=activation, kernel_initializer=initializers())(h)
    heads = outputs or {"z_mean": (latent_dim,), "z_log_var": (latent_dim,)}
    return keras.Model(x, dense_heads(h, heads, initializers), name="encoder")


def conv_decoder(
    latent_dim: int,
    outputs: Mapping[str, Shape],
    filters: Sequence[int] = (64, 32),
    hidden: int = 256,
    *,
    activation: str = "silu",
    seed: int | None = 1,
) -> keras.Model:
    """Returns a model from latents [B, L] to {name: [B, H, W, C]} for each of `outputs`.

    The mirror of `conv_encoder`: it doubles to the same sizes, cropping where one was odd.

    Args:
        latent_dim: L.
        outputs: what the likelihood needs: `likelihood.parameter_shapes(event_shape)`.
        filters: channels of the transposed convolutions.
        hidden: width of the dense layer before them.
        activation: a Keras activation's name.
        seed: of the initial weights.

    Raises:
        ConfigError: a size below 1.
    """
    check_sizes(latent_dim=latent_dim, filters=tuple(filters), hidden=hidden)
    initializers = Initializers(seed)
    height, width, _ = next(iter(outputs.values()))
    *sizes, start = _pyramid((height, width), len(filters))
    z = keras.Input((latent_dim,), name="z")
    h = keras.layers.Dense(hidden, activation=activation, kernel_initializer=initializers())(z)
    units = start[0] * start[1] * filters[0]
    h = keras.layers.Dense(units, activation=activation, kernel_initializer=initializers())(h)
    h = keras.layers.Reshape((*start, filters[0]))(h)
    for channels, size in zip(filters, reversed(sizes), strict=True):
        stride = 1 if tuple(h.shape[1:3]) == size else 2
        h = keras.layers.Conv2DTranspose(
            channels, 3, stride, "same", activation=activation, kernel_initializer=initializers()
        )(h)
        excess = (h.shape[1] - size[0], h.shape[2] - size[1])
        if any(excess):
            h = keras.layers.Cropping2D(((0, excess[0]), (0, excess[1])))(h)
    heads = {
        name: as_float32(
            keras.layers.Conv2D(
                shape[-1],
                3,
                padding="same",
                kernel_initializer=initializers(),
                dtype=head_dtype(name),
                name=f"{name}_output",
            )(h)
        )
        for name, shape in outputs.items()
    }
    return keras.Model(z, heads, name="decoder")


def _pyramid(event_shape: Shape, levels: int) -> list[tuple[int, int]]:
    """Returns the height and width before the first and after each of `levels` layers."""
    sizes = [(int(event_shape[0]), int(event_shape[1]))]
    for _ in range(levels):
        half = (-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2))
        sizes.append(half if min(half) >= SMALLEST_SIDE else sizes[-1])
    return sizes
