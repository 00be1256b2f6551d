"""The values an image of so many grey levels can take."""

import dataclasses
import numbers

import numpy as np
import tensorflow as tf

from vae_tf.checks import whole
from vae_tf.errors import ConfigError, DataError


@dataclasses.dataclass(frozen=True)
class Grid:
    """The values low + i * step, i = 0 .. levels - 1, with step = (high - low) / (levels - 1).

    Raises:
        ConfigError: fewer than two levels, `high` not above `low`, or more levels than float32
            tells apart.
    """

    levels: int = 256
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        whole("levels", self.levels, least=2, fix="Pass levels=256 for 8-bit images.")
        real = isinstance(self.low, numbers.Real) and isinstance(self.high, numbers.Real)
        if not (real and -np.inf < self.low < self.high < np.inf):
            fix = "Pass low=0.0, high=1.0 for images in [0, 1]."
            received = f"low={self.low!r}, high={self.high!r}"
            raise ConfigError("`low` must be below `high`, both finite", received, fix)
        if self._tolerance > 0.25:
            received = f"{self.levels} levels from {self.low:g} to {self.high:g}"
            raise ConfigError("float32 must tell the levels apart", received, "Pass fewer levels.")

    @property
    def step(self) -> float:
        """The distance of two neighbouring levels."""
        return (self.high - self.low) / (self.levels - 1)

    @property
    def top(self) -> int:
        """The highest index."""
        return self.levels - 1

    @property
    def _tolerance(self) -> float:
        """How far from its level, in steps, float32 arithmetic may have put a value."""
        largest = max(abs(self.low), abs(self.high))
        return max(1e-3, 4 * float(np.finfo("float32").eps) * largest / self.step)

    @property
    def support(self) -> tuple[float, float]:
        """The smallest and largest value, with room for float32 rounding."""
        rounding = 4 * float(np.finfo("float32").eps)
        return self.low - rounding * abs(self.low), self.high + rounding * abs(self.high)

    def index(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the index of the level nearest to `x`, float32 of its shape."""
        return tf.clip_by_value(tf.round((x - self.low) / self.step), 0.0, float(self.top))

    def value(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the value at an index, which need not be whole."""
        return self.low + self.step * index

    def holds(self, x: tf.Tensor) -> tf.Tensor:
        """Returns where `x` lies on the grid, up to float32 rounding; bool of its shape."""
        steps = (x - self.low) / self.step
        nearest = tf.clip_by_value(tf.round(steps), 0.0, float(self.top))
        return tf.abs(steps - nearest) <= self._tolerance

    def check(self, x: np.ndarray) -> None:
        """Raises DataError unless all of `x` lies on the grid, up to float32 rounding."""
        steps = (np.asarray(x, "float64") - self.low) / self.step
        nearest = np.clip(np.rint(steps), 0, self.top)
        off = np.abs(steps - nearest) > self._tolerance
        if not off.any():
            return
        where = tuple(int(i) for i in np.argwhere(off)[0])
        low, span = self.low, self.high - self.low
        fix = f"Round them: np.rint(x * {self.top}) / {self.top}"
        if (low, span) != (0, 1):
            there, back = f"{self.top} / {span:g}", f"{span:g} / {self.top} + {low:g}"
            fix = f"Round them: np.rint((x - {low:g}) * {there}) * {back}"
        if np.max(x) > self.support[1]:
            fix = "Divide 0-255 images by 255"
        raise DataError(
            f"The data must lie on the {self.levels} levels from {self.low:g} to {self.high:g}",
            f"{int(off.sum())} value(s) off them, the first {x[where]:g} at {where}",
            f"{fix}; or change `levels`.",
        )
