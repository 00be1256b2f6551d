"""Bits per dimension: how long a code for the data the model makes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_tf.checks import instance
from vae_tf.data import dequantize
from vae_tf.data.batch import parse
from vae_tf.distributions.likelihoods.grid import Grid
from vae_tf.distributions.likelihoods.mixed import Mixed
from vae_tf.errors import ConfigError
from vae_tf.evaluation.importance import log_likelihood
from vae_tf.models import VAE


@dataclass(frozen=True)
class BitsPerDimension:
    """A mean code length, in bits for each number of an example.

    Attributes:
        value: the estimate; in expectation an upper bound, lower with every sample.
        stderr: how far it would move with another test set of this size.
        monte_carlo_stderr: how far it would move with other draws of z.
        meaning: what was measured, in words.
    """

    value: float
    stderr: float
    monte_carlo_stderr: float
    meaning: str


def bits_per_dimension(
    vae: VAE,
    data,
    num_samples: int = 5000,
    *,
    levels: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> BitsPerDimension:
    """Returns nll / (D ln 2), D numbers an example, of probabilities.

    A density is none. With `levels` it is taken for one, of data x = i / (levels - 1): they become
    y = (i + u) / levels, u ~ U[0, 1), and -log2 p(y) / D + log2(levels) bounds -log2 P(x) / D
    from above (Theis, van den Oord and Bethge 2016, section 3.1). The model should have been
    trained on such y, see `vae_tf.data.dequantize`; trained on x, it did not learn p(y).

    Args:
        vae: a trained model.
        data: as `log_likelihood` takes them; with `levels` not dequantized yet.
        num_samples: K, draws z ~ q(z|x) for each example.
        levels: how many values the data take (256 for 8-bit images); for densities alone.
        batch_size: examples at a time, for arrays.
        seed: of the draws of z, and of u.
        progress: called after each batch with the number of examples done.

    Raises:
        ConfigError: a density without `levels`, a probability with, or a mixture of both.
        DataError: no data, data off the levels, or as `log_likelihood`.
    """
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
        data = _dequantized(data, Grid(levels), seed)
        meaning = f"-log2 p(y) / D + log2({levels}) of a {name}, y being x dequantized,"
    nats = log_likelihood(
        vae, data, num_samples, batch_size=batch_size, seed=seed, progress=progress
    )
    unit = _dimensions(vae, data) * math.log(2)
    return BitsPerDimension(
        value=nats.nll / unit + (0.0 if levels is None else math.log2(levels)),
        stderr=nats.stderr / unit,
        monte_carlo_stderr=nats.monte_carlo_stderr / unit,
        meaning=f"{meaning} importance-weighted, {nats.num_samples} samples; an upper bound",
    )


def _kind(discrete: bool) -> str:
    return "probability" if discrete else "density"


def _dequantized(data, grid: Grid, seed: int):
    """Returns `data` with noise, each batch of a data set its own.

    Raises:
        DataError: data off the grid.
    """
    if not isinstance(data, tf.data.Dataset):
        x = np.asarray(data[0] if isinstance(data, tuple) else data)
        grid.check(x)
        return dequantize(x, grid.levels, seed=seed).numpy()
    for batch in data:
        grid.check(parse(batch).x.numpy())
    return data.enumerate().map(
        lambda step, batch: dequantize(parse(batch).x, grid.levels, seed=seed, step=step)
    )


def _dimensions(vae: VAE, data) -> int:
    """Returns D, the numbers in one example."""
    if vae.event_shape is not None and None not in vae.event_shape:
        return math.prod(size for size in vae.event_shape if size is not None)
    if isinstance(data, tf.data.Dataset):
        return int(tf.size(parse(next(iter(data))).x[0]))
    return int(np.size((data[0] if isinstance(data, tuple) else data)[0]))
