"""Draws of sequences step by step, compiled: each step given z and the steps before it."""

from collections.abc import Callable

import tensorflow as tf

from vae_tf.checks import real
from vae_tf.data.batch import Batch
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.likelihoods.categorical import Categorical
from vae_tf.errors import ConfigError
from vae_tf.models.generator import Generator

COLDEST = 1e-6  # a temperature to divide by where the greedy step is taken anyway


def ancestral(generator: Generator, event_shape: tuple[int, ...], end: int | None) -> Callable:
    """Returns a function of z [B, L], a Batch, a seed [2] and a temperature to x [B, *event].

    Where the mask of the Batch is 1, its x is kept. All steps are computed in each round, and one
    of them is taken: a decoder of any kind will do, at a cost that grows as the square of the
    steps. A row's draw depends on the seed, on its place and on nothing else, and the draws of
    different steps are independent, since each takes uniform numbers of its own.
    """
    parts = generator.parts
    axis = tf.reshape(tf.range(event_shape[0]), [1, -1, *[1] * (len(event_shape) - 1)])

    def draw(z, batch: Batch, seed, temperature):
        known = batch.mask > 0
        x = tf.where(known, batch.x, 0.0)
        first = tf.constant(0, tf.int64)

        def one(step, x, alive):
            outputs = parts.decoded(z, Batch(x, condition=batch.condition))
            warm = _warmed(outputs, temperature)
            drawn = parts.likelihood.drawn(warm, event_shape, seed, first)
            greedy = tf.cast(parts.likelihood.statistics(outputs)["image"], tf.float32)
            now = (axis == step) & ~known & tf.reshape(alive, [-1, *[1] * len(event_shape)])
            x = tf.where(now, tf.where(temperature > 0, drawn, greedy), x)
            if end is not None:
                alive &= x[:, step] != float(end)
            return step + 1, x, alive

        alive = tf.ones([tf.shape(z)[0]], tf.bool)
        going = lambda step, x, alive: (step < event_shape[0]) & tf.reduce_any(alive)  # noqa: E731
        return tf.while_loop(going, one, (0, x, alive), parallel_iterations=1)[1]

    def _warmed(outputs, temperature):
        if not isinstance(parts.likelihood, Categorical):
            return outputs
        scale = tf.maximum(temperature, COLDEST)
        return tf.nest.map_structure(lambda logits: logits / scale, outputs)

    return generator.kept(f"ancestral {event_shape} {end}", draw)


def check_temperature(likelihood: Likelihood, value: float) -> float:
    """Returns a temperature, or raises ConfigError if the likelihood has none such."""
    value = real("temperature", value, positive=False)
    if value not in (0.0, 1.0) and not isinstance(likelihood, Categorical):
        fix = "Pass 1, or 0 for the value that stands for each step."
        raise ConfigError("A temperature besides 0 and 1 needs classes", repr(value), fix)
    return value


def fixed_shape(event_shape) -> tuple[int, ...]:
    """Returns the shape of a sequence, or raises ConfigError if a side of it is open."""
    if event_shape is None or None in event_shape:
        fix = "Build the encoder for sequences of a fixed number of steps."
        raise ConfigError("The number of steps must be known", str(event_shape), fix)
    return tuple(event_shape)
