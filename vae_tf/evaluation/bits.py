"""Bits per dimension: how long a code for the data the model makes."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_tf import noise
from vae_tf.checks import instance
from vae_tf.data.batch import Batch, as_array
from vae_tf.densities import Density
from vae_tf.distributions.likelihoods.grid import Grid
from vae_tf.distributions.likelihoods.mixed import Mixed
from vae_tf.errors import ConfigError
from vae_tf.evaluation.importance import log_likelihood
from vae_tf.models import VAE
from vae_tf.models.inputs import data_of, is_stream


@dataclass(frozen=True)
class BitsPerDimension:
    """An estimate of the mean code length, in bits for each number of an example.

    Attributes:
        value: the estimate. In expectation it is an upper bound, tighter with every sample.
        stderr: standard error over test sets of this size.
        monte_carlo_stderr: standard error over draws of z.
        meaning: a description of the quantity.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> grey = rng.integers(256, size=(1000, 2)) / 255
        >>> normal = vae_tf.densities.Normal(vae_tf.data.dequantize(grey))
        >>> bits = vae_tf.bits_per_dimension(normal, grey, levels=256)
        >>> bits.value > 8, bits.monte_carlo_stderr  # random bytes need 8 bits
        (True, 0.0)
    """

    value: float
    stderr: float
    monte_carlo_stderr: float
    meaning: str


def bits_per_dimension(
    vae: VAE | Density,
    data,
    num_samples: int = 5000,
    *,
    levels: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> BitsPerDimension:
    """Returns bits per dimension, nll / (D ln 2), where D numbers of x were observed.

    This needs a probability of x. A density p bounds one for data x = i / (levels - 1): of y = (i +
    u) / levels with u ~ U[0, 1), -log2 p(y) / D + log2(levels) is an upper bound of -log2 P(x) / D
    (Theis, van den Oord and Bethge 2016, section 3.1). The model should have been trained on such
    y, see `vae_tf.data.dequantize`; a model trained on x has not learned p(y).

    Args:
        vae: a trained model, or an explicit density, which needs `levels`.
        data: examples, as `log_likelihood` takes them; with `levels`, before dequantization.
        num_samples: K, draws z ~ q(z|x) for each example.
        levels: number of values that the data can take, 256 for 8-bit images; for densities alone.
        batch_size: examples at a time, for arrays.
        seed: seed of the draws of z and u.
        progress: called after each batch with the number of examples done.

    Raises:
        ConfigError: the likelihood is a density and `levels` is None, is a probability and `levels`
            is given, or mixes densities and probabilities.
        DataError: there are no data, some are off the levels, or for the reasons of
            `log_likelihood`.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> for network in (encoder, decoder):  # q(z|x) = N(0, I), p(x|z) = 2^-8
        ...     network.set_weights([0 * weight for weight in network.get_weights()])
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> bits = vae_tf.bits_per_dimension(vae, np.eye(8), num_samples=10)
        >>> print(f"{bits.value:.3f}")  # a toss of a coin for each number
        1.000
    """
    if isinstance(vae, Density):
        return _of_density(vae, data, levels, seed)
    instance("vae", vae, VAE)
    likelihood = vae.likelihood
    name = type(likelihood).__name__
    if isinstance(likelihood, Mixed) and len({part.discrete for part in likelihood.parts}) == 2:
        raise ConfigError(
            "Bits per dimension need columns that are all probabilities, or all densities",
            ", ".join(f"{type(p).__name__} ({_kind(p.discrete)})" for p in likelihood.parts),
            "Take `log_likelihood`, in nats.",
        )
    if likelihood.discrete and levels is not None:
        fix = "Drop `levels`: it dequantizes data for densities."
        raise ConfigError(f"{name} is a probability already", f"levels={levels}", fix)
    if not likelihood.discrete and levels is None:
        raise ConfigError(
            "Bits per dimension need a probability",
            f"{name}, a density: its value depends on the units of x and may be negative",
            "Pass levels=256 for 8-bit images, having trained on `vae_tf.data.dequantize` of "
            "them, or take `log_likelihood`, in nats.",
        )
    meaning = f"-log2 P(x) / D of a {name}"
    if levels is not None:
        data = _dequantized(vae, data, Grid(levels), batch_size, seed)
        meaning = f"-log2 p(y) / D + log2({levels}) of a {name}, y being x dequantized,"
    counts: list[np.ndarray] = []
    batches = _counted(vae.door.batches(data, batch_size, "evaluation"), counts)
    nats = log_likelihood(vae, batches, num_samples, seed=seed, progress=progress)
    dimensions = np.concatenate(counts)
    # sum(nll) / sum(D), whose error is that of the mean of nll - value * D
    unit = np.mean(dimensions) * math.log(2)
    rest = -nats.per_example + nats.mean / np.mean(dimensions) * dimensions
    n = len(rest)
    return BitsPerDimension(
        value=nats.nll / unit + (0.0 if levels is None else math.log2(levels)),
        stderr=float(np.std(rest, ddof=1) / math.sqrt(n) / unit) if n > 1 else math.nan,
        monte_carlo_stderr=nats.monte_carlo_stderr / unit,
        meaning=f"{meaning} importance-weighted, {nats.num_samples} samples; an upper bound",
    )


def _of_density(density: Density, data, levels: int | None, seed: int) -> BitsPerDimension:
    """Returns the bits of an explicit density of dequantized data."""
    if levels is None:
        fix = "Pass levels=256 for 8-bit images."
        raise ConfigError("Bits per dimension need a probability", "a density", fix)
    grid, x = Grid(levels), np.asarray(data, "float64")
    grid.check(x)
    u = noise.uniforms(tf.constant([seed, 0]), 0, len(x), math.prod(x.shape[1:])).numpy()
    y = (grid.index(tf.constant(x)).numpy() + u.reshape(x.shape)) / grid.levels
    unit = math.prod(x.shape[1:]) * math.log(2)
    nats = log_likelihood(density, y)
    return BitsPerDimension(
        value=nats.nll / unit + math.log2(levels),
        stderr=nats.stderr / unit,
        monte_carlo_stderr=0.0,
        meaning=f"-log2 p(y) / D + log2({levels}) of a {type(density).__name__}, y being x "
        "dequantized; an upper bound",
    )


def _kind(discrete: bool) -> str:
    return "probability" if discrete else "density"


def _dequantized(vae: VAE, data, grid: Grid, batch_size: int, seed: int) -> Iterator[Batch]:
    """Yields batches of `data` with noise that belongs to the example, whatever its batch.

    Raises:
        DataError: data off the grid.
    """
    first = 0
    for batch in _batches(vae, data, batch_size):
        x = as_array(batch.x, "evaluation")
        x = np.where(_observed(batch, x.shape), x, grid.low)
        grid.check(x)
        u = noise.uniforms(tf.constant([seed, 0]), first, len(x), math.prod(x.shape[1:]))
        y = (grid.index(tf.cast(x, tf.float32)) + tf.reshape(u, x.shape)) / grid.levels
        yield batch._replace(x=y.numpy())
        first += len(x)


def _batches(vae: VAE, data, batch_size: int) -> Iterator[Batch]:
    """Yields batches that the model has not looked at: it has no density for such values."""
    if is_stream(data):
        yield from map(vae.door.parse, data_of(data))
        return
    batch = vae.door.parse(data if isinstance(data, (tuple, Mapping, Batch)) else (data,))
    batch = batch._replace(x=as_array(batch.x, "evaluation"))
    for start in range(0, len(batch.x), batch_size):
        yield batch.rows(slice(start, start + batch_size))


def _observed(batch: Batch, shape) -> np.ndarray:
    """Returns which numbers of x were observed, bool [B, *event]."""
    mask = True if batch.mask is None else np.asarray(batch.mask) > 0
    ones = (1,) * (len(shape) - np.ndim(mask))
    return np.broadcast_to(np.reshape(mask, (*np.shape(mask), *ones)), shape)


def _counted(batches: Iterator[Batch], counts: list[np.ndarray]) -> Iterator[Batch]:
    """Yields the batches, and notes how many numbers of each example were observed."""
    for batch in batches:
        observed = _observed(batch, np.shape(batch.x))
        counts.append(np.sum(observed.reshape(len(observed), -1), 1))
        yield batch
