"""From a configuration to the objects it names: data, likelihood, networks, model, optimizer."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from vae_tf.distributions import Likelihood, Posterior
from vae_tf.errors import ConfigError
from vae_tf.models import VAE
from vae_tf.models.executions import steps_of
from vae_tf.models.optimizers import KernelAdamW
from vae_tf.networks import (
    conv_decoder,
    conv_encoder,
    mlp_decoder,
    mlp_encoder,
    resnet_decoder,
    resnet_encoder,
)
from vae_tf.runs import parts
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.images import Images
from vae_tf.runs.kind import Kind
from vae_tf.runs.suited import suited
from vae_tf.runs.tables import Rows

NETWORKS: dict[str, tuple[Callable[..., keras.Model], Callable[..., keras.Model]]] = {
    "mlp": (mlp_encoder, mlp_decoder),
    "conv": (conv_encoder, conv_decoder),
    "resnet": (resnet_encoder, resnet_decoder),
}


def kind_of(config: TrainConfig) -> Kind:
    """Returns the configured data, and what follows from their kind."""
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
    steps_per_epoch = train.steps_per_epoch(config.number("batch_size"))
    num_classes = kind.data.num_classes if config.conditional else None
    with _dtype_policy(config.precision):
        encoder, decoder = _networks(
            config, shape, posterior, likelihood, num_classes, kind.encoder_options()
        )
    vae = VAE(
        encoder,
        decoder,
        prior=parts.PRIORS[config.prior_name](parts.Setting(config, train.array, num_classes)),
        posterior=posterior,
        likelihood=likelihood,
        objective=parts.OBJECTIVES[config.objective](config.objective_samples),
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


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _networks(
    config: TrainConfig,
    event_shape,
    posterior: Posterior,
    likelihood: Likelihood,
    condition: int | None,
    options: Mapping[str, Any],
):
    latent_dim = config.number("latent_dim")
    heads = posterior.parameter_shapes(latent_dim)
    outputs = likelihood.parameter_shapes(event_shape)
    try:
        keras.activations.get(config.activation)
    except ValueError:
        fix = "Name one of keras.activations, such as relu, silu, gelu or tanh."
        raise ConfigError("--activation must be known to Keras", config.activation, fix) from None
    shared: dict[str, Any] = {"activation": config.activation, "condition": condition}
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


def _optimizer(config: TrainConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    rate = _learning_rate(config, steps_per_epoch)
    if not config.weight_decay:
        return keras.optimizers.Adam(rate, global_clipnorm=config.clipnorm)
    return KernelAdamW(
        rate, weight_decay=float(config.weight_decay), global_clipnorm=config.clipnorm
    )


def _learning_rate(config: TrainConfig, steps_per_epoch: int):
    warmup = config.lr_warmup_epochs * steps_per_epoch
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
