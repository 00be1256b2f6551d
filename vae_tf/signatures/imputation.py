"""`impute(image, mask, seed)`: the mean of the missing pixels given the observed ones.

Chains of pseudo-Gibbs sampling (Rezende et al. 2014, appendix F) first bring the missing pixels
in line with the observed ones: z ~ q(z|x), then the missing pixels from p(x|z), as its mean plus
its standard deviation times noise, which no runtime rounds to another picture. Then draws of
q(z|x) at the ends of the chains are weighted by p(x_observed|z) p(z) / q(z), q the mixture over
the chains, so that the mean of the missing pixels is that of p(x_missing|x_observed) in the limit
of many draws (Mattei and Frellsen 2019, equation 12), wherever the chains ended.
"""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.signatures import row_rng, rows
from vae_tf.signatures.densities import Both, Densities, chunks_of, repeated
from vae_tf.signatures.endpoint import Endpoint, Input, Words
from vae_tf.signatures.halves import Halves
from vae_tf.signatures.weighing import over

ROUNDS = 10
SHARE = 4  # one draw in so many is the prior's, for images of which little is known
MASK: Words = ("1 where the image is known, 0 where it is not; nothing else", "0 or 1")
WORDS: dict[str, Words] = {
    "image": ("the known pixels, and the mean of the others given them", "intensity")
}
NO_ELEMENTS = "p(x|z) gives no density of single elements, so none can be left out."
CLASSES = "Classes have no mean."


def lacking(halves: Halves) -> str | None:
    """Returns in a sentence why there is no `impute`, or None."""
    taken, likelihood = halves.condition("decoder"), halves.parts.likelihood
    params = halves.decode(tf.zeros([1, halves.latent]), taken.value(taken.example(1)))
    statistics = likelihood.statistics(params)
    if any(name.endswith("probabilities") for name in statistics):
        return CLASSES
    x = tf.cast(statistics["image"], tf.float32)
    elements = likelihood.elements(params, x)
    return NO_ELEMENTS if elements is None or elements.shape != x.shape else None


