"""What an explicit density of examples is."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from vae_tf.errors import DataError


class Density(ABC):
    """A density p(x) that can be evaluated exactly, of examples of one shape.

    `vae_tf.log_likelihood` and `vae_tf.bits_per_dimension` take it in place of a VAE. A subclass
    gives `log_prob` and `sample`.

    Example:
        >>> class Uniform(vae_tf.densities.Density):
        ...     num_parameters, shape = 0, (1,)
        ...
        ...     def log_prob(self, x):
        ...         return np.where((x >= 0) & (x <= 2), -np.log(2), -np.inf)[:, 0]
        ...
        ...     def sample(self, num_samples, seed=0):
        ...         return np.random.default_rng(seed).uniform(0, 2, (num_samples, 1))
        >>> round(vae_tf.log_likelihood(Uniform(), np.ones((5, 1))).mean, 3)
        -0.693
    """

    @abstractmethod
    def log_prob(self, x: Any) -> np.ndarray:
        """Returns log p(x) in nats, [N] float64, of examples [N, *event]."""

    @abstractmethod
    def sample(self, num_samples: int, seed: int = 0) -> np.ndarray:
        """Returns draws of p(x), [num_samples, *event] float64; equal seeds give equal draws."""


def flattened(x: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Returns examples as rows [N, D] float64.

    Args:
        x: examples [N, *event].
        shape: the event that they must have; None for any.

    Raises:
        DataError: of no examples, of other shapes, or with values that are not finite.
    """
    rows = np.asarray(x, "float64")
    if rows.ndim < 2 or not len(rows) or (shape is not None and rows.shape[1:] != shape):
        sides = "..." if shape is None else ", ".join(map(str, shape))
        fix = "Pass an array with examples along its first axis."
        raise DataError(f"A density needs examples [N, {sides}]", f"shape {rows.shape}", fix)
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows)).sum())
        fix = "Leave these examples out; explicit densities know no gaps."
        raise DataError("A density needs numbers", f"{bad} values that are not finite", fix)
    return rows.reshape(len(rows), -1)
