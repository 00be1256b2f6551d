"""Residual networks for several groups of latents of images: a vector above feature maps."""

from collections.abc import Mapping, Sequence
from functools import partial

import keras

from vae_tf.checks import whole
from vae_tf.networks.checks import Shape, outputs_of, shape_of, widths_of
from vae_tf.networks.conditions import Condition, Conditions
from vae_tf.networks.heads import dense_heads
from vae_tf.networks.images import cropped, enlarging, image_heads, pyramid
from vae_tf.networks.ladders import (
    LadderNetworks,
    Seeds,
    check_groups,
    split,
    top_heads,
)
from vae_tf.networks.policies import dtype_policy
from vae_tf.networks.resnet import Residual


def resnet_ladder(
    event_shape: Shape,
    latents: Sequence[int],
    outputs: Mapping[str, Shape],
    filters: Sequence[int] = (64, 32),
    depth: int = 1,
    hidden: int = 256,
    *,
    normalization: str = "none",
    groups: int = 8,
    activation: str = "silu",
    top: Mapping[str, Shape] | None = None,
    condition: Condition = None,
    mask: bool = False,
    seed: int | None = 0,
) -> LadderNetworks:
    """Returns the networks of a hierarchy of a vector and feature maps, after NVAE.

    Each level has maps of its own size: the lowest is half as high and wide as the image, the next
    half as high and wide as that, and so on, as long as both stay at least 4. The group of the top
    level is a vector. The lowest levels need not have latents; they are then in encoder and decoder
    alone. Encoder, decoder, prior and posterior share the plan, not the weights (Vahdat and Kautz
    2020, figure 2).

    Args:
        event_shape: (H, W, C).
        latents: number of latents of the top, then number of channels of each group below.
        outputs: shapes of the likelihood's parameters, `likelihood.parameter_shapes(event_shape)`.
        filters: channels of the networks' maps on the level of each group, the top first, and
            then on levels below without latents, if there are any.
        depth: residual blocks of each level.
        hidden: width of the dense layers around the top.
        normalization: as for `resnet_encoder`.
        groups: number of groups of channels, for "group".
        activation: a Keras activation's name.
        top: shapes of the parameters of the top's posterior; if None those of a DiagonalNormal.
        condition: see `vae_tf.networks`; it enters encoder and decoder.
        mask: whether the encoder has an input `mask`, which tells it the missing pixels.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes((16, 16, 1))
        >>> ladder = vae_tf.networks.resnet_ladder((16, 16, 1), [8, 1], outputs, filters=[16, 8])
        >>> ladder.decoder.input_shape  # a vector of 8, and a map of 8 x 8 x 1
        (None, 72)
    """
    event_shape = shape_of("event_shape", event_shape, image=True)
    outputs = outputs_of(outputs, image=True)
    latents, filters = widths_of("latents", latents), widths_of("filters", filters, least=1)
    latents, _ = check_groups(latents, "filters", filters[: len(latents)])
    levels, seeds = Residual(activation, whole("depth", depth), normalization, groups), Seeds(seed)
    levels.check(filters)
    whole("hidden", hidden)
    all_groups, all_levels = range(len(latents)), range(len(filters))
    sizes = pyramid(event_shape, len(filters))[::-1]
    maps = [(*sizes[g], latents[g]) for g in all_groups]  # of latents; the top has none

    def conv(h, width: int, start):
        kernel = start()
        return keras.layers.Conv2D(width, 3, padding="same", kernel_initializer=kernel)(h)

    def small(h, names: Sequence[str], channels: int, start) -> dict:
        layer = partial(keras.layers.Conv2D, channels, 3, padding="same", dtype="float32")
        return {
            name: layer(kernel_initializer=start.small(), name=f"{name}_output")(h)
            for name in names
        }

    def dense(h, width: int, start):
        kernel = start()
        return keras.layers.Dense(width, activation=activation, kernel_initializer=kernel)(h)

    def unfolded(z, start, conditions):
        """Returns maps of the top's level of a vector."""
        h = dense(dense(z, hidden, start), sizes[0][0] * sizes[0][1] * filters[0], start)
        h = keras.layers.Reshape((*sizes[0], filters[0]))(h)
        return levels.refined(h, start, conditions)

    def lowered(h, g: int, start, conditions):
        """Returns maps of the level of group g of those above it."""
        h, layer = enlarging(h, sizes[g], "transposed")
        h = cropped(layer(filters[g], 3, kernel_initializer=start())(h), sizes[g])
        return levels.refined(h, start, conditions)

    def entered(h, z, g: int, start):
        """Returns maps with the latents of group g added to them."""
        return keras.layers.Add()([h, conv(z, filters[g], start)])

    def prior(g: int) -> keras.Model:
        start, plain, above = seeds(2, g), Conditions(None), g - 1
        z = keras.Input((latents[0],) if g == 1 else maps[above], name="z")
        inputs, h = {"z": z}, None
        if g > 1:
            inputs["state"] = keras.Input((*sizes[above], filters[above]), name="state")
            h = entered(inputs["state"], z, above, start)
        state = lowered(unfolded(z, start, plain) if h is None else h, g, start, plain)
        heads = small(levels.finished(state), ("loc", "log_scale"), latents[g], start)
        return keras.Model(inputs, {**heads, "state": state}, name=f"prior_{g}")

    def posterior(g: int) -> keras.Model:
        shape, start = (*sizes[g], filters[g]), seeds(3, g)
        inputs = {name: keras.Input(shape, name=name) for name in ("features", "state")}
        h = conv(keras.layers.Concatenate()(list(inputs.values())), filters[g], start)
        h = levels.finished(levels.refined(h, start, Conditions(None)))
        heads = small(h, ("shift", "log_ratio"), latents[g], start)
        return keras.Model(inputs, heads, name=f"posterior_{g}")

    conditions, start = Conditions(condition, event_shape if mask else None), seeds(0)
    x, found = conditions.data(event_shape), {}
    h = conditions.masked(x)
    for g in reversed(all_levels):
        stride = 1 if tuple(h.shape[1:3]) == sizes[g] else 2
        kernel = start()
        h = keras.layers.Conv2D(filters[g], 3, stride, "same", kernel_initializer=kernel)(h)
        h = levels.refined(h, start, conditions)
        if g in all_groups[1:]:
            found[f"group_{g}_features"] = h
    h = conditions.beside(keras.layers.Flatten()(levels.finished(h)))
    h = dense(h, hidden, start)
    heads = dense_heads(h, outputs_of(top_heads(latents, top)), start)
    encoder = conditions.model("encoder", x, {**heads, **found}, field="x")

    conditions, start = Conditions(condition), seeds(1)
    numbers = [latents[0], *(h * w * c for h, w, c in maps[1:])]
    z = keras.Input((sum(numbers),), name="z")
    parts = split(z, numbers)
    h = unfolded(conditions.beside(parts[0]), start, conditions)
    for g in all_levels[1:]:
        h = lowered(h, g, start, conditions)
        if g in all_groups:
            h = entered(h, keras.layers.Reshape(maps[g])(parts[g]), g, start)
    heads = image_heads(levels.finished(h), outputs, tuple(event_shape[:2]), "transposed", start)
    decoder = conditions.model("decoder", z, heads, field="z")
    with dtype_policy("float32"):
        pairs = [(prior(g), posterior(g)) for g in all_groups[1:]]
    return LadderNetworks(encoder, decoder, [p for p, _ in pairs], [q for _, q in pairs])
