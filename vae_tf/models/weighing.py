"""Averages over p(z|x) of a model's examples, by importance sampling from q(z|x), in chunks."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.models.chunks import InChunks, split
from vae_tf.models.parts import Parts

MOST_ROWS = 4096


class Average(NamedTuple):
    """What the weighted draws of some examples tell."""

    value: Any  # of each example, [B, ...] or a dict of such
    log_w: np.ndarray  # log p(x, z) - log q(z|x), [K, B]
    z: np.ndarray  # the draws, [K, B, L]


def statistics_of(parts: Parts, outputs) -> dict[str, tf.Tensor]:
    """Returns the likelihood's statistics, [B, ...] each, whose mean is taken over z."""
    found = parts.likelihood.statistics(outputs)
    return {name: tf.cast(value, tf.float32) for name, value in found.items()}


def log_p_of(parts: Parts, outputs, batch: Batch) -> tf.Tensor:
    """Returns log p(x_i|z) of each element, [B, *event]; NaN where it was not observed."""
    mask = tf.ones_like(batch.x) if batch.mask is None else batch.mask
    each, observed = parts.likelihood.observed_elements(outputs, batch.x, mask)
    return tf.where(observed, each, np.nan)


class Weighing:
    """Self-normalized importance sampling: sum_k w_k f(z_k) / sum_k w_k, z_k ~ q(z|x).

    The draws of an example depend on the seed and on its number in the data alone. They are
    decoded as many at a time as fit: all draws of some examples, or some draws of one.

    Args:
        parts: of a model.
        encoded: the encoder's outputs of a Batch, compiled.
        image: E[x|z] of z and a Batch, compiled; it tells how many rows fit.
    """

    def __init__(self, parts: Parts, encoded: InChunks, image: InChunks):
        self.parts, self.encoded, self.image = parts, encoded, image
        self._means = tf.function(self._mean, autograph=False, reduce_retracing=True)
        self._log_means = tf.function(self._log_mean, autograph=False, reduce_retracing=True)

    def means(self, batch: Batch, num_samples: int, seed: int, first: int) -> Average:
        """Returns the mean of `statistics_of` over p(z|x).

        Args:
            batch: tensors.
            num_samples: K.
            seed: of the draws.
            first: number of the first example among all.
        """
        return self._over_chunks(self._means, np.exp, np.sum, batch, num_samples, seed, first)

    def log_means(self, batch: Batch, num_samples: int, seed: int, first: int) -> Average:
        """Returns the logarithm of the mean of exp of `log_p_of` over p(z|x); as `means`."""
        reduce = np.logaddexp.reduce
        return self._over_chunks(self._log_means, np.array, reduce, batch, num_samples, seed, first)

    def rows(self, batch: Batch) -> int:
        """Returns how many rows of z fit."""
        like: np.ndarray = np.zeros([len(batch.x), self.parts.prior.latent_dim], "float32")
        return min(MOST_ROWS, self.image.rows(like, self.parts.for_decoder(like, batch)))

    def _over_chunks(self, function, scaled, reduce, batch, num_samples, seed, first) -> Average:
        params, found = self.encoded(batch), []
        key, chunk = tf.constant([seed, 0], tf.int32), split(self.rows(batch), num_samples)
        for start in range(0, len(batch.x), chunk.examples):
            rows = slice(start, start + chunk.examples)
            own = tf.nest.map_structure(lambda value, rows=rows: value[rows], params)
            pieces = []
            for draw in range(0, num_samples, chunk.draws):
                position = tf.constant((first + start) * num_samples + draw, tf.int64)
                count = tf.constant(min(chunk.draws, num_samples - draw), tf.int64)
                answer = function(own, batch.rows(rows), key, position, count)
                pieces.append(tf.nest.map_structure(lambda value: value.numpy(), answer))
            found.append(_joined(pieces, scaled, reduce))
        values, log_w, z = zip(*found, strict=True)
        value = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *values)
        return Average(value, np.concatenate(log_w, 1), np.concatenate(z, 1))

    def _weighed(self, params, batch: Batch, seed, position, draws):
        """Returns draws, log w, and what the decoder says of the draws, rows [draws * B]."""
        qz, z = self.parts.posterior.drawn(
            params, draws, self.parts.prior.latent_dim, seed, position
        )
        outputs: list = []
        log_w = self.parts.log_weights(z, batch, qz, outputs)
        return z, log_w, outputs[0]

    def _mean(self, params, batch: Batch, seed, position, draws):
        z, log_w, outputs = self._weighed(params, batch, seed, position, draws)
        weights = tf.nn.softmax(log_w, 0)

        def mean(value):
            by_draw = tf.reshape(value, [draws, -1, *value.shape[1:]])
            return tf.einsum("sb,sb...->b...", weights, by_draw)

        statistics = statistics_of(self.parts, outputs)
        return tf.nest.map_structure(mean, statistics), log_w, z

    def _log_mean(self, params, batch: Batch, seed, position, draws):
        z, log_w, outputs = self._weighed(params, batch, seed, position, draws)
        log_p = log_p_of(self.parts, outputs, batch.repeated(draws))
        log_p = tf.reshape(log_p, [draws, -1, *log_p.shape[1:]])
        log_weights = tf.nn.log_softmax(log_w, 0)
        shape = tf.concat([tf.shape(log_w), tf.ones([log_p.shape.rank - 2], tf.int32)], 0)
        return tf.reduce_logsumexp(tf.reshape(log_weights, shape) + log_p, 0), log_w, z


def _joined(pieces: list, scaled, reduce):
    """Returns the average of some draws of the same examples out of those of parts of them.

    Args:
        pieces: a value [B, ...], log w [draws, B] and z [draws, B, L] each.
        scaled: a share's logarithm to what a value is multiplied by, or added to it.
        reduce: sums the pieces.
    """
    values, log_w, z = zip(*pieces, strict=True)
    totals = np.stack([np.logaddexp.reduce(part.astype("float64"), 0) for part in log_w])
    shares = scaled(totals - np.logaddexp.reduce(totals, 0))  # [pieces, B]
    act = np.multiply if scaled is np.exp else np.add

    def join(*parts):
        if len(parts) == 1:
            return parts[0]
        stacked = np.stack(parts)
        share = shares.reshape(shares.shape + (1,) * (stacked.ndim - 2))
        with np.errstate(invalid="ignore"):  # NaN stays
            return reduce(act(stacked, share), axis=0).astype("float32")

    value = tf.nest.map_structure(join, *values)
    return value, np.concatenate(log_w), np.concatenate(z)
