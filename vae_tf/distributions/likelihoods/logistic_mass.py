"""Probability masses of logistic variables rounded to a grid, as `tfd` objects."""

import dataclasses

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.base import bounded
from vae_tf.errors import ConfigError, DataError

# In steps of the grid. A narrower logistic is of no use: centred on a level, one of this width
# leaves it 1 - tanh(4) = 0.07 % of its mass.
MIN_SCALE = 1 / 16
# How far scale and location may leave the data's range, in such ranges.
FAR = 100.0
# Levels summed at a time for a mean: all at once would take the memory of 255 images for one.
BLOCK = 32


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
        if not -np.inf < self.low < self.high < np.inf:
            fix = "Pass low=0.0, high=1.0 for images in [0, 1]."
            received = f"low={self.low}, high={self.high}"
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

    def index(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the index of the level nearest to `x`, float32 of its shape."""
        return tf.clip_by_value(tf.round((x - self.low) / self.step), 0.0, float(self.top))

    def value(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the value at an index, which need not be whole."""
        return self.low + self.step * index

    def check(self, x: np.ndarray) -> None:
        """Raises DataError unless all of `x` lies on the grid, up to float32 rounding."""
        steps = (np.asarray(x, "float64") - self.low) / self.step
        nearest = np.clip(np.rint(steps), 0, self.top)
        off = np.abs(steps - nearest) > self._tolerance
        if off.any():
            where = tuple(int(i) for i in np.argwhere(off)[0])
            scale = f"x / {self.step:g}" if self.low == 0 else f"(x - {self.low:g}) / {self.step:g}"
            back = f"* {self.step:g}" if self.low == 0 else f"* {self.step:g} + {self.low:g}"
            raise DataError(
                f"The data must lie on the {self.levels} levels from {self.low:g} to {self.high:g}",
                f"{int(off.sum())} value(s) between levels, the first {x[where]:g} at {where}",
                f"Round them: np.rint({scale}) {back}; or change `levels`, `low`, `high`.",
            )


def in_levels(loc: tf.Tensor, log_scale: tf.Tensor, grid: Grid) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns location and scale, given in the data's units, in steps of the grid; bounded."""
    reach = FAR * grid.top
    loc = bounded((loc - grid.low) / grid.step, -reach, grid.top + reach)
    log_scale = bounded(log_scale - np.log(grid.step), np.log(MIN_SCALE), np.log(reach))
    return loc, tf.exp(log_scale)


def log_mass(index: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor, top: int) -> tf.Tensor:
    """Returns log P(round(y) = index) for y ~ Logistic(loc, scale); the ends take the tails.

    With a, b the bin's upper and lower end, standardized, and s the logistic function,
    s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)), whose logarithm cancels nowhere.
    """
    log_below_upper = -tf.math.softplus((loc - index - 0.5) / scale)  # log s(a)
    log_above_lower = -tf.math.softplus((index - 0.5 - loc) / scale)  # log s(-b)
    inside = log_below_upper + log_above_lower + tf.math.log(-tf.math.expm1(-1 / scale))
    tails = tf.where(index <= 0, log_below_upper, log_above_lower)
    return tf.where((index <= 0) | (index >= top), tails, inside)


def mean_index(loc: tf.Tensor, scale: tf.Tensor, top: int) -> tf.Tensor:
    """Returns the mean of the rounded and clipped variable: sum_i P(index > i), i = 0 .. top-1."""
    blocks = -(-top // BLOCK)

    def add(block, total):
        i = tf.cast(block * BLOCK, tf.float32) + tf.range(BLOCK, dtype=tf.float32)
        above = tf.sigmoid((loc[..., None] - i - 0.5) / scale[..., None])
        return block + 1, total + tf.reduce_sum(tf.where(i < top, above, 0.0), -1)

    if blocks == 1:
        return add(tf.constant(0), tf.zeros_like(loc))[1]
    return tf.while_loop(
        lambda block, total: block < blocks,
        add,
        (tf.constant(0), tf.zeros_like(loc)),
        parallel_iterations=1,
        maximum_iterations=blocks,
    )[1]


def draw_index(shape, loc: tf.Tensor, scale: tf.Tensor, top: int, seed) -> tf.Tensor:
    """Returns draws of the rounded and clipped variable, of `shape`."""
    tiny = float(np.finfo("float32").tiny)
    u = tf.random.stateless_uniform(shape, seed, minval=tiny)
    y = loc + scale * (tf.math.log(u) - tf.math.log1p(-u))
    return tf.clip_by_value(tf.round(y), 0.0, float(top))


class LogisticMass(tfd.Distribution):
    """A logistic variable rounded to a grid, the ends of which take its tails.

    Args:
        loc: location in the data's units.
        log_scale: logarithm of the scale in the data's units, shaped like `loc`.
        grid: the values it can take.
    """

    def __init__(self, loc, log_scale, grid: Grid, name: str = "LogisticMass"):
        parameters = {"loc": loc, "log_scale": log_scale, "grid": grid, "name": name}
        self.loc, self.log_scale, self.grid = loc, log_scale, grid
        self._place, self._width = in_levels(loc, log_scale, grid)
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {
            "loc": tfp.util.ParameterProperties(),
            "log_scale": tfp.util.ParameterProperties(),
        }

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _log_prob(self, x):
        return log_mass(self.grid.index(x), self._place, self._width, self.grid.top)

    def _mean(self):
        return self.grid.value(mean_index(self._place, self._width, self.grid.top))

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], tf.shape(self._place)], 0)
        seed = tfp.random.sanitize_seed(seed)
        return self.grid.value(draw_index(shape, self._place, self._width, self.grid.top, seed))


