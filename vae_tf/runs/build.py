"""From a configuration to the objects it names: data, likelihood, networks, model, optimizer."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras

from vae_tf.distributions import Hierarchy, Ladder, Likelihood, Posterior
from vae_tf.errors import ConfigError
from vae_tf.models import VAE
from vae_tf.models.executions import steps_of
from vae_tf.models.optimizers import KernelAdamW
from vae_tf.networks import (
    LadderNetworks,
    conv_decoder,
    conv_encoder,
    mlp_decoder,
    mlp_encoder,
    mlp_ladder,
    resnet_decoder,
    resnet_encoder,
    resnet_ladder,
)
from vae_tf.networks.policies import dtype_policy
from vae_tf.objectives import Objective, SemiSupervised
from vae_tf.runs import parts
from vae_tf.runs.codes import Codes
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.images import Images
from vae_tf.runs.kind import Kind
from vae_tf.runs.series import SeriesKind
from vae_tf.runs.suited import suited
from vae_tf.runs.tables import Rows
from vae_tf.runs.texts import Lines

NETWORKS: dict[str, tuple[Callable[..., keras.Model], Callable[..., keras.Model]]] = {
    "mlp": (mlp_encoder, mlp_decoder),
    "conv": (conv_encoder, conv_decoder),
    "resnet": (resnet_encoder, resnet_decoder),
}
LADDERS: dict[str, Callable[..., LadderNetworks]] = {
    "mlp": mlp_ladder,
    "resnet": resnet_ladder,
}


def kind_of(config: TrainConfig) -> Kind:
    """Returns the configured data, and what follows from their kind."""
    if config.codes:
        return Codes.load(config)
    if config.is_text:
        return Lines.load(config)
    if config.is_series:
        return SeriesKind.load(config)
    return (Rows if config.is_table else Images).load(config)


def build_model(config: TrainConfig, kind: Kind) -> VAE:
    """Returns the configured VAE, compiled, for the data of `kind`.

    Raises:
        DataError: a condition is asked for that the data do not have.
    """
    config, _ = suited(config, kind)
    shape, train = kind.data.shape, kind.data.train
    likelihood = kind.likelihood(config)
    posterior = parts.POSTERIORS[config.posterior](config)
    steps_per_epoch = kind.steps_per_epoch(config)
    num_classes = kind.data.num_classes if config.classes else None
    prior = parts.PRIORS[config.prior_name](parts.Setting(config, train.array, num_classes))
    with dtype_policy(config.precision):
        if config.latents:
            made = _ladder(config, shape, posterior, likelihood, num_classes)
            encoder, decoder = made.encoder, made.decoder
            prior = Hierarchy(prior, made.prior)
            posterior = Ladder(made.posterior, posterior)
        else:
            heads = posterior.parameter_shapes(config.number("latent_dim"))
            own = kind.networks(config, heads, likelihood.parameter_shapes(shape))
            encoder, decoder = own or _networks(
                config, shape, posterior, likelihood, num_classes, kind.encoder_options()
            )
        objective = _objective(config, shape, num_classes)
    vae = kind.model(
        encoder,
        decoder,
        prior=prior,
        posterior=posterior,
        likelihood=likelihood,
        objective=objective,
        beta=parts.beta(config),
        kl_control=parts.kl_control(config),
        seed=config.seed,
        name="vae",
    )
    numbers = config.number("batch_size") * math.prod(shape)
    # Whoever listens: a run that is resumed, or watched, has to compute the same
    steps = steps_of(numbers, steps_per_epoch)
    vae.compile(optimizer=_optimizer(config, steps_per_epoch), steps_per_execution=steps)
    return vae


def _ladder(
    config: TrainConfig,
    event_shape,
    first: Posterior,
    likelihood: Likelihood,
    condition: int | None,
) -> LadderNetworks:
    """Returns the networks of a hierarchy; `first` is the posterior of its top."""
    name = "hidden" if config.network == "mlp" else "filters"
    widths = getattr(config, name)
    further = len(widths) - len(config.latents)  # levels of maps below the groups
    if further and (further < 0 or name == "hidden"):
        received = f"{len(config.latents)} of --latents, {len(widths)} of --{name}"
        fix = f"Pass --{name} from the data up, one for each group."
        raise ConfigError(f"--latents and --{name} must be as many", received, fix)
    return LADDERS[config.network](
        event_shape,
        config.latents,
        likelihood.parameter_shapes(event_shape),
        widths[::-1],
        activation=_activation(config),
        top=first.parameter_shapes(config.latents[0]),
        condition=condition,
        seed=2 * config.seed,
    )


def _activation(config: TrainConfig) -> str:
    """Returns the name of the activation, which Keras must know."""
    try:
        keras.activations.get(config.activation)
    except ValueError:
        fix = "Name one of keras.activations, such as relu, silu, gelu or tanh."
        raise ConfigError("--activation must be known to Keras", config.activation, fix) from None
    return config.activation


def _networks(
    config: TrainConfig,
    event_shape,
    posterior: Posterior,
    likelihood: Likelihood,
    condition: int | None,
    options: Mapping[str, Any],
):
    """Returns encoder and decoder of the settings."""
    latent_dim = config.number("latent_dim")
    heads = posterior.parameter_shapes(latent_dim)
    outputs = likelihood.parameter_shapes(event_shape)
    shared: dict[str, Any] = {"activation": _activation(config), "condition": condition}
    own, of_decoder, widths = dict(options), {}, config.filters
    if config.network == "mlp":
        assert not isinstance(config.hidden, str)  # by now the data have decided
        shared["dropout"], widths = config.dropout, config.hidden
        own["input_dropout"], of_decoder["shortcut"] = config.input_dropout, config.shortcut
    elif config.dropout or config.input_dropout or config.shortcut:
        fix = "Drop the flag, or use --network mlp."
        received = f"--network {config.network} with it"
        raise ConfigError("Dropout and the shortcut belong to the mlp network", received, fix)
    make_encoder, make_decoder = NETWORKS[config.network]
    encoder = make_encoder(
        event_shape,
        latent_dim,
        widths,
        outputs=heads,
        seed=2 * config.seed,
        **shared,
        **own,
    )
    decoder = make_decoder(
        latent_dim, outputs, widths[::-1], seed=2 * config.seed + 1, **shared, **of_decoder
    )
    return encoder, decoder


def _objective(config: TrainConfig, event_shape, num_classes: int | None) -> Objective:
    """Returns the objective; with labels, the one with a classifier beside it."""
    if not (config.labels and num_classes):
        return parts.OBJECTIVES[config.objective](config.objective_samples)
    widths = config.hidden if config.network == "mlp" else config.filters
    own = {}
    if config.network == "mlp":
        own = {"dropout": config.dropout, "input_dropout": config.input_dropout}
    classifier = NETWORKS[config.network][0](
        event_shape,
        config.number("latent_dim"),
        widths,
        activation=config.activation,
        outputs={"logits": (num_classes,)},
        seed=2 * config.seed + 2,
        **own,
    )
    return SemiSupervised(classifier, config.objective_samples, config.classifier_weight)


def _optimizer(config: TrainConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Returns Adam, or AdamW where weights are to decay."""
    rate = _learning_rate(config, steps_per_epoch)
    if not config.weight_decay:
        return keras.optimizers.Adam(rate, global_clipnorm=config.clipnorm)
    return KernelAdamW(
        rate, weight_decay=float(config.weight_decay), global_clipnorm=config.clipnorm
    )


def _learning_rate(config: TrainConfig, steps_per_epoch: int):
    """Returns the learning rate: a number, or a schedule with warm-up and decay."""
    warmup = config.number("lr_warmup_epochs") * steps_per_epoch
    steps = max(1, config.number("epochs") * steps_per_epoch - warmup)
    target = float(config.learning_rate)
    if config.lr_schedule == "cosine":
        if not warmup:
            return keras.optimizers.schedules.CosineDecay(target, steps)
        return keras.optimizers.schedules.CosineDecay(
            0.0, steps, warmup_target=target, warmup_steps=warmup
        )
    if not warmup:
        return target
    return keras.optimizers.schedules.PolynomialDecay(0.0, warmup, target, power=1.0)
