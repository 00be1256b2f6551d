"""log p(x) by importance sampling from the posterior (Burda et al. 2016, equation 8)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from vae_tf.checks import instance, whole
from vae_tf.data.batch import Batch
from vae_tf.densities import Density
from vae_tf.errors import DataError
from vae_tf.evaluation.half_precision import wants_bfloat16
from vae_tf.evaluation.over_classes import over_classes
from vae_tf.evaluation.partial import Estimates, Partial, weights_digest
from vae_tf.evaluation.weights import Weights
from vae_tf.models import VAE

# Nats that bfloat16 may shift the mean of the estimates by, and the draws of each example that
# tell so
TOLERANCE = 0.01
CHECKED = 16


@dataclass(frozen=True)
class LogLikelihood:
    """Estimates of log p(x) for each example, in nats.

    In expectation each is a lower bound of log p(x), tighter with every sample.

    Attributes:
        per_example: log (1/K) sum_k w_k, [N].
        monte_carlo_variance: variance of each estimate by the delta method, [N]; NaN for one
            sample.
        num_samples: K.
        precision: "bfloat16" if at least one batch was decoded in it, else "float32".
        precision_error: shift of the mean over the batches in bfloat16, in nats, measured at the
            first draws of each; 0.0 for float32.

    Example:
        >>> estimate = vae_tf.evaluation.LogLikelihood(
        ...     per_example=np.array([-90.0, -100.0]),
        ...     monte_carlo_variance=np.array([0.02, 0.02]),
        ...     num_samples=5000,
        ... )
        >>> estimate.mean, round(estimate.stderr, 3), round(estimate.monte_carlo_stderr, 3)
        (-95.0, 5.0, 0.1)
    """

    per_example: np.ndarray
    monte_carlo_variance: np.ndarray
    num_samples: int
    precision: str = "float32"
    precision_error: float = 0.0

    @property
    def mean(self) -> float:
        """The mean over the examples."""
        return float(np.mean(self.per_example))

    @property
    def nll(self) -> float:
        """The negative of `mean`."""
        return -self.mean

    @property
    def stderr(self) -> float:
        """Standard error of `mean` over test sets of this size: std / sqrt(N)."""
        n = len(self.per_example)
        return float(np.std(self.per_example, ddof=1) / math.sqrt(n)) if n > 1 else math.nan

    @property
    def monte_carlo_stderr(self) -> float:
        """Standard error of `mean` over draws of z for this test set."""
        n = len(self.per_example)
        return float(math.sqrt(np.sum(self.monte_carlo_variance)) / n)

    @property
    def effective_samples(self) -> np.ndarray:
        """Effective number of samples of each example, (sum w)^2 / sum w^2, [N].

        If it is near 1, one draw outweighs all others, and the estimate is too low by an unknown
        amount. It is NaN for one sample.
        """
        return 1 / (self.monte_carlo_variance + 1 / self.num_samples)


def log_likelihood(
    vae: VAE | Density,
    data,
    num_samples: int = 5000,
    *,
    batch_size: int = 128,
    seed: int = 0,
    precision: str = "float32",
    checkpoint: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> LogLikelihood:
    """Returns importance-weighted estimates of log p(x) in nats, one for each example of `data`.

    The encoder runs once for each batch. Samples are decoded in chunks that fit the cache, and
    their weights are summed in float64 as they come, so that memory does not grow with
    `num_samples`. The draws belong to the examples, numbered in the order of the data, so that the
    estimates do not depend on the batches.

    In bfloat16 the decoder is faster on CPUs with instructions for it. Its error is measured at a
    few draws of each batch, which are decoded in both precisions. If it shifts the mean over the
    examples so far by more than 0.01 nats, or if the decoder does not run in bfloat16, the batch is
    decoded in float32.

    For a semi-supervised model, log p(x) = log sum_y p(y) p(x|y) is estimated by K draws for each
    class, and log p(x, y) where the data have a label. For a conditional model the estimates are of
    log p(x|c).

    Args:
        vae: a trained model, or an explicit density, whose log p(x) is exact.
        data: examples in any form that `fit` takes; a stream must end. Masks and conditions are
            used, weights are not.
        num_samples: K, draws z ~ q(z|x) for each example.
        batch_size: examples at a time, for arrays.
        seed: seed of the draws; the same seed and data give the same numbers.
        precision: precision of the decoder: "float32"; "bfloat16", checked as described; or "auto",
            which is bfloat16 on a CPU with instructions for it and float32 elsewhere.
        checkpoint: an `.npz` file that keeps each finished batch. If it exists already, its batches
            are not computed again, and the numbers are those of an uninterrupted run. The file
            stays at the end.
        progress: called after each batch with the number of examples done.

    Raises:
        DataError: there are no data, or the likelihood has no density for some, such as a Bernoulli
            for grey values.
        ConfigError: `num_samples` below 1, or an unknown `precision`.
        RunError: the checkpoint is damaged, or belongs to another model, other data or other
            settings.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> for network in (encoder, decoder):  # q(z|x) = N(0, I), p(x|z) = 2^-8
        ...     network.set_weights([0 * weight for weight in network.get_weights()])
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> estimate = vae_tf.log_likelihood(vae, np.eye(8), num_samples=10)
        >>> round(estimate.mean, 3)  # -8 ln 2
        -5.545
    """
    if isinstance(vae, Density):
        exact = vae.log_prob(data)
        return LogLikelihood(exact, np.zeros(len(exact)), 1)
    instance("vae", vae, VAE)
    num_samples = whole("num_samples", num_samples, fix="Pass num_samples=5000 to publish.")
    batch_size = whole("batch_size", batch_size)
    bfloat16 = wants_bfloat16(precision)
    identity = {
        "draws": "by example",  # before, they depended on the batches
        "num_samples": num_samples,
        "seed": seed,
        "precision": "bfloat16" if bfloat16 else "float32",
    }
    if checkpoint is not None:
        identity["weights"] = weights_digest(vae)
    partial, done = Partial(checkpoint, identity), 0
    estimator = Estimator(vae, num_samples, seed, bfloat16)
    for index, given in enumerate(vae.door.batches(data, batch_size, "evaluation")):
        vae.door.look(given, "evaluation", strict=True)
        label = None if vae.parts.classifier is None else given.label
        batch = Batch(given.x, given.mask, given.condition, label).tensors()
        if not partial.done(index, batch):
            partial.add(batch, estimator.estimate(batch, done, partial.joined().shift))
        done += len(batch.x)
        if progress:
            progress(done)
    if not done:
        fix = "Check the split and any filter."
        raise DataError("The evaluation data must hold examples", "an empty dataset", fix)
    estimate, variance, shift, in_bfloat16 = partial.joined()
    if not np.any(in_bfloat16):
        return LogLikelihood(estimate, variance, num_samples)
    error = float(np.mean(shift[in_bfloat16]))
    return LogLikelihood(estimate, variance, num_samples, "bfloat16", error)


class Estimator:
    """Estimates of examples, in float32 or, where that is good enough, in bfloat16.

    Args:
        vae: a model.
        num_samples: K.
        seed: seed of the draws.
        bfloat16: whether it is wanted.
    """

    def __init__(self, vae: VAE, num_samples: int, seed: int, bfloat16: bool):
        self.num_samples, self.seed = num_samples, seed
        self.classifier = vae.parts.classifier
        self.weights, self.checked = Weights(vae, num_samples), Weights(vae, CHECKED)
        # With few draws a check would cost what it saves
        self.bfloat16 = bfloat16 and num_samples >= 4 * CHECKED

    def estimate(self, batch: Batch, first: int, shifts: np.ndarray) -> Estimates:
        """Returns what is known of the examples of a batch after all draws.

        Args:
            batch: tensors.
            first: number of the first example in the data.
            shifts: what bfloat16 adds to the estimates of the examples before.
        """
        if self.classifier is not None and batch.condition is None:
            first *= self.classifier.copies
            by_class = self.estimate(self.classifier.examples(batch), first, shifts)
            return over_classes(by_class, self.classifier.log_prior(batch).numpy())
        size = len(batch.x)
        shift, accepted = np.full(size, np.nan), False
        if self.bfloat16:
            shift = self._shift(batch, first)
            measured: np.ndarray = np.append(shifts[~np.isnan(shifts)], shift)
            accepted = bool(abs(np.mean(measured)) <= TOLERANCE)  # NaN: no
        sums = self.weights.sums(batch, tf.constant([self.seed, 0]), first, accepted)
        log_sum, log_sum_of_squares = (part.numpy() for part in sums)
        # Var[log mean w] = Var[w] / (K mean(w)^2) = sum(w^2) / sum(w)^2 - 1/K
        ratio, total = np.exp(log_sum_of_squares - 2 * log_sum), self.num_samples
        single = total == 1  # one draw tells nothing of its spread
        variance = np.maximum(ratio - 1 / total, np.nan if single else 0.0)
        return Estimates(log_sum - math.log(total), variance, shift, np.full(size, accepted))

    def _shift(self, batch: Batch, first: int) -> np.ndarray:
        """Returns what bfloat16 adds to log sum w of draws apart, [B]; infinity if it fails."""
        seed = tf.constant([self.seed, 1])
        try:
            half = self.checked.sums(batch, seed, first, bfloat16=True)
        except (TypeError, ValueError, tf.errors.OpError):  # a user's layer of float32 alone
            return np.full(len(batch.x), np.inf)
        return (half.log_sum - self.checked.sums(batch, seed, first).log_sum).numpy()
