"""Probability masses of logistic variables rounded to a grid, as `tfd` objects."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.bounds import bounded
from vae_tf.distributions.likelihoods.grid import Grid

# In steps of the grid. A narrower logistic is of no use: centred on a level, one of this width
# leaves it 1 - tanh(4) = 0.07 % of its mass.
MIN_SCALE = 1 / 16
# How far scale and location may leave the data's range, in such ranges.
FAR = 100.0
# Levels on either side of a logistic of scale 1 or less, where the rest is below exp(-15.5).
NEAR = 16


def in_levels(loc: tf.Tensor, log_scale: tf.Tensor, grid: Grid) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns location and scale, given in the data's units, in steps of the grid; bounded."""
    reach = FAR * grid.top
    fix = "Check `low` and `high`, between which the data should lie."
    loc = bounded((loc - grid.low) / grid.step, -reach, grid.top + reach, "loc", (fix, fix))
    # Narrower ones would be of no use
    log_scale -= np.log(grid.step)
    log_scale = bounded(log_scale, np.log(MIN_SCALE), np.log(reach), "log_scale", ("", fix))
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
    """Returns the mean of the rounded and clipped variable: sum_i P(y > i + 1/2), i = 0 .. top-1.

    Narrow ones are summed near `loc`, the terms elsewhere being 0 or 1; the sum for wide ones is
    an integral with the corrections of Euler and Maclaurin, whose next term is below 1e-6.
    """
    narrow = tf.minimum(scale, 1.0)[..., None]
    first = tf.floor(loc)[..., None] - NEAR
    i = first + tf.range(2 * NEAR, dtype=tf.float32)
    near = tf.where((i >= 0) & (i < top), tf.sigmoid((loc[..., None] - i - 0.5) / narrow), 0.0)
    summed = tf.clip_by_value(first[..., 0], 0.0, float(top)) + tf.reduce_sum(near, -1)

    wide = tf.maximum(scale, 1.0)

    def from_below(v):  # the sum over all i >= 0, at v = loc / scale
        q = tf.sigmoid(v) * tf.sigmoid(-v)  # the first derivative; the third and fifth follow
        corrections = (
            q / (24 * wide)
            - 7 * q * (1 - 6 * q) / (5760 * wide**3)
            + 31 * q * (1 - 30 * q + 120 * q**2) / (967680 * wide**5)
        )
        return wide * tf.math.softplus(v) - corrections

    integral = from_below(loc / wide) - from_below((loc - top) / wide)
    return tf.where(scale < 1, summed, tf.clip_by_value(integral, 0.0, float(top)))


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
