"""Multi-layer perceptrons for data of any shape."""

from collections.abc import Mapping, Sequence

import keras

from vae_tf.checks import real, whole
from vae_tf.errors import ConfigError
from vae_tf.networks.checks import Shape, check_activation, outputs_of, shape_of, widths_of
from vae_tf.networks.columns import column_features
from vae_tf.networks.conditions import Condition, Conditions
from vae_tf.networks.heads import Initializers, dense_heads, posterior_heads


def mlp_encoder(
    event_shape: Shape,
    latent_dim: int,
    hidden: Sequence[int] = (500, 500),
    *,
    activation: str = "silu",
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    outputs: Mapping[str, Shape] | None = None,
    condition: Condition = None,
    mask: bool = False,
    features: Sequence[Mapping] | None = None,
    seed: int | None = 0,
) -> keras.Model:
    """Returns a model from data [B, *event_shape] to {name: [B, *shape]} for each of `outputs`.

    Args:
        event_shape: shape of one example.
        latent_dim: L.
        hidden: widths of the hidden layers.
        activation: a Keras activation's name.
        dropout: share of hidden units dropped in training.
        input_dropout: share of inputs dropped in training. Noise in the encoder alone keeps q(z|x)
            from memorising (Shu et al. 2018) and does not change p(x|z).
        outputs: shapes of the posterior's parameters, `posterior.parameter_shapes(latent_dim)`; if
            None those of a DiagonalNormal, `z_mean` and `z_log_var`, each [B, L].
        condition: see `vae_tf.networks`; it enters the first layer beside the data.
        mask: whether the network has an input `mask`, which tells it the missing data.
        features: the form in which each number of a table's rows enters, `table.features`;
            unchanged if None.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape, share or name of the kind it must be.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2, condition=10)
        >>> h = encoder({"x": np.ones((3, 8)), "condition": np.eye(10)[:3]})
        >>> h["z_mean"].shape.as_list(), h["z_log_var"].shape.as_list()
        ([3, 2], [3, 2])
    """
    event_shape = shape_of("event_shape", event_shape)
    heads = outputs_of(posterior_heads(whole("latent_dim", latent_dim), outputs))
    conditions = Conditions(condition, event_shape if mask else None)
    initializers, x = Initializers(seed), conditions.data(event_shape)
    h = keras.layers.Flatten()(x) if features is None else column_features(x, features)
    if _share("input_dropout", input_dropout):
        h = keras.layers.Dropout(input_dropout, seed=seed)(h)
    h = conditions.beside(conditions.masked(h))
    h = _hidden(h, hidden, activation, dropout, seed, initializers)
    return conditions.model("encoder", x, dense_heads(h, heads, initializers), field="x")


def mlp_decoder(
    latent_dim: int,
    outputs: Mapping[str, Shape],
    hidden: Sequence[int] = (500, 500),
    *,
    activation: str = "silu",
    dropout: float = 0.0,
    shortcut: bool = False,
    condition: Condition = None,
    seed: int | None = 1,
) -> keras.Model:
    """Returns a model from latents [B, L] to {name: [B, *shape]} for each of `outputs`.

    Args:
        latent_dim: L.
        outputs: shapes of the likelihood's parameters, `likelihood.parameter_shapes(event_shape)`.
        hidden: widths of the hidden layers.
        activation: a Keras activation's name.
        dropout: share of hidden units dropped in training.
        shortcut: whether a linear map also takes the latents, and a condition, directly to the
            outputs, so that the hidden layers only have to learn what is not linear. It suits
            tables, whose columns often depend on each other almost linearly.
        condition: see `vae_tf.networks`; it enters the first layer beside the latents.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, shape, share or name of the kind it must be.

    Example:
        >>> outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes((8,))
        >>> decoder = vae_tf.networks.mlp_decoder(2, outputs)
        >>> decoder(np.zeros((3, 2)))["logits"].shape.as_list()
        [3, 8]
    """
    outputs = outputs_of(outputs)
    initializers, conditions = Initializers(seed), Conditions(condition)
    z = keras.Input((whole("latent_dim", latent_dim),), name="z")
    first = conditions.beside(z)
    h = _hidden(first, hidden, activation, dropout, seed, initializers)
    if shortcut:
        h = keras.layers.Concatenate()([first, h])
    return conditions.model("decoder", z, dense_heads(h, outputs, initializers), field="z")


def conditional_prior_network(
    condition: Condition,
    latent_dim: int,
    hidden: Sequence[int] = (64,),
    *,
    activation: str = "silu",
    seed: int | None = 2,
) -> keras.Model:
    """Returns a model from a condition to {loc: [B, L], log_scale: [B, L]}, near zero at first.

    So training begins close to the prior N(0, I), whatever the condition.

    Args:
        condition: see `vae_tf.networks`.
        latent_dim: L.
        hidden: widths of the hidden layers; () for a linear function of the condition.
        activation: a Keras activation's name.
        seed: seed of the initial weights.

    Raises:
        ConfigError: an argument that is no size, condition or name of the kind it must be.

    Example:
        >>> network = vae_tf.networks.conditional_prior_network(condition=10, latent_dim=2)
        >>> outputs = network({"condition": np.eye(10)})
        >>> outputs["loc"].shape.as_list(), outputs["log_scale"].shape.as_list()
        ([10, 2], [10, 2])
    """
    initializers, conditions = Initializers(seed), Conditions(condition)
    if not conditions:
        fix = "Pass the number of classes or a shape; without a condition use priors.LearnedNormal."
        raise ConfigError("A conditional prior must have a condition", "None", fix)
    h = _hidden(conditions.features, hidden, activation, 0.0, seed, initializers)
    shapes = dict.fromkeys(("loc", "log_scale"), (whole("latent_dim", latent_dim),))
    outputs = dense_heads(h, shapes, initializers.small)
    return keras.Model(conditions.inputs, outputs, name="prior_network")


def _hidden(h, widths, activation, dropout, seed, initializers: Initializers):
    check_activation(activation)
    _share("dropout", dropout)
    for i, width in enumerate(widths_of("hidden", widths)):
        h = keras.layers.Dense(
            width, activation=activation, kernel_initializer=initializers("he_uniform")
        )(h)
        if dropout:
            h = keras.layers.Dropout(dropout, seed=None if seed is None else seed + 10 + i)(h)
    return h


def _share(name: str, value: float) -> float:
    share = real(name, value, positive=False, fix=f"Pass {name}=0.1 for a tenth.")
    if share >= 1:
        fix = f"Pass {name}=0.1 for a tenth."
        raise ConfigError(f"`{name}` must be a share below 1", repr(value), fix)
    return share