class ColourMass(tfd.Distribution):
    """Red, green and blue of one pixel, each a LogisticMass given those before it.

    The locations of green and blue are shifted by a * red, and by b * red + c * green, where
    colours count from the middle of the grid (Salimans et al. 2017, equation 3).

    Args:
        loc: [..., 3], in the data's units.
        log_scale: [..., 3].
        coefficients: a, b, c, [..., 3].
        grid: the values each colour can take.
    """

    def __init__(self, loc, log_scale, coefficients, grid: Grid, name: str = "ColourMass"):
        parameters = {"loc": loc, "log_scale": log_scale, "coefficients": coefficients}
        self.loc, self.log_scale, self.coefficients = loc, log_scale, coefficients
        self.grid = grid
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters={**parameters, "grid": grid, "name": name},
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {
            name: tfp.util.ParameterProperties(event_ndims=1)
            for name in ("loc", "log_scale", "coefficients")
        }

    def _event_shape(self):
        return tf.TensorShape([3])

    def _event_shape_tensor(self):
        return tf.constant([3], tf.int32)

    def _channel(self, channel: int, before) -> LogisticMass:
        """Returns the distribution of one colour given the values of those before it."""
        a, b, c = tf.unstack(self.coefficients, axis=-1)
        loc = self.loc[..., channel]
        middle = (self.grid.low + self.grid.high) / 2
        for weight, value in zip(((), (a,), (b, c))[channel], before, strict=True):
            loc += weight * (value - middle)
        return LogisticMass(loc, self.log_scale[..., channel], self.grid)

    def _in_turn(self, take) -> tf.Tensor:
        values: list[tf.Tensor] = []
        for channel in range(3):
            values.append(take(self._channel(channel, values), channel))
        return tf.stack(values, -1)

    def _log_prob(self, x):
        x = self.grid.value(self.grid.index(x))
        colours = tf.unstack(x, axis=-1)
        return tf.add_n([self._channel(i, colours[:i]).log_prob(colours[i]) for i in range(3)])

    def _mean(self):
        # Of green and blue: at the means of the colours before, exact but for the grid's ends.
        return self._in_turn(lambda one, channel: one.mean())

    def _sample_n(self, n, seed=None):
        seeds = tfp.random.split_seed(seed, 3)

        def draw(one, channel):
            # red is drawn n times; green and blue have as many locations as there are reds
            return one.sample(n if channel == 0 else (), seed=seeds[channel])

        return self._in_turn(draw)
