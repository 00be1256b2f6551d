"""What is missing, given what was observed: means, draws, intervals of x_missing|x_observed."""

import warnings
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_tf import noise
from vae_tf.checks import real
from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError
from vae_tf.models.generator import Generator
from vae_tf.models.weighing import Average, statistics_of

METHODS = ("importance", "gibbs")
FEW = 10  # effective draws, on which nothing should rest
# What a seed is used for, beside the draws of z that `log_likelihood` has as well
CHOICE, VALUES, CHAINS = 2, 3, 4


@dataclass(frozen=True)
class Imputation:
    """Examples completed; what was observed stands in them as it was given.

    Attributes:
        x: single imputation, [N, *event]: E[x|x_observed], or the most probable class.
        mask: bool [N, *event], True where x was observed.
        draws: multiple imputation, x ~ p(x|x_observed), [M, N, *event]; None if none were asked
            for.
        effective_sample_size: (sum w)^2 / sum w^2 of each example's importance weights, [N]: how
            many draws of the true posterior its draws are worth. NaN for Gibbs sampling, which
            has no weights.
    """

    x: np.ndarray
    mask: np.ndarray
    draws: np.ndarray | None
    effective_sample_size: np.ndarray

    def interval(self, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Returns both ends, [N, *event] each, between which each element lies with such odds.

        They are quantiles of the draws, which leave out as much below as above. Ends of elements
        that were observed are their values.

        Args:
            level: the probability, between 0 and 1.

        Raises:
            ConfigError: another `level`, or no draws.
        """
        level = real("level", level, positive=True)
        if level >= 1:
            raise ConfigError("`level` must be below 1", level, "Pass level=0.9.")
        if self.draws is None or len(self.draws) < 2:
            fix = "Call impute(..., num_imputations=100)."
            raise ConfigError("Intervals need draws", "no num_imputations", fix)
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return np.where(self.mask, self.x, low), np.where(self.mask, self.x, high)


class Imputer:
    """Fills gaps in the batches of some data, one after the other.

    Args:
        generator: a model's compiled functions.
        event_shape: of one example.
        num_samples: K, importance draws of each example, or rounds of each chain.
        num_imputations: M.
        method: one of METHODS.
        seed: of all draws.

    Raises:
        ConfigError: an unknown method, or a decoder that sees the data.
    """

    def __init__(
        self, generator: Generator, event_shape, num_samples, num_imputations, method, seed
    ):
        self.generator, self.parts = generator, generator.parts
        if method not in METHODS:
            raise ConfigError("`method` must be importance or gibbs", repr(method), "Pass one.")
        if {"x", "mask"} & set(self.parts.decoder_wiring.names):
            fix = "Use a decoder of z and of the condition alone."
            raise ConfigError(
                "Imputation needs a decoder that does not see x", "one that does", fix
            )
        self.event_shape = tuple(event_shape)
        self.num_samples, self.num_imputations = num_samples, num_imputations
        self.method, self.seed = method, seed
        self.weighing = generator.weighing

    def imputed(self, given: Batch, observed: np.ndarray, first: int) -> Imputation:
        """Returns the examples of a batch, completed.

        Args:
            given: arrays, looked at.
            observed: bool [B, *event].
            first: number of the first example among all.
        """
        batch = Batch(given.x, given.mask, given.condition).tensors()
        if self.method == "gibbs":
            x, draws, size = self._by_gibbs(batch, observed, first)
        else:
            average = self.weighing.means(batch, self.num_samples, self.seed, first)
            x = np.asarray(self.parts.likelihood.point(average.value))
            size = effective_sample_size(average.log_w)
            draws = self._resampled(batch, average, first) if self.num_imputations else None
        original = np.asarray(given.x)
        kind = np.result_type(original.dtype, "float32")

        def completed(values):
            return np.where(observed, original, values.astype(kind)).astype(kind)

        return Imputation(
            completed(x), observed, draws if draws is None else completed(draws), size
        )

    def _resampled(self, batch: Batch, average: Average, first: int) -> np.ndarray:
        """Returns x ~ p(x|z) for z chosen among the draws by their weights, [M, B, *event]."""
        times, rows = self.num_imputations, len(batch.x)
        chosen = resampled(average.log_w, times, self._key(CHOICE), first)  # [M, B]
        z = average.z[chosen, np.arange(rows)]  # [M, B, L]
        z = np.swapaxes(z, 0, 1).reshape(rows * times, -1)  # draws of an example together
        flat = _repeated(Batch(z, condition=batch.condition), times)
        draw = _compiled_draw(self.generator, self.event_shape)

        def some(part: slice):
            position = tf.constant(first * times + part.start, tf.int64)
            return draw(z[part], flat.rows(part), self._key(VALUES), position).numpy()

        x = np.concatenate([some(part) for part in self._slices(batch, rows * times)])
        return np.swapaxes(x.reshape(rows, times, *self.event_shape), 0, 1)

    def _by_gibbs(self, batch: Batch, observed: np.ndarray, first: int):
        """Returns means and draws of chains z ~ q(z|x), x_missing ~ p(x|z), and NaN for sizes."""
        times, rows = max(1, self.num_imputations), len(batch.x)
        flat = _repeated(batch._replace(mask=tf.constant(observed, tf.float32)), times)
        run = _compiled_chains(self.generator, self.event_shape)
        rounds, found = tf.constant(self.num_samples), []
        for part in self._slices(batch, rows * times):
            position = tf.constant(first * times + part.start, tf.int64)
            found.append(run(flat.rows(part), self._key(CHAINS), position, rounds))
        x, statistics = tf.nest.map_structure(lambda *pieces: tf.concat(pieces, 0), *found)

        def by_example(value):
            return tf.reshape(value, [rows, times, *value.shape[1:]])

        means = tf.nest.map_structure(lambda v: tf.reduce_mean(by_example(v), 1), statistics)
        draws = np.swapaxes(by_example(x).numpy(), 0, 1) if self.num_imputations else None
        return np.asarray(self.parts.likelihood.point(means)), draws, np.full(rows, np.nan)

    def _slices(self, batch: Batch, rows: int) -> list[slice]:
        step = self.weighing.rows(batch)
        return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]

    def _key(self, use: int) -> tf.Tensor:
        return tf.constant([self.seed, use], tf.int32)


def effective_sample_size(log_w: np.ndarray) -> np.ndarray:
    """Returns (sum w)^2 / sum w^2 of log weights [K, B], [B] (Kong 1992)."""
    w = np.exp(log_w.astype("float64") - log_w.max(0))
    return np.square(w.sum(0)) / np.square(w).sum(0)


def resampled(log_w: np.ndarray, times: int, seed: tf.Tensor, first: int) -> np.ndarray:
    """Returns which draws are chosen, each with odds as its weight, [times, B] (Rubin 1987).

    Args:
        log_w: [K, B].
        times: choices for each example.
        seed: int32 [2].
        first: number of the first example among all.
    """
    u = noise.uniforms(seed, tf.constant(first, tf.int64), log_w.shape[1], times).numpy()
    cumulative = np.cumsum(np.exp(log_w.astype("float64") - log_w.max(0)), 0)
    ends = u.T * cumulative[-1]  # [times, B]
    columns = zip(cumulative.T, ends.T, strict=True)
    return np.stack([np.searchsorted(weights, end, "right") for weights, end in columns], 1)


def warn_of_few(sizes: np.ndarray, num_samples: int) -> None:
    """Warns where importance weights leave too few effective draws.

    Args:
        sizes: effective sample sizes of examples of which something is missing.
        num_samples: K.
    """
    least = min(FEW, num_samples / 2)
    few = sizes < least
    if few.any():
        warnings.warn(
            f"Of {len(sizes)} incomplete examples {few.sum()} rest on fewer than {least:g} of "
            f"{num_samples} draws, the worst on {sizes.min():.1f}: pass a larger num_samples or "
            'method="gibbs", or train the model on data with such gaps.',
            stacklevel=3,
        )


def _repeated(batch: Batch, times: int) -> Batch:
    """Returns each example so many times, one after the other; `x` only where there is a mask."""
    x = batch.x if batch.mask is None else tf.repeat(batch.x, times, 0)
    others = (batch.mask, batch.condition)
    mask, condition = tf.nest.map_structure(
        lambda value: None if value is None else tf.repeat(value, times, 0), others
    )
    return Batch(x, mask, condition)


def _compiled_draw(generator: Generator, event_shape):
    """Returns a function of z [R, L], a Batch, a seed and a position to x ~ p(x|z)."""
    parts = generator.parts

    def draw(z, batch: Batch, seed, position):
        outputs = parts.decoded(z, batch)
        return parts.likelihood.drawn(outputs, event_shape, seed, position)

    return generator.kept(f"draw {event_shape}", draw)


def _compiled_chains(generator: Generator, event_shape):
    """Returns a function of a Batch, a seed, a position and rounds: chains of pseudo-Gibbs.

    Rezende et al. 2014, appendix F. It returns x at their ends, and the likelihood's statistics,
    of which the mean is taken over the second half of the rounds.
    """
    parts, latent_dim = generator.parts, generator.parts.prior.latent_dim

    def values(params, batch: Batch, seed, turn, position):
        own = seed + tf.stack([0, 2 * turn])
        _, z = parts.posterior.drawn(params, 1, latent_dim, own, position)
        outputs = parts.decoded(z[0], batch)
        x = parts.likelihood.drawn(outputs, event_shape, own + tf.constant([0, 1]), position)
        known = tf.cast(batch.mask, tf.bool)
        return tf.where(known, batch.x, x), statistics_of(parts, outputs)

    def chains(batch: Batch, seed, position, rounds):
        start = values(parts.encoded(batch), batch, seed, 0, position)

        def step(turn, x, total):
            params = parts.encoded(Batch(x, None, batch.condition))
            x, statistics = values(params, batch, seed, turn, position)
            counts = tf.cast(turn > rounds // 2, tf.float32)
            add = lambda old, new: old + counts * new  # noqa: E731
            return turn + 1, x, tf.nest.map_structure(add, total, statistics)

        zeros = tf.nest.map_structure(tf.zeros_like, start[1])
        _, x, total = tf.while_loop(
            lambda turn, *_: turn <= rounds, step, (1, start[0], zeros), parallel_iterations=1
        )
        counted = tf.cast(rounds - rounds // 2, tf.float32)
        return x, tf.nest.map_structure(lambda value: value / counted, total)

    return generator.kept(f"chains {event_shape}", chains)
