"""Causal convolutions over the steps of texts and series (van den Oord et al. 2016).

A step sees itself and what was before it, further back with every block: block i looks
(kernel_size - 1) 2^i steps back, as its convolution is dilated.
"""

from collections.abc import Mapping, Sequence

import keras

from vae_tf.checks import whole
from vae_tf.networks.checks import Shape, check_activation, outputs_of, widths_of
from vae_tf.networks.conditions import Condition, Conditions
from vae_tf.networks.heads import Initializers, dense_heads, posterior_heads
from vae_tf.networks.sequences import Steps

FAR = -1e4  # below every feature, and finite in half precision


def causal_encoder(
    event_shape: Shape,
    latent_dim: int,
    filters: Sequence[int] = (128, 128, 128, 128),
    *,
    kernel_size: int = 3,
    activation: str = "silu",
    tokens: int | None = None,
    embedding: int = 64,
    outputs: Mapping[str, Shape] | None = None,
    condition: Condition = None,
    mask: bool = True,
    seed: int | None = 0,
) -> keras.Model:
    """Returns a model from sequences [B, T] or [B, T, D] to {name: [B, *shape]}.

    It keeps the largest value of each feature over the steps that are no padding.

    Args:
        event_shape: (T,) or (T, D).
        latent_dim: L.
        filters: features of each block.
        kernel_size: steps of each convolution.
        activation: a Keras activation's name.
        tokens: K where x are numbers of tokens; None where x are real numbers.
        embedding: features of a token.
        outputs: `posterior.parameter_shapes(latent_dim)`; None for a DiagonalNormal's.
        condition: see `vae_tf.networks`; it enters beside the features of the sequence.
        mask: whether the network has the input `mask`, without which padding is data.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> encoder = vae_tf.networks.causal_encoder((20,), latent_dim=2, tokens=257)
        >>> encoder({"x": np.ones((3, 20)), "mask": np.ones((3, 20))})["z_mean"].shape.as_list()
        [3, 2]
    """
    heads = outputs_of(posterior_heads(whole("latent_dim", latent_dim), outputs))
    initializers = Initializers(seed)
    steps = Steps(event_shape, tokens, embedding, initializers)
    conditions = Conditions(condition, steps.shape if mask else None)
    h, alive = steps.seen(conditions)
    h = _blocks(h, None, filters, kernel_size, activation, initializers)
    if alive is not None:
        nothing = ~keras.ops.any(alive, axis=1, keepdims=True)  # or no feature would be finite
        h = keras.ops.where((alive | nothing)[..., None], h, FAR)
    h = conditions.beside(keras.layers.GlobalMaxPooling1D()(h))
    return conditions.model("encoder", steps.x, dense_heads(h, heads, initializers), field="x")


def causal_decoder(
    latent_dim: int,
    outputs: Mapping[str, Shape],
    filters: Sequence[int] = (128, 128, 128, 128),
    *,
    event_shape: Shape,
    kernel_size: int = 3,
    activation: str = "silu",
    tokens: int | None = None,
    embedding: int = 64,
    word_dropout: float = 0.0,
    condition: Condition = None,
    seed: int | None = 1,
) -> keras.Model:
    """Returns a model from latents z [B, L] and the past of x to {name: [B, *shape]}.

    As with `gru_decoder`, p(x|z) = prod_t p(x_t|x_1 ... x_{t-1}, z), but a step sees only the steps
    that its convolutions reach (Yang et al. 2017).

    Args:
        latent_dim: L.
        outputs: `likelihood.parameter_shapes(event_shape)`.
        filters: features of each block.
        event_shape: (T,) or (T, D).
        kernel_size: steps of each convolution.
        activation: a Keras activation's name.
        tokens: K where x are numbers of tokens; None where x are real numbers.
        embedding: features of a token.
        word_dropout: share of the past that is hidden in training.
        condition: see `vae_tf.networks`; it enters beside z.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape or name of the kind it must be.

    Example:
        >>> outputs = vae_tf.likelihoods.Categorical(257).parameter_shapes((20,))
        >>> decoder = vae_tf.networks.causal_decoder(2, outputs, event_shape=(20,), tokens=257)
        >>> decoder({"z": np.zeros((3, 2)), "x": np.ones((3, 20))})["logits"].shape.as_list()
        [3, 5140]
    """
    initializers, conditions = Initializers(seed), Conditions(condition)
    steps = Steps(event_shape, tokens, embedding, initializers)
    z = keras.Input((whole("latent_dim", latent_dim),), name="z")
    code, h = conditions.beside(z), steps.past(word_dropout, seed)
    h = _blocks(h, code, filters, kernel_size, activation, initializers)
    codes = keras.layers.RepeatVector(steps.length)(code)
    h = keras.layers.Concatenate()([h, codes])
    found = steps.heads(h, outputs_of(outputs), initializers)
    return keras.Model({"z": z, "x": steps.x, **conditions.inputs}, found, name="decoder")


def _blocks(h, code, filters, kernel_size, activation, initializers: Initializers):
    """Returns features [B, T, F] after residual blocks, which see a code [B, L] if there is one."""
    check_activation(activation)
    kernel_size = whole("kernel_size", kernel_size)
    for i, width in enumerate(widths_of("filters", filters, least=1)):
        new = keras.layers.Conv1D(
            width,
            kernel_size,
            padding="causal",
            dilation_rate=2**i,
            kernel_initializer=initializers("he_uniform"),
        )(h)
        if code is not None:
            told = keras.layers.Dense(width, use_bias=False, kernel_initializer=initializers())
            new = keras.layers.Add()([new, keras.layers.Reshape((1, width))(told(code))])
        new = keras.layers.Activation(activation)(new)
        if h.shape[-1] != width:
            h = keras.layers.Dense(width, use_bias=False, kernel_initializer=initializers())(h)
        h = keras.layers.Add()([h, new])
    return h
