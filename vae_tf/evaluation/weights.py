"""Sums of importance weights, decoded chunk by chunk in one graph."""

import contextlib
import math
from typing import NamedTuple

import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.evaluation.half_precision import in_bfloat16
from vae_tf.models import VAE
from vae_tf.models.chunks import Shape, rows_like, split, widest

# What a chunk's widest activation may take: little enough for the cache, enough for the cores.
CHUNK_BYTES = 1 << 24
MOST_ROWS = 1024
# While one chunk's operations wait for each other, the cores have those of another
CHUNKS_AT_A_TIME = 2


class Sums(NamedTuple):
    """Logarithms of sums over draws, [B] float64 each."""

    log_sum: tf.Tensor  # of w
    log_sum_of_squares: tf.Tensor  # of w^2


class Weights:
    """The importance weights of a model's examples, w = p(x, z) / q(z|x) of draws z ~ q(z|x).

    The draws of an example depend on the seed and on its number in the data, whatever examples
    and draws are computed with it.

    Args:
        vae: a model.
        num_samples: K.
    """

    def __init__(self, vae: VAE, num_samples: int):
        self.vae, self.num_samples = vae, num_samples
        self._chunks: dict[tuple, Shape] = {}
        self._compiled = tf.function(self._sum, autograph=False, reduce_retracing=True)

    def sums(self, batch: Batch, seed, first: int, bfloat16: bool = False) -> Sums:
        """Returns the sums over all draws.

        Args:
            batch: examples, as tensors.
            seed: int32 [2].
            first: number of the first example in the data.
            bfloat16: whether to decode in that precision; all else is float32, sums float64.
        """
        examples, draws = self.chunk(batch)
        sizes = tf.constant([first, examples, draws], tf.int64)
        return self._compiled(batch, seed, sizes, bfloat16)

    def chunk(self, batch: Batch) -> Shape:
        """Returns what a chunk of such examples holds."""
        specs = tf.nest.map_structure(rows_like, batch)
        key = tuple(tf.nest.flatten(specs))
        if key not in self._chunks:
            others = tf.TensorSpec([2], tf.int32), tf.TensorSpec([3], tf.int64)
            graph = self._compiled.get_concrete_function(specs, *others, False).graph
            rows = max(1, min(MOST_ROWS, CHUNK_BYTES // (4 * widest(graph))))
            self._chunks[key] = split(rows, self.num_samples)
        return self._chunks[key]

    def _sum(self, batch: Batch, seed, sizes, bfloat16: bool) -> Sums:
        parts, total = self.vae.parts, self.num_samples
        first, at_a_time, draws = tf.unstack(sizes)
        size = tf.shape(batch.x, tf.int64)[0]
        chunks_of_each = -(-total // draws)  # more than 1 for one example at a time alone
        params = parts.encoded(batch)
        half = in_bfloat16(parts.decoder) if bfloat16 else contextlib.nullcontext()

        def add(chunk, sums):
            start, draw = chunk // chunks_of_each * at_a_time, chunk % chunks_of_each * draws
            end = tf.minimum(start + at_a_time, size)
            count = tf.minimum(draws, total - draw)
            own, some = tf.nest.map_structure(
                lambda rows: None if rows is None else rows[start:end], (params, batch)
            )
            position = (first + start) * total + draw
            qz, z = parts.posterior.drawn(own, count, parts.prior.latent_dim, seed, position)
            log_w = tf.cast(parts.log_weights(z, some, qz), tf.float64)
            new = Sums(tf.reduce_logsumexp(log_w, 0), tf.reduce_logsumexp(2 * log_w, 0))
            rows = tf.range(start, end)
            both = (_log_add(old, rows, more) for old, more in zip(sums, new, strict=True))
            return chunk + 1, Sums(*both)

        nothing = tf.fill([size], tf.constant(-math.inf, tf.float64))
        chunks = -(-size // at_a_time) * chunks_of_each
        start = (tf.constant(0, tf.int64), Sums(nothing, nothing))
        with half:
            _, sums = tf.while_loop(
                lambda chunk, _: chunk < chunks, add, start, parallel_iterations=CHUNKS_AT_A_TIME
            )
        return sums


def _log_add(old: tf.Tensor, rows: tf.Tensor, more: tf.Tensor) -> tf.Tensor:
    """Returns log(exp(old) + exp(more)), where `more` belongs to `rows` of `old` [B]."""
    total = tf.reduce_logsumexp(tf.stack([tf.gather(old, rows), more]), 0)
    return tf.tensor_scatter_nd_update(old, rows[:, None], total)
