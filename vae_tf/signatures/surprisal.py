"""`surprisal(image, seed)`: how improbable each element is, -log p(x_i|x), as `vae.surprisal`.

It is log sum_k w_k - log sum_k w_k p(x_i|z_k), z_k ~ q(z|x), w the importance weights.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.signatures import rows
from vae_tf.signatures.densities import Both, Densities
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.halves import Halves
from vae_tf.signatures.imputation import mask_input, observed
from vae_tf.signatures.inference import drawn
from vae_tf.signatures.weighing import draws, over

NO_ELEMENTS = "p(x|z) gives no density of single elements."
WORDS = {"surprisal": ("-log p of each element given the row; 0 where it is masked out", "nats")}


def lacking(halves: Halves) -> str | None:
    """Returns in a sentence why there is no `surprisal`, or None."""
    return NO_ELEMENTS if _elements(halves) is None else None


def surprisal_endpoint(halves: Halves, prior: Both, num_samples: int) -> Endpoint:
    """Returns `surprisal(image, seed [B]) -> {surprisal [B, *shape]}`.

    Networks that take a mask are given the one that is an input then.

    Args:
        halves: the model.
        prior: its densities.
        num_samples: K.
    """
    preprocessing, taken, masked = halves.preprocessing, halves.condition(), halves.masked

    def of(densities: Densities) -> Callable[..., dict[str, tf.Tensor]]:
        def surprisal(image: tf.Tensor, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            mask = inputs[0] if masked else tf.ones_like(image, tf.float32)
            seed, *given = inputs[masked:]
            x, known, fit = observed(halves, image, mask)
            x = x if preprocessing.binarization == "none" else drawn(x, seed)
            mask = tf.cast(known, tf.float32)
            batch = Batch(x, mask, taken.value(given))
            told = {"surprisal": surprisal_of(halves, densities, batch, seed, num_samples)}
            return rows.spoilt(told, taken.also(fit, given))

        return surprisal

    mask = [mask_input(halves.shape)] if masked else []
    inputs = halves.image(scored=True), *mask, Input("seed", "int32"), *taken.inputs
    return Endpoint(
        *("surprisal", "vae", inputs, frozenset({"surprisal"}), of(prior[0]), of(prior[1])),
        litert=False,
        words=WORDS,
        stepwise=False,
    )


def surprisal_of(
    halves: Halves, densities: Densities, batch: Batch, seed: tf.Tensor, num_samples: int
) -> tf.Tensor:
    """Returns -log p of each element in nats, [B, *shape]; 0 where it was not observed.

    Args:
        halves: the model.
        densities: of its prior.
        batch: data, their mask and condition.
        seed: of each row, [B].
        num_samples: K.
    """
    likelihood, known = halves.parts.likelihood, batch.mask
    batch = batch._replace(x=tf.where(known > 0, batch.x, 0.0))
    several = draws(halves.parts, densities, batch, seed, num_samples)
    elements = _elements(halves)
    assert elements is not None
    sides = elements.shape[1:]

    def more(turn: tf.Tensor, total: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
        outputs, log_pz, log_qz = several.at(turn)
        each, seen = likelihood.observed_elements(outputs, several.targets.x, several.targets.mask)
        each = tf.where(seen, each, 0.0)
        log_px = tf.reduce_sum(each, range(1, each.shape.rank))
        log_w = tf.reshape(log_px + log_pz - log_qz, [-1, several.size])
        weighed = tf.reshape(each, [-1, several.size, *sides])
        weighed += tf.reshape(log_w, [-1, several.size, *(1 for _ in sides)])
        total = tf.reduce_logsumexp(tf.concat([total[:, tf.newaxis], log_w], 1), 1)
        return turn + 1, total, tf.reduce_logsumexp(tf.concat([sums[:, tf.newaxis], weighed], 1), 1)

    none = tf.zeros_like(seed, tf.float32) - math.inf
    blank = tf.fill([tf.shape(seed)[0], *sides], -math.inf)
    _, total, sums = over(several.turns, more, none, blank)
    together = [i for i, side in enumerate(sides, 1) if side != known.shape[i]]
    seen = tf.reduce_min(known, together, keepdims=True)
    return tf.where(seen > 0, tf.reshape(total, [-1, *(1 for _ in sides)]) - sums, 0.0)


def _elements(halves: Halves) -> tf.Tensor | None:
    """Returns log p of the elements of one example, [1, *shape]; None if they are not known.

    An axis has size 1 where they are only known together, as the colours of a pixel are.
    """
    taken, likelihood = halves.condition("decoder"), halves.parts.likelihood
    with tf.init_scope():  # a graph being traced meanwhile is not to keep the example
        params = halves.decode(tf.zeros([1, halves.latent]), taken.value(taken.example(1)))
        x = likelihood.point(likelihood.statistics(params))
        return likelihood.elements(params, tf.cast(x, tf.float32))
