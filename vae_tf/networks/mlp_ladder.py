"""Multi-layer perceptrons for several groups of latents, each a vector."""

from collections.abc import Mapping, Sequence

import keras

from vae_tf.checks import whole
from vae_tf.networks.checks import Shape, check_activation, outputs_of, shape_of
from vae_tf.networks.conditions import Condition, Conditions
from vae_tf.networks.heads import dense_heads
from vae_tf.networks.ladders import (
    LadderNetworks,
    Seeds,
    check_groups,
    split,
    top_heads,
)
from vae_tf.networks.policies import dtype_policy


def mlp_ladder(
    event_shape: Shape,
    latents: Sequence[int],
    outputs: Mapping[str, Shape],
    hidden: Sequence[int] = (256, 512),
    depth: int = 1,
    *,
    activation: str = "silu",
    top: Mapping[str, Shape] | None = None,
    condition: Condition = None,
    mask: bool = False,
    seed: int | None = 0,
) -> LadderNetworks:
    """Returns the networks of a ladder VAE (Sønderby et al. 2016) for data of any shape.

    The encoder goes up from the data, with `depth` layers for each group. Prior and posterior go
    down: the prior's layer reads the group above and the state so far; the posterior's layer reads
    these and the encoder's features of this level. Each group enters the decoder at its own level.

    Args:
        event_shape: shape of one example.
        latents: number of latents in each group, the top first.
        outputs: shapes of the likelihood's parameters, `likelihood.parameter_shapes(event_shape)`.
        hidden: width of the layers of each group, the top first.
        depth: number of layers of each group, in encoder and decoder.
        activation: a Keras activation's name.
        top: shapes of the parameters of the top's posterior, `first.parameter_shapes(latents[0])`;
            if None those of a DiagonalNormal.
        condition: see `vae_tf.networks`; it enters the first layers of encoder and decoder.
        mask: whether the encoder has an input `mask`, which tells it the missing data.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> ladder = vae_tf.networks.mlp_ladder((8,), [2, 4], {"logits": (8,)}, hidden=[16, 32])
        >>> ladder.decoder(np.zeros((3, 6)))["logits"].shape.as_list()  # 2 + 4 latents
        [3, 8]
        >>> prior = vae_tf.priors.Hierarchy(vae_tf.priors.StandardNormal(2), ladder.prior)
        >>> posterior = vae_tf.posteriors.Ladder(ladder.posterior)
        >>> vae = vae_tf.VAE(ladder.encoder, ladder.decoder, prior=prior, posterior=posterior)
    """
    event_shape, outputs = shape_of("event_shape", event_shape), outputs_of(outputs)
    latents, hidden = check_groups(latents, "hidden", hidden)
    whole("depth", depth)
    check_activation(activation)
    seeds, groups = Seeds(seed), range(len(latents))

    def layers(h, width: int, start, count: int = 1):
        for _ in range(count):
            kernel = start("he_uniform")
            h = keras.layers.Dense(width, activation=activation, kernel_initializer=kernel)(h)
        return h

    def small(h, names: Sequence[str], size: int, start) -> dict:
        return dense_heads(h, dict.fromkeys(names, (size,)), start.small)

    def prior(g: int) -> keras.Model:
        start, inputs = seeds(2, g), {"z": keras.Input((latents[g - 1],), name="z")}
        if g > 1:
            inputs["state"] = keras.Input((hidden[g - 1],), name="state")
        state = layers(_joined(*inputs.values()), hidden[g], start)
        heads = small(state, ("loc", "log_scale"), latents[g], start)
        return keras.Model(inputs, {**heads, "state": state}, name=f"prior_{g}")

    def posterior(g: int) -> keras.Model:
        names, start = ("features", "state"), seeds(3, g)
        inputs = {name: keras.Input((hidden[g],), name=name) for name in names}
        h = layers(_joined(*inputs.values()), hidden[g], start)
        heads = small(h, ("shift", "log_ratio"), latents[g], start)
        return keras.Model(inputs, heads, name=f"posterior_{g}")

    conditions, start = Conditions(condition, event_shape if mask else None), seeds(0)
    x, found = conditions.data(event_shape), {}
    h = conditions.beside(conditions.masked(keras.layers.Flatten()(x)))
    for g in reversed(groups):
        h = layers(h, hidden[g], start, depth)
        found[f"group_{g}_features"] = h
    del found["group_0_features"]
    heads = dense_heads(h, outputs_of(top_heads(latents, top)), start)
    encoder = conditions.model("encoder", x, {**heads, **found}, field="x")

    conditions, start = Conditions(condition), seeds(1)
    z = keras.Input((sum(latents),), name="z")
    parts = split(z, latents)
    h = conditions.beside(parts[0])
    for g in groups:
        h = layers(_joined(h, parts[g]) if g else h, hidden[g], start, depth)
    decoder = conditions.model("decoder", z, dense_heads(h, outputs, start), field="z")
    with dtype_policy("float32"):
        pairs = [(prior(g), posterior(g)) for g in groups[1:]]
    return LadderNetworks(encoder, decoder, [p for p, _ in pairs], [q for _, q in pairs])


def _joined(*tensors):
    return keras.layers.Concatenate()(tensors) if len(tensors) > 1 else tensors[0]
