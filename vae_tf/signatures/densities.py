"""What depends on the prior, for graphs: its numbers are constants, unless they depend on a row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.data.batch import Batch
from vae_tf.signatures import generation, row_rng, rows
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.freezing import Function, frozen
from vae_tf.signatures.halves import Halves
from vae_tf.signatures.probes import LARGE_Z, probes

# Draws of one example that are decoded at a time: memory is this many times that of `decode`.
CHUNK = 8
UNPROVEN = f"log p(z) is not finite for all z up to {LARGE_Z:g} standard deviations of N(0, 1)."


@dataclass(frozen=True)
class Densities:
    """What depends on the prior; each function takes the condition last, None without.

    Attributes:
        log_prob: z [B, L] to log p(z) [B].
        kl: parameters of q to KL(q || p) [B]; None where there is no closed form.
        draw: seeds [B] to z ~ p(z) [B, L]; None if it is no function of noise.
    """

    log_prob: Function
    kl: Callable[[Any, Any], tf.Tensor] | None
    draw: Function | None


Both: TypeAlias = tuple[Densities, Densities]  # as they are, and for graphs


def densities(halves: Halves) -> Both:
    """Returns the prior's densities as they are, and with its numbers as constants, for graphs.

    Raises:
        Exception: of any kind, if the prior has no density that a graph can hold.
    """
    parts, taken = halves.parts, halves.condition()
    example = taken.value(taken.example(1))

    def log_prob(z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        return parts.p(Batch(z, condition=condition)).log_prob(z)

    def kl(params: Any, condition: Any = None) -> tf.Tensor:
        qz = parts.posterior.distribution(params)
        return tfd.kl_divergence(qz, parts.p(Batch(None, condition=condition)))

    def of_noise(function: Function | None) -> Function | None:
        return function and (
            lambda seed, condition=None: function(
                *(row_rng.normals(seed, halves.latent), row_rng.uniforms(seed, 1)[:, 0]), condition
            )
        )

    log_prob(tf.zeros([1, halves.latent]), example)
    draw, constant_draw = map(of_noise, generation.from_noise_of(halves))
    try:
        kl(halves.example, example)
        closed = True
    except NotImplementedError:  # TFP's word for a pair without a closed form
        closed = False
    as_they_are = Densities(log_prob, kl if closed else None, draw)
    if parts.prior.conditional:
        return as_they_are, Densities(log_prob, kl if closed else None, constant_draw)

    # One function, which all signatures call: a prior may have more numbers than a network.
    of_z = [tf.TensorSpec([None, halves.latent])]
    fixed = tf.function(frozen(log_prob, of_z), autograph=False)
    fixed_kl = None
    if closed:
        tensors = tf.nest.flatten(halves.example)
        specs = [tf.TensorSpec([None, *t.shape[1:]], t.dtype) for t in tensors]
        flat_kl = tf.function(
            frozen(lambda *flat: kl(tf.nest.pack_sequence_as(halves.example, flat)), specs),
            autograph=False,
        )
        fixed_kl = lambda params, _=None: flat_kl(*tf.nest.flatten(params))  # noqa: E731
    return as_they_are, Densities(lambda z, _=None: fixed(z), fixed_kl, constant_draw)


def log_prob_endpoint(halves: Halves, prior: Both) -> tuple[Endpoint | None, str | None]:
    """Returns `prior_log_prob(z [B, L]) -> {log_prob [B]}`, or in a sentence why there is none.

    With it, encoder and decoder alone make importance weights, whatever the prior is.
    """
    taken = halves.condition("prior")

    def of(densities: Densities) -> Callable[..., dict[str, tf.Tensor]]:
        def prior_log_prob(z: tf.Tensor, *given: tf.Tensor) -> dict[str, tf.Tensor]:
            fit = taken.also(rows.within(z), given)
            log_prob = densities.log_prob(tf.where(fit[:, tf.newaxis], z, 0.0), taken.value(given))
            return rows.spoilt({"log_prob": tf.cast(log_prob, tf.float32)}, fit)

        return prior_log_prob

    endpoint = Endpoint(
        *("prior_log_prob", "decoder", (Input("z", "float32", (halves.latent,)), *taken.inputs)),
        *(frozenset({"log_prob"}), of(prior[0]), of(prior[1])),
        words={"log_prob": ("log p(z); where the prior is conditional, log p(z|c)", "nats")},
    )
    tried = probes(endpoint)
    columns = [np.concatenate([batch[i.name] for batch in tried]) for i in endpoint.inputs]
    if not np.isfinite(endpoint.function(*map(tf.constant, columns))["log_prob"]).all():
        return None, UNPROVEN
    return endpoint, None


def repeated(tensors: Any, times: int) -> Any:
    """Returns a structure of [B, ...] with each row so many times, one after the other."""
    return tf.nest.map_structure(lambda t: None if t is None else tf.repeat(t, times, 0), tensors)


def chunks_of(num_samples: int) -> int:
    """Returns how many draws to decode at a time, a divisor of their number."""
    return max(size for size in range(1, CHUNK + 1) if num_samples % size == 0)