def impute_endpoint(halves: Halves, prior: Both, num_samples: int) -> Endpoint:
    """Returns `impute(image, mask, seed [B]) -> {image}`; what is masked out does not matter.

    Args:
        halves: the model.
        prior: its densities.
        num_samples: K.
    """
    taken = halves.condition()

    def of(densities: Densities) -> Callable[..., dict[str, tf.Tensor]]:
        def impute(
            image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, *given: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            x, known, fit = observed(halves, image, mask)
            condition = taken.value(given)
            mean = _impute(halves, densities, x, known, condition, seed, num_samples)
            return rows.spoilt({"image": tf.where(known, x, mean)}, taken.also(fit, given))

        return impute

    seed = Input("seed", "int32")
    inputs = halves.image(scored=True), mask_input(halves.shape), seed, *taken.inputs
    return Endpoint(
        *("impute", "vae", inputs, frozenset({"image"}), of(prior[0])),
        of(prior[1]),
        litert=False,
        words=WORDS,
        stepwise=False,
    )


def _impute(
    halves: Halves,
    densities: Densities,
    x: tf.Tensor,
    known: tf.Tensor,
    condition: Any,
    seed: tf.Tensor,
    num_samples: int,
) -> tf.Tensor:
    """Returns the mean of each element given those that are `known`, [B, *shape]."""
    chains, size = chunks_of(num_samples), math.prod(halves.shape)
    chunks = num_samples // chains
    turns = 1 + 2 * ROUNDS + chunks
    seeds = tf.reshape(row_rng.seeds(seed, turns * chains), [-1, turns, chains])
    several, theirs, given = repeated((x, known, condition), chains)
    parts = halves.parts

    def seeds_of(turn: tf.Tensor) -> tf.Tensor:
        return tf.reshape(seeds[:, turn], [-1])

    def guess(z: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
        noise = tf.reshape(row_rng.normals(seeds_of(turn), size), tf.shape(several))
        return tf.where(theirs, several, _guess(halves, halves.decode(z, given), noise))

    def step(turn: tf.Tensor, filled: tf.Tensor) -> tuple[tf.Tensor, ...]:
        z = halves.draw(halves.encode(filled, given), seeds_of(2 * turn + 1))
        return turn + 1, guess(z, 2 * turn + 2)

    start = several
    if densities.draw:
        start = guess(densities.draw(seeds_of(0), given), 0)
    _, filled = over(ROUNDS, step, start)
    params = halves.encode(filled, given)
    of_chains = parts.posterior.distribution(_of_all_chains(params, chains))
    from_prior = chunks // SHARE if densities.draw else 0

    def weigh(turn: tf.Tensor, largest, total, sums) -> tuple[tf.Tensor, ...]:
        own_seeds = seeds_of(1 + 2 * ROUNDS + turn)
        z = halves.draw(params, own_seeds)
        if from_prior and densities.draw:
            z = tf.where(turn < from_prior, densities.draw(own_seeds, given), z)
        outputs = halves.decode(z, given)
        log_px = parts.likelihood.log_prob(outputs, several, theirs)
        log_pz = densities.log_prob(z, given)
        # Every draw under every chain of its row, [B * draw, chain]
        pairs = tf.reshape(of_chains.log_prob(tf.repeat(z, chains, 0)), [-1, chains])
        log_qz = tf.reduce_logsumexp(pairs, -1) - math.log(chains)
        if from_prior:
            share = from_prior / chunks
            both = tf.stack([log_pz + math.log(share), log_qz + math.log1p(-share)])
            log_qz = tf.reduce_logsumexp(both, 0)
        log_w = tf.reshape(log_px + log_pz - log_qz, [-1, chains])
        image = tf.cast(halves.parts.likelihood.statistics(outputs)["image"], tf.float32)
        new = tf.maximum(largest, tf.reduce_max(log_w, -1))
        weights, old = tf.exp(log_w - new[:, tf.newaxis]), tf.exp(largest - new)
        weighted = tf.einsum("bk,bkd->bd", weights, tf.reshape(image, [-1, chains, size]))
        sums = sums * old[:, tf.newaxis] + weighted
        return turn + 1, new, total * old + tf.reduce_sum(weights, -1), sums

    zeros = tf.zeros_like(seed, tf.float32)
    sums = tf.zeros_like(tf.reshape(x, [-1, size]))
    _, _, total, sums = over(chunks, weigh, zeros - math.inf, zeros, sums)
    return tf.reshape(sums / total[:, tf.newaxis], tf.shape(x))


def _guess(halves: Halves, outputs: Any, noise: tf.Tensor) -> tf.Tensor:
    """Returns a value of x for the decoder's outputs, as spread as p(x|z) where that is known."""
    low, high, _ = halves.limits
    guess = tf.cast(halves.parts.likelihood.statistics(outputs)["image"], tf.float32)
    with contextlib.suppress(NotImplementedError):  # TFP's word for what it does not know
        guess += noise * halves.parts.likelihood.distribution(outputs).stddev()
    if halves.preprocessing.value_range is not None:
        bounds = halves.preprocessing.value_range
        low, high = np.maximum(low, bounds[0]), np.minimum(high, bounds[1])
    return tf.clip_by_value(guess, low.astype("float32"), high.astype("float32"))


def _of_all_chains(params: Any, chains: int) -> Any:
    """Returns for each chain's parameters [B * chains, ...] those of all its row's chains.

    They are [B * chains * chains, ...], the row's own chains in turn for each of its chains.
    """

    def of(t: tf.Tensor) -> tf.Tensor:
        grouped = tf.reshape(t, [-1, chains, *t.shape[1:]])
        return tf.reshape(tf.repeat(grouped, chains, 0), [-1, *t.shape[1:]])

    return tf.nest.map_structure(of, params)


def mask_input(shape: tuple[int, ...]) -> Input:
    """Returns the input that says which elements are known."""
    return Input("mask", "float32", shape, words=MASK, bounds=(0.0, 1.0), whole=True)


def observed(
    halves: Halves, image: tf.Tensor, mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns x, where it is known, both [B, *shape], and which rows can be answered, [B].

    What is not known is a value that data may have, for networks and densities to take.
    """
    low, high, _ = halves.limits
    if halves.preprocessing.value_range is not None:
        low = np.maximum(low, halves.preprocessing.value_range[0])
    neutral, known = np.clip(np.zeros(halves.shape), low, high).astype("float32"), mask == 1.0
    x = tf.where(known, halves.preprocessing.values(image), neutral)
    axes = list(range(1, mask.shape.rank))
    fit = tf.reduce_all(known | (mask == 0.0), axes) & halves.fit(x)
    return tf.where(tf.math.is_finite(x), x, neutral), known, fit
