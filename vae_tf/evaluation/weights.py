"""Sums of importance weights, decoded chunk by chunk in one graph."""

import contextlib
import math
from typing import NamedTuple

import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.evaluation.half_precision import in_bfloat16
from vae_tf.models import VAE

# What a chunk's widest activation may take: little enough for the cache, enough for the cores.
CHUNK_BYTES = 1 << 24
MOST_ROWS = 1024
# While one chunk's operations wait for each other, the cores have those of another
CHUNKS_AT_A_TIME = 2


class Sums(NamedTuple):
    """Logarithms of sums over draws, [B] float64 each."""

    log_sum: tf.Tensor  # of w
    log_sum_of_squares: tf.Tensor  # of w^2

    def plus(self, other: "Sums") -> "Sums":
        """Returns the sums over the draws of both."""
        pairs = zip(self, other, strict=True)
        return Sums(*(tf.reduce_logsumexp(tf.stack(pair), 0) for pair in pairs))


class Weights:
    """The importance weights of a model's examples, w = p(x, z) / q(z|x) of draws z ~ q(z|x).

    Draw k of chunk c depends on the seed, c and the chunks' size alone; all chunks of a batch
    are of one size, so that one graph serves them, and draws beyond `num_samples` count nothing.

    Args:
        vae: a model.
        num_samples: K.
    """

    def __init__(self, vae: VAE, num_samples: int):
        self.vae, self.num_samples = vae, num_samples
        self.rows = max(1, min(MOST_ROWS, CHUNK_BYTES // (4 * _widest(vae))))
        self._compiled = tf.function(self._sum, autograph=False, reduce_retracing=True)

    def chunks(self, batch: int) -> tuple[int, int]:
        """Returns how many chunks a batch of so many examples takes, and their draws each."""
        count = math.ceil(self.num_samples / max(1, self.rows // batch))
        return count, math.ceil(self.num_samples / count)

    def sums(self, x, params, seed, first: int, last: int, bfloat16: bool = False) -> Sums:
        """Returns the sums over the draws of chunks first, first + 1, ..., last - 1.

        Args:
            x: [B, *event].
            params: what the encoder put out for it.
            seed: int32 [2].
            first: a chunk.
            last: the one after the last.
            bfloat16: whether to decode in that precision; all else is float32, sums float64.
        """
        size = tf.constant(self.chunks(len(x))[1])
        return self._compiled(
            x, params, seed, tf.constant(first), tf.constant(last), size, bfloat16
        )

    def _sum(self, x, params, seed, first, last, size, bfloat16: bool) -> Sums:
        vae = self.vae
        qz, batch = vae.posterior.distribution(params), Batch(x)
        half = in_bfloat16(vae.decoder) if bfloat16 else contextlib.nullcontext()

        def add(chunk, sums):
            z = qz.sample(size, seed=tf.random.experimental.stateless_fold_in(seed, chunk))
            log_w = tf.cast(vae.parts.log_weights(z, batch, qz), tf.float64)  # [size, B]
            counted = chunk * size + tf.range(size) < self.num_samples
            log_w = tf.where(counted[:, None], log_w, -math.inf)
            new = Sums(tf.reduce_logsumexp(log_w, 0), tf.reduce_logsumexp(2 * log_w, 0))
            return chunk + 1, sums.plus(new)

        nothing = tf.fill([tf.shape(x)[0]], tf.constant(-math.inf, tf.float64))
        start = (first, Sums(nothing, nothing))
        with half:
            _, sums = tf.while_loop(
                lambda c, _: c < last, add, start, parallel_iterations=CHUNKS_AT_A_TIME
            )
        return sums


def _widest(vae: VAE) -> int:
    """Returns the numbers in the largest activation of the decoder for one row."""
    spec = tf.TensorSpec([None, vae.prior.latent_dim])
    decode = tf.function(lambda z: vae.decoder(z, training=False), autograph=False)
    operations = decode.get_concrete_function(spec).graph.get_operations()
    shapes = [output.shape for operation in operations for output in operation.outputs]
    rows = [s[1:].num_elements() for s in shapes if s.rank and s[0] is None]
    return max([n for n in rows if n], default=1)
