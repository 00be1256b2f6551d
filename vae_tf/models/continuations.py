"""Several probable continuations of the beginning of a sequence."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.errors import DataError
from vae_tf.models.imputation import resampled

CHOICE = 1  # the stream of random numbers that chooses among draws of z


@dataclass(frozen=True)
class Continuations:
    """Continuations of a sequence, the most probable one first.

    Attributes:
        x: different whole sequences, the beginning included, [n, *event].
        log_prob: log p(continuation|beginning) of each, in nats, [n].

    Example:
        >>> from vae_tf.models import Continuations
        >>> ways = Continuations(x=np.zeros((2, 5)), log_prob=np.log([0.5, 0.25]))
        >>> round(float(np.exp(ways.log_prob).sum()), 3)  # of all continuations
        0.75
    """

    x: np.ndarray
    log_prob: np.ndarray


def continued(
    vae: Any,
    batch: Batch,
    num: int,
    candidates: int,
    num_samples: int,
    temperature: float,
    seed: int,
) -> Continuations:
    """Returns what `SequenceVAE.continuations` does, of a Batch of tensors.

    Raises:
        DataError: several beginnings, one without a mask, or one that fills all steps.
    """
    known, count = _known_steps(batch), max(num, candidates)
    weigh = vae.generator.kept("weights", _weighing(vae.parts))
    z, log_w = weigh(batch, tf.constant([seed, 0], tf.int32), tf.constant(num_samples, tf.int64))
    choice = tf.constant([seed, CHOICE], tf.int32)
    chosen = resampled(log_w.numpy(), count, choice, 0)[:, 0]
    some = keras.tree.map_structure(lambda v: None if v is None else tf.repeat(v, count, 0), batch)
    drawn = vae.draw(
        tf.gather(z[:, 0], chosen),
        temperature=temperature,
        seed=seed,
        beginning={"x": some.x, "mask": known * tf.ones_like(some.x)},
        condition=some.condition,
    )
    x = np.unique(drawn.numpy(), axis=0)
    score, shares = vae.generator.kept("scores", vae.parts.log_px), tf.nn.log_softmax(log_w, 0)
    log_prob = []
    for row in x:
        new = _until_end(row[None], vae.end) * (1 - known)
        log_p = score(z, Batch(tf.constant(row[None]), tf.constant(new), batch.condition))
        log_prob.append(float(tf.reduce_logsumexp(shares + log_p)))
    order = np.argsort(-np.array(log_prob), kind="stable")[:num]
    return Continuations(x[order], np.array(log_prob)[order])


def _until_end(x: np.ndarray, end: int | None) -> np.ndarray:
    """Returns the mask of sequences [B, *event]: 1 up to the first end, and at it."""
    if end is None:
        return np.ones(x.shape, "float32")
    ended = np.cumsum(x == end, 1)
    return (ended - (x == end) == 0).astype("float32")


def _weighing(parts):
    """Returns a function of a Batch, a seed and K to draws z ~ q(z|x) and log weights [K, B]."""

    def weigh(batch: Batch, key: tf.Tensor, count: tf.Tensor):
        params, first = parts.encoded(batch), tf.constant(0, tf.int64)
        qz, z = parts.posterior.drawn(params, count, parts.prior.latent_dim, key, first)
        return z, parts.log_weights(z, batch, qz)

    return weigh


def _known_steps(batch: Batch) -> np.ndarray:
    """Returns the mask of one beginning, 1 in its first steps, [1, *event] float32."""
    fix = 'Pass texts.encode(["To be"], ended=False), for example.'
    if batch.mask is None or len(batch.x) != 1:
        seen = "no mask" if batch.mask is None else f"{len(batch.x)} examples"
        raise DataError("A beginning must be one example with a mask", seen, fix)
    known = np.broadcast_to(batch.mask.numpy(), batch.x.shape)
    steps = known.reshape(known.shape[1], -1)
    if (np.diff(steps.min(1)) > 0).any() or (steps.min(1) != steps.max(1)).any():
        raise DataError("A beginning must be the first steps", "a mask with gaps", fix)
    if steps.all():
        raise DataError("A beginning must leave steps to draw", f"{len(steps)} known", fix)
    return known.astype("float32")
