"""Multi-layer perceptrons for data of any shape."""

from collections.abc import Mapping, Sequence

import keras

from vae_tf.networks.heads import Initializers, Shape, check_sizes, dense_heads


def mlp_encoder(
    event_shape: Shape,
    latent_dim: int,
    hidden: Sequence[int] = (500, 500),
    *,
    activation: str = "silu",
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    outputs: Mapping[str, Shape] | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """Returns a model from data [B, *event_shape] to {name: [B, *shape]} for each of `outputs`.

    Args:
        event_shape: shape of one example.
        latent_dim: L.
        hidden: widths of the hidden layers.
        activation: a Keras activation's name.
        dropout: share of hidden units dropped in training.
        input_dropout: share of inputs dropped in training. Noise on the encoder's side alone
            keeps q(z|x) from memorising (Shu et al. 2018) and leaves p(x|z) as it is.
        outputs: what the posterior needs, `posterior.parameter_shapes(latent_dim)`; if None
            what a DiagonalNormal does, `z_mean` and `z_log_var`, each [B, L].
        seed: of the initial weights.

    Raises:
        ConfigError: a size below 1.
    """
    check_sizes(event_shape=tuple(event_shape), latent_dim=latent_dim, hidden=tuple(hidden))
    initializers = Initializers(seed)
    x = keras.Input(tuple(event_shape), name="image")
    h = keras.layers.Flatten()(x)
    if input_dropout:
        h = keras.layers.Dropout(input_dropout, seed=seed)(h)
    h = _hidden(h, hidden, activation, dropout, seed, initializers)
    heads = outputs or {"z_mean": (latent_dim,), "z_log_var": (latent_dim,)}
    return keras.Model(x, dense_heads(h, heads, initializers), name="encoder")


def mlp_decoder(
    latent_dim: int,
    outputs: Mapping[str, Shape],
    hidden: Sequence[int] = (500, 500),
    *,
    activation: str = "silu",
    dropout: float = 0.0,
    seed: int | None = 1,
) -> keras.Model:
    """Returns a model from latents [B, L] to {name: [B, *shape]} for each of `outputs`.

    Args:
        latent_dim: L.
        outputs: what the likelihood needs: `likelihood.parameter_shapes(event_shape)`.
        hidden: widths of the hidden layers.
        activation: a Keras activation's name.
        dropout: share of hidden units dropped in training.
        seed: of the initial weights.

    Raises:
        ConfigError: a size below 1.
    """
    check_sizes(latent_dim=latent_dim, hidden=tuple(hidden))
    initializers = Initializers(seed)
    z = keras.Input((latent_dim,), name="z")
    h = _hidden(z, hidden, activation, dropout, seed, initializers)
    return keras.Model(z, dense_heads(h, outputs, initializers), name="decoder")


def _hidden(h, widths, activation, dropout, seed, initializers: Initializers):
    for i, width in enumerate(widths):
        h = keras.layers.Dense(
            width, activation=activation, kernel_initializer=initializers("he_uniform")
        )(h)
        if dropout:
            h = keras.layers.Dropout(dropout, seed=None if seed is None else seed + 10 + i)(h)
    return h
