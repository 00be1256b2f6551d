"""`reconstruct(image)` and `score(image, seed)`: what needs both halves.

`score` is the evidence lower bound and the importance-weighted estimate of log p(x) (Burda et al.
2016, equation 8) of each image, from the same K draws of q(z|x). Where the model learned from
binary draws of grey images, what is scored is one such draw, made of the seed; 0 and 1 stay.
Grey values that a Bernoulli was given as they are have no probability: then `nll` bounds the
mean nll of their draws from above, since it is convex in x.
"""

import math

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.data.batch import Batch
from vae_tf.models.parts import Parts
from vae_tf.signatures import row_rng, rows
from vae_tf.signatures.densities import Both, Densities
from vae_tf.signatures.endpoint import Endpoint, Input, Words
from vae_tf.signatures.halves import Halves
from vae_tf.signatures.weighing import draws, over

NATS = "nats"
SCORE: dict[str, Words] = {
    "elbo": ("-(reconstruction + kl), the evidence lower bound", NATS),
    "nll": ("-log p(x), importance-weighted; an upper bound in expectation", NATS),
    "reconstruction": ("-log p(x|z), mean over the draws", NATS),
    "kl": ("KL(q(z|x) || p(z)), in closed form or a mean over the draws", NATS),
    "bits_per_dim": ("nll / (D ln 2), D numbers an example", "bits"),
}
DENSITY = "p(x|z) is a density, whose nll depends on the unit of x: there is no bits_per_dim."


def reconstruct_endpoint(halves: Halves) -> Endpoint:
    """Returns `reconstruct(image) -> {image, ...}`: what `decode` makes of one z for q(z|x)."""
    taken = halves.condition("encoder", "decoder")

    def reconstruct(image: tf.Tensor, *given: tf.Tensor) -> dict[str, tf.Tensor]:
        x, condition = halves.preprocessing.values(image), taken.value(given)
        z = halves.parts.point(halves.batch(x, condition))
        statistics = halves.parts.likelihood.statistics(halves.decode(z, condition))
        outputs = {name: tf.cast(value, tf.float32) for name, value in statistics.items()}
        return rows.spoilt(outputs, taken.also(halves.preprocessing.fit(x), given))

    inputs = halves.image(), *taken.inputs
    return Endpoint("reconstruct", "vae", inputs, frozenset({"image"}), reconstruct, litert=False)


def score_endpoint(halves: Halves, prior: Both, num_samples: int) -> Endpoint:
    """Returns `score(image, seed [B]) -> {elbo, nll, reconstruction, kl, ...}`, each [B].

    Args:
        halves: the model.
        prior: its densities.
        num_samples: K.
    """
    preprocessing, taken = halves.preprocessing, halves.condition()

    def scored(densities: Densities):
        def score(image: tf.Tensor, seed: tf.Tensor, *given: tf.Tensor) -> dict[str, tf.Tensor]:
            x = preprocessing.values(image)
            x = x if preprocessing.binarization == "none" else drawn(x, seed)
            fit = taken.also(halves.fit(x), given)
            batch = halves.batch(x, taken.value(given))
            return rows.spoilt(_score(halves.parts, densities, batch, seed, num_samples), fit)

        return score

    image = halves.image(scored=True)
    required = frozenset({"elbo", "nll", "reconstruction", "kl"})
    return Endpoint(
        *("score", "vae", (image, Input("seed", "int32"), *taken.inputs), required),
        scored(prior[0]),
        scored(prior[1]),
        litert=False,
        words=SCORE,
        stepwise=False,
    )


def _score(
    parts: Parts, densities: Densities, batch: Batch, seed: tf.Tensor, num_samples: int
) -> dict[str, tf.Tensor]:
    """Returns the outputs of `score` for a batch of data."""
    several = draws(parts, densities, batch, seed, num_samples)

    def more(turn: tf.Tensor, total: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
        outputs, *others = several.at(turn)
        log_px = parts.likelihood.distribution(outputs).log_prob(several.targets.x)
        terms = [tf.reshape(term, [-1, several.size]) for term in (log_px, *others)]
        log_px, log_pz, log_qz = terms
        log_w = tf.concat([total[:, tf.newaxis], log_px + log_pz - log_qz], 1)
        new = (old + tf.reduce_sum(term, 1) for old, term in zip(sums, terms, strict=True))
        return turn + 1, tf.reduce_logsumexp(log_w, 1), *new

    zeros = tf.zeros_like(seed, tf.float32)
    _, total, *sums = over(several.turns, more, zeros - math.inf, zeros, zeros, zeros)
    log_px, log_pz, log_qz = (value / num_samples for value in sums)
    nll = math.log(num_samples) - total
    if densities.kl:
        kl = densities.kl(several.params, batch.condition)
    else:
        kl = _negative_entropy(parts.posterior.distribution(several.params), log_qz) - log_pz
    outputs = {"elbo": log_px - kl, "nll": nll, "reconstruction": -log_px, "kl": kl}
    if parts.likelihood.discrete:
        outputs["bits_per_dim"] = nll / (math.prod(batch.x.shape[1:]) * math.log(2))
    return outputs


def _negative_entropy(qz: tfd.Distribution, log_qz: tf.Tensor) -> tf.Tensor:
    """Returns -H(q(z|x)), [B], in closed form or by the draw that was made."""
    try:
        return -qz.entropy()
    except NotImplementedError:  # TFP's word for it
        return log_qz


def drawn(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns one draw of Bernoulli(x) of each row's own seed; 0 and 1 stay, the rest too."""
    uniform = tf.reshape(row_rng.uniforms(seed, math.prod(x.shape[1:])), tf.shape(x))
    return tf.where((x >= 0) & (x <= 1), tf.cast(uniform < x, tf.float32), x)
