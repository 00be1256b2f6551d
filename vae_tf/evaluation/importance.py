"""log p(x) by importance sampling from the posterior (Burda et al. 2016, equation 8)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_tf.checks import instance, whole
from vae_tf.errors import DataError
from vae_tf.models import VAE, inputs
from vae_tf.models.shapes import check_event
from vae_tf.objectives import log_importance_weights

# Decoder outputs held at a time, in rows: enough to fill the cores, little enough for memory.
ROWS = 2048


@dataclass(frozen=True)
class LogLikelihood:
    """Estimates of log p(x), in nats.

    In expectation each is a lower bound of the true value, tighter with every sample.

    Attributes:
        per_example: log (1/K) sum_k w_k, [N].
        monte_carlo_variance: of each of them, by the delta method, [N]; NaN for one sample.
        num_samples: K.
    """

    per_example: np.ndarray
    monte_carlo_variance: np.ndarray
    num_samples: int

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
        """How far `mean` would move with another test set of this size: std / sqrt(N)."""
        n = len(self.per_example)
        return float(np.std(self.per_example, ddof=1) / math.sqrt(n)) if n > 1 else math.nan

    @property
    def monte_carlo_stderr(self) -> float:
        """How far `mean` would move with other draws of z for this test set."""
        n = len(self.per_example)
        return float(math.sqrt(np.sum(self.monte_carlo_variance)) / n)


def log_likelihood(
    vae: VAE,
    data,
    num_samples: int = 5000,
    *,
    batch_size: int = 128,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> LogLikelihood:
    """Returns importance-weighted estimates of log p(x) for each example of `data`.

    The encoder runs once a batch; samples are decoded in chunks and their weights summed as
    they come, so memory does not grow with `num_samples`.

    Args:
        vae: a trained model.
        data: an array [N, *event], or a finite `tf.data.Dataset` of x, (x,), (x, y) ...; every
            example counts once, weights are not used.
        num_samples: K, draws z ~ q(z|x) for each example.
        batch_size: examples at a time, for arrays.
        seed: of the draws; the same seed gives the same numbers.
        progress: called after each batch with the number of examples done.

    Raises:
        DataError: no data, or data the likelihood gives no density (grey values, Bernoulli).
        ConfigError: `num_samples` below 1.
    """
    instance("vae", vae, VAE)
    num_samples = whole("num_samples", num_samples, fix="Pass num_samples=5000 to publish.")
    batch_size = whole("batch_size", batch_size)
    estimates, variances, done = [], [], 0
    accumulate = _accumulator(vae)
    for index, x in enumerate(_batches(data, batch_size)):
        inputs.check(x.numpy(), vae.event_shape, vae.likelihood, "evaluation", strict=True)
        if not index:
            check_event(vae.decode(tf.zeros([1, vae.prior.latent_dim])), x)
        params = vae.encoder(x, training=False)
        state = (tf.fill([len(x)], -math.inf),) * 2
        for chunk, size in enumerate(_chunks(num_samples, max(1, ROWS // len(x)))):
            key = tf.random.experimental.stateless_fold_in([seed, index], chunk)
            state = accumulate(x, params, state, tf.constant(size), key)
        log_sum, log_sum_of_squares = (part.numpy().astype("float64") for part in state)
        estimates.append(log_sum - math.log(num_samples))
        # Var[log mean w] = Var[w] / (K mean(w)^2) = sum(w^2) / sum(w)^2 - 1/K
        ratio = np.exp(log_sum_of_squares - 2 * log_sum)
        single = num_samples == 1  # one draw tells nothing of its spread
        variances.append(np.maximum(ratio - 1 / num_samples, np.nan if single else 0.0))
        done += len(x)
        if progress:
            progress(done)
    if not estimates:
        fix = "Check the split and any filter."
        raise DataError("The evaluation data must hold examples", "an empty dataset", fix)
    return LogLikelihood(np.concatenate(estimates), np.concatenate(variances), num_samples)


def _accumulator(vae: VAE):
    """Returns a compiled (x, params, (log sum w, log sum w^2), K, key) -> the sums with K more."""

    @tf.function(reduce_retracing=True)
    def accumulate(x, params, state, num_samples, key):
        pz = vae.prior.distribution()
        qz = vae.posterior.distribution(params)
        z = qz.sample(num_samples, seed=key)  # [K, B, L]
        rows = tf.reshape(z, [-1, z.shape[-1]])
        px = vae.decode(rows)  # batch [K * B]
        repeated = tf.tile(x, [num_samples] + [1] * (x.shape.rank - 1))
        log_px = tf.reshape(px.log_prob(repeated), [num_samples, -1])
        log_w = log_importance_weights(log_px, z, qz, pz)
        new = (tf.reduce_logsumexp(log_w, 0), tf.reduce_logsumexp(2 * log_w, 0))
        return tuple(_log_add_exp(a, b) for a, b in zip(state, new, strict=True))

    return accumulate


def _log_add_exp(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_logsumexp(tf.stack([a, b]), 0)


def _chunks(total: int, size: int) -> Iterator[int]:
    for start in range(0, total, size):
        yield min(size, total - start)


def _batches(data, batch_size: int) -> Iterator[tf.Tensor]:
    if not isinstance(data, tf.data.Dataset):
        x = data[0] if isinstance(data, tuple) else data
        data = tf.data.Dataset.from_tensor_slices(np.asarray(x)).batch(batch_size)
    for batch in data:
        yield tf.cast(inputs.unpack(batch)[0], tf.float32)
