"""What a lossless codec asks of a likelihood: the values of an element, and their masses.

Masses are computed twice, to the last bit alike, by whoever compresses and whoever decompresses.
So what takes TensorFlow is in `parameters`, for a graph that both run in the same way, and what is
computed of its outputs takes functions that go through arrays number by number: the results of
NumPy's own exponentials may depend on the processor's features.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.distributions.likelihoods.grid import Grid

# P(low <= index < high) of each element, [B, D] float64, for whole numbers `low`, `high` [B, D]
Mass = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Alphabet:
    """The values an element may have, by their index 0 .. size - 1.

    Attributes:
        size: how many there are.
    """

    def __init__(self, size: int):
        self.size = size

    def value(self, index: np.ndarray) -> np.ndarray:
        """Returns the values at these indices, float64 of their shape: the indices themselves."""
        return index.astype("float64")

    def index(self, x: np.ndarray) -> np.ndarray:
        """Returns the indices of values that `check_support` lets through, int64 of their shape."""
        return np.rint(np.asarray(x, "float64")).astype("int64")

    def parameters(self, params: Any) -> dict[str, tf.Tensor]:
        """Returns what `mass` needs of the decoder's outputs, each [B, D] or [B, D, K] float32."""
        raise NotImplementedError

    def mass(self, parameters: dict[str, np.ndarray]) -> Mass:
        """Returns the probability of ranges of indices, given what `parameters` returned."""
        raise NotImplementedError


class Table(Alphabet):
    """Indices whose probabilities are listed.

    Args:
        size: how many there are.
        probabilities: of the decoder's outputs, [B, *event, size]; of a table alone None.
    """

    def __init__(self, size: int, probabilities: Callable[[Any], tf.Tensor] | None = None):
        super().__init__(size)
        self._probabilities = probabilities

    def parameters(self, params: Any) -> dict[str, tf.Tensor]:
        """Returns `probabilities`, [B, D, size]."""
        assert self._probabilities is not None
        found = self._probabilities(params)
        return {"probabilities": tf.reshape(found, [tf.shape(found)[0], -1, self.size])}

    def mass(self, parameters: dict[str, np.ndarray]) -> Mass:
        """Returns the sums of probabilities."""
        each = np.asarray(parameters["probabilities"], "float64")
        up_to = np.concatenate([np.zeros_like(each[..., :1]), np.cumsum(each, -1)], -1)

        def mass(low: np.ndarray, high: np.ndarray) -> np.ndarray:
            ends = np.take_along_axis(up_to, np.stack([low, high], -1), -1)
            return ends[..., 1] - ends[..., 0]

        return mass


class Bits(Alphabet):
    """0 and 1.

    Args:
        logits: log-odds of the decoder's outputs, [B, *event].
    """

    def __init__(self, logits: Callable[[Any], tf.Tensor]):
        super().__init__(2)
        self._logits = logits

    def parameters(self, params: Any) -> dict[str, tf.Tensor]:
        """Returns `logits`, [B, D]."""
        logits = self._logits(params)
        return {"logits": tf.reshape(logits, [tf.shape(logits)[0], -1])}

    def mass(self, parameters: dict[str, np.ndarray]) -> Mass:
        """Returns the logistic function of plus or minus the logits."""
        from scipy.special import expit  # SciPy takes time to import, and is for the codec alone

        logits = np.asarray(parameters["logits"], "float64")
        of_0, of_1 = expit(-logits), expit(logits)

        def mass(low: np.ndarray, high: np.ndarray) -> np.ndarray:
            return np.where((low <= 0) & (high > 0), of_0, 0) + np.where(
                (low <= 1) & (high > 1), of_1, 0
            )

        return mass


class Levels(Alphabet):
    """The levels of a grid, with masses of rounded logistic variables or mixtures of them.

    Args:
        grid: the values.
        in_levels: of the decoder's outputs, `loc` and `scale` in steps of the grid and `weights`,
            each [B, *event, K].
    """

    def __init__(self, grid: Grid, in_levels: Callable[[Any], dict[str, tf.Tensor]]):
        super().__init__(grid.levels)
        self.grid, self._in_levels = grid, in_levels

    def value(self, index: np.ndarray) -> np.ndarray:
        """Returns the values at these indices, float64 of their shape."""
        # One division: what is rounded once is i / 255 in any type of numbers
        span = self.grid.high - self.grid.low
        return self.grid.low + index * span / self.grid.top

    def index(self, x: np.ndarray) -> np.ndarray:
        """Returns the indices of values on the grid, int64 of their shape."""
        steps = (np.asarray(x, "float64") - self.grid.low) * self.grid.top
        return np.rint(steps / (self.grid.high - self.grid.low)).astype("int64")

    def parameters(self, params: Any) -> dict[str, tf.Tensor]:
        """Returns `loc`, `scale` and `weights`, each [B, D, K]."""
        found = self._in_levels(params)
        return {
            name: tf.reshape(value, [tf.shape(value)[0], -1, value.shape[-1]])
            for name, value in found.items()
        }

    def mass(self, parameters: dict[str, np.ndarray]) -> Mass:
        """Returns differences of logistic functions; the ends take the tails."""
        from scipy.special import expit

        loc, scale, weights = (
            np.asarray(parameters[name], "float64") for name in ("loc", "scale", "weights")
        )

        def end(index: np.ndarray) -> np.ndarray:
            edge = np.where(index <= 0, -np.inf, np.where(index >= self.size, np.inf, index - 0.5))
            return (edge[..., None] - loc) / scale

        def mass(low: np.ndarray, high: np.ndarray) -> np.ndarray:
            a, b = end(low), end(high)
            # In the upper tail of its mirror image, where two numbers next to 1 would cancel
            a, b = np.where(a > 0, -b, a), np.where(a > 0, -a, b)
            return np.sum(weights * (expit(b) - expit(a)), -1)

        return mass
