"""Recurrent networks of gated units (GRU) for texts and series."""

from collections.abc import Mapping, Sequence

import keras

from vae_tf.checks import whole
from vae_tf.networks.checks import Shape, outputs_of, widths_of
from vae_tf.networks.conditions import Condition, Conditions
from vae_tf.networks.heads import Initializers, dense_heads, posterior_heads
from vae_tf.networks.sequences import Steps


def gru_encoder(
    event_shape: Shape,
    latent_dim: int,
    units: Sequence[int] = (128,),
    *,
    tokens: int | None = None,
    embedding: int = 64,
    outputs: Mapping[str, Shape] | None = None,
    condition: Condition = None,
    mask: bool = True,
    unroll: bool = False,
    seed: int | None = 0,
) -> keras.Model:
    """Returns a model from sequences [B, T] or [B, T, D] to {name: [B, *shape]}.

    It reads a sequence from both ends, and skips the padding.

    Args:
        event_shape: (T,) or (T, D).
        latent_dim: L.
        units: number of units of each layer, in each direction.
        tokens: K where x are numbers of tokens; None where x are real numbers.
        embedding: features of a token.
        outputs: `posterior.parameter_shapes(latent_dim)`; None for a DiagonalNormal's.
        condition: see `vae_tf.networks`; it enters beside the features of the sequence.
        mask: whether the network has the input `mask`, without which padding is data.
        unroll: whether the steps are written out, as LiteRT needs them; slow to compile.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> encoder = vae_tf.networks.gru_encoder((20, 4), latent_dim=2)  # 20 steps of 4 numbers
        >>> x = np.ones((3, 20, 4))
        >>> encoder({"x": x, "mask": x})["z_mean"].shape.as_list()
        [3, 2]
    """
    heads = outputs_of(posterior_heads(whole("latent_dim", latent_dim), outputs))
    initializers, widths = Initializers(seed), widths_of("units", units, least=1)
    steps = Steps(event_shape, tokens, embedding, initializers)
    conditions = Conditions(condition, steps.shape if mask else None)
    h, alive = steps.seen(conditions)
    for i, width in enumerate(widths):
        last = i + 1 == len(widths)
        both = keras.layers.Bidirectional(
            _gru(width, initializers, unroll, sequences=not last),
            backward_layer=_gru(width, initializers, unroll, sequences=not last, backwards=True),
        )
        h = both(h, mask=alive)
    h = conditions.beside(h)
    return conditions.model("encoder", steps.x, dense_heads(h, heads, initializers), field="x")


def gru_decoder(
    latent_dim: int,
    outputs: Mapping[str, Shape],
    units: Sequence[int] = (128,),
    *,
    event_shape: Shape,
    tokens: int | None = None,
    embedding: int = 64,
    past: bool = True,
    word_dropout: float = 0.0,
    condition: Condition = None,
    unroll: bool = False,
    seed: int | None = 1,
) -> keras.Model:
    """Returns a model from latents z [B, L], and the past of x, to {name: [B, *shape]}.

    With `past`, p(x|z) = prod_t p(x_t|x_1 ... x_{t-1}, z): the model has the inputs `z` and `x`,
    and its outputs at a step depend only on the steps before. Without it the steps are independent
    given z, so that some may be missing.

    Args:
        latent_dim: L.
        outputs: `likelihood.parameter_shapes(event_shape)`.
        units: number of units of each layer.
        event_shape: (T,) or (T, D).
        tokens: K where x are numbers of tokens; None where x are real numbers.
        embedding: features of a token.
        past: whether the decoder sees the steps before each step.
        word_dropout: share of these steps that is hidden from it in training.
        condition: see `vae_tf.networks`; it enters beside z.
        unroll: whether the steps are written out, as LiteRT needs them; slow to compile.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> outputs = vae_tf.likelihoods.GaussianPixelScale().parameter_shapes((20, 4))
        >>> decoder = vae_tf.networks.gru_decoder(2, outputs, event_shape=(20, 4), past=False)
        >>> {name: h.shape.as_list() for name, h in decoder(np.zeros((3, 2))).items()}
        {'loc': [3, 20, 4], 'log_scale': [3, 20, 4]}
    """
    initializers, widths = Initializers(seed), widths_of("units", units, least=1)
    steps, conditions = Steps(event_shape, tokens, embedding, initializers), Conditions(condition)
    z = keras.Input((whole("latent_dim", latent_dim),), name="z")
    code = conditions.beside(z)
    h = codes = keras.layers.RepeatVector(steps.length)(code)
    if past:
        h = keras.layers.Concatenate()([steps.past(word_dropout, seed), codes])
    for width in widths:
        start = keras.layers.Dense(width, "tanh", kernel_initializer=initializers())(code)
        h = _gru(width, initializers, unroll, sequences=True)(h, initial_state=start)
    h = keras.layers.Concatenate()([h, codes])
    found = steps.heads(h, outputs_of(outputs), initializers)
    inputs = {"z": z, **({"x": steps.x} if past else {}), **conditions.inputs}
    return keras.Model(inputs if len(inputs) > 1 else z, found, name="decoder")


def _gru(units: int, initializers: Initializers, unroll: bool, *, sequences, backwards=False):
    return keras.layers.GRU(
        units,
        kernel_initializer=initializers(),
        recurrent_initializer=initializers("orthogonal"),
        return_sequences=sequences,
        go_backwards=backwards,
        unroll=unroll,
    )
