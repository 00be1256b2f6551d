"""Draws of q(z|x) and what weighs them, a few of each row at a time, for loops within graphs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.models.parts import Parts
from vae_tf.signatures import row_rng
from vae_tf.signatures.densities import Densities, chunks_of, repeated


class Draws(NamedTuple):
    """K draws of z for each row of a batch, `size` of them at each turn.

    Attributes:
        turns: how many; turns * size = K.
        size: draws of a row at each of them.
        targets: the batch, each row `size` times, one after the other.
        params: the posterior's parameters of the batch itself.
        at: a turn to the decoder's outputs, log p(z) and log q(z|x) of its draws, [B * size, ...].
    """

    turns: int
    size: int
    targets: Batch
    params: Any
    at: Callable[[tf.Tensor], tuple[Any, tf.Tensor, tf.Tensor]]


def draws(
    parts: Parts, densities: Densities, batch: Batch, seed: tf.Tensor, num_samples: int
) -> Draws:
    """Returns K draws of z ~ q(z|x) for each row of a batch, of its own seed [B]."""
    params, size = parts.encoded(batch), chunks_of(num_samples)
    several, targets = repeated(params, size), repeated(batch, size)
    seeds = tf.reshape(row_rng.seeds(seed, num_samples), [-1, num_samples // size, size])

    def at(turn: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        noise = row_rng.normals(tf.reshape(seeds[:, turn], [-1]), parts.prior.latent_dim)
        z = parts.posterior.from_noise(several, noise)
        log_qz = parts.posterior.distribution(several).log_prob(z)
        return parts.decoded(z, targets), densities.log_prob(z, targets.condition), log_qz

    return Draws(num_samples // size, size, targets, params, at)


def over(turns: int, step: Callable[..., tuple[tf.Tensor, ...]], *state: tf.Tensor):
    """Returns (turns, *state) after `step` has made of (turn, *state) the next ones so often."""
    return tf.while_loop(
        lambda turn, *_: turn < turns, step, (tf.constant(0), *state), parallel_iterations=1
    )
