"""p(x|z) for real numbers: Gaussians of fixed, learned and per-pixel scale."""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import real
from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.bounds import bounded
from vae_tf.distributions.gradients import own_gradient
from vae_tf.distributions.likelihoods.base import Likelihood, event_rank
from vae_tf.distributions.normal import Normal
from vae_tf.errors import DataError
from vae_tf.rounding import least_scale, smallest_step

# One grey level of an 8-bit image. A Gaussian narrower than the rounding of its data earns
# likelihood from the rounding, without limit where a pixel is constant.
GREY_LEVEL = 1 / 256
MAX_SCALE = 1e12  # safe in float32, and beyond the units of any data
MOST_Z = 4.0  # root mean square
EXAMPLES = 10_000  # that are looked at for it


@keras.saving.register_keras_serializable(package="vae_tf")
class Gaussian(Likelihood):
    """p(x|z) = N(x; loc, scale^2 I) with a fixed `scale`, normaliser included.

    Args:
        scale: the standard deviation, in the units of the data.

    Raises:
        ConfigError: `scale` is not positive.

    Example:
        >>> likelihood = vae_tf.likelihoods.Gaussian(scale=1.0)
        >>> x = tf.zeros([1, 2])
        >>> likelihood.log_prob({"loc": x}, x).numpy().round(3)  # -ln(2 pi)
        array([-1.838], dtype=float32)
        >>> mask = tf.constant([[1.0, 0.0]])  # the second number is missing
        >>> likelihood.log_prob({"loc": x}, x, mask).numpy().round(3)
        array([-0.919], dtype=float32)
    """

    parameters: tuple[str, ...] = ("loc",)

    def __init__(self, scale: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = real("scale", scale, positive=True)

    def _scale(self, values: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the standard deviation, broadcastable to `loc`."""
        return tf.constant(self.scale)

    def _bounded_scale(
        self,
        log_scale: tf.Tensor,
        min_scale: float | Sequence[float],
        max_scale: float = MAX_SCALE,
    ) -> tf.Tensor:
        """Returns exp(log_scale) within [min_scale, max_scale]."""
        smaller = f"Pass a `min_scale` below {np.min(min_scale):g}, such as that of"
        remedies = f"{smaller} {type(self).__name__}.from_data(x).", "Scale the data."
        low, high = np.log(min_scale).astype("float32"), math.log(max_scale)
        return tf.exp(bounded(log_scale, low, high, "log_scale", remedies))

    def _normal(self, loc: tf.Tensor, scale: tf.Tensor) -> Normal:
        """Returns the distributions of the elements."""
        return Normal(loc, scale)

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        loc = values["loc"]
        return tfd.Independent(self._normal(loc, self._scale(values)), event_rank(loc))

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `image` = loc [B, *event] and `scale`, [B, *event] or [B, 1, ..., 1]."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        loc, scale = values["loc"], self._scale(values)
        if scale.shape.rank == 0:  # a server's batching needs dimension 0 in every output
            one_per_example = tf.reduce_mean(tf.zeros_like(loc), range(1, loc.shape.rank), True)
            scale = one_per_example + scale
        return {"image": loc, "scale": scale}

    def from_uniforms(self, params, u: tf.Tensor) -> tf.Tensor:
        """Returns x ~ p(x|z), [B, *event], by the inverse of its distribution function."""
        values = self.statistics(params)
        return values["image"] + values["scale"] * tf.math.ndtri(u)

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], of `image` and `scale` as they are."""
        loc, scale = statistics["image"], statistics["scale"]
        return tfd.Independent(Normal(loc, scale), event_rank(loc))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="vae_tf")
class GaussianLearnedScale(Gaussian):
    """p(x|z) = N(x; loc, scale^2 I) with one learned `scale` (Rybkin et al. 2021, sigma-VAE).

    Where `scale` has become smaller than it was at the start, and the root mean square distance of
    data from `loc` is above four scales, the gradient of `scale` is held at its value for four.
    That gradient grows with the square of the distance, and Adam, whose steps are relative to the
    largest of the last thousand gradients, would then hardly move once it has become small: it
    would take tens of thousands of steps to follow data in another unit. At the start such
    gradients are welcome, since the scale then follows a decoder that is still learning slowly, and
    training stays stable.

    Args:
        scale: the initial standard deviation; about that of the data, or less.
        min_scale: the smallest standard deviation that can be learned.

    Example:
        >>> likelihood = vae_tf.likelihoods.GaussianLearnedScale(scale=0.5)
        >>> likelihood.parameters, len(likelihood.trainable_variables)
        (('loc',), 1)
        >>> likelihood.distribution({"loc": tf.zeros([1, 2])}).stddev().numpy().round(3)
        array([[0.5, 0.5]], dtype=float32)
    """

    def __init__(self, scale: float = 0.3, min_scale: float = GREY_LEVEL, **kwargs):
        super().__init__(scale, **kwargs)
        self.min_scale = real("min_scale", min_scale, positive=True)
        self.log_scale = self.add_weight(
            name="log_scale",
            shape=(),
            initializer=keras.initializers.Constant(math.log(self.scale)),
        )

    @classmethod
    def from_data(cls, x, mask=None, **kwargs) -> "GaussianLearnedScale":
        """Returns a likelihood for data in any unit: `scale` and `min_scale` come from `x`.

        `scale` starts at the standard deviation of the examples `x` [N, *event]. `min_scale` is the
        smallest distance between different values, to which the data were rounded, kept between a
        thousandth and a tenth of the standard deviation. Where `mask` [N, *event] is 0, x is
        missing.

        Raises:
            DataError: data that are not finite, or do not vary.
        """
        scale, min_scale = _scales_of(x, mask)
        return cls(**{"scale": scale, "min_scale": min_scale, **kwargs})

    def _normal(self, loc: tf.Tensor, scale: tf.Tensor) -> Normal:
        return _HeldNormal(loc, scale, self.scale)

    def _scale(self, values: dict[str, tf.Tensor]) -> tf.Tensor:
        return self._bounded_scale(tf.convert_to_tensor(self.log_scale), self.min_scale)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "min_scale": self.min_scale}


@keras.saving.register_keras_serializable(package="vae_tf")
class GaussianPixelScale(Gaussian):
    """p(x|z) = N(x; loc, exp(log_scale)^2), both from the decoder (Kingma and Welling 2014, C.2).

    Args:
        min_scale: the smallest standard deviation that the decoder can reach, one number or one for
            each column, as where the columns of a table were rounded differently.
        max_scale: the largest standard deviation. At a z unlike those of the training data a
            network may put out anything, and samples from the prior would be wider than any data.

    Example:
        >>> likelihood = vae_tf.likelihoods.GaussianPixelScale()
        >>> params = {"loc": tf.zeros([1, 2]), "log_scale": tf.math.log([[1.0, 3.0]])}
        >>> likelihood.distribution(params).stddev().numpy().round(3)
        array([[1., 3.]], dtype=float32)
    """

    parameters = ("loc", "log_scale")

    def __init__(
        self,
        min_scale: float | Sequence[float] = GREY_LEVEL,
        max_scale: float = MAX_SCALE,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.max_scale = real("max_scale", max_scale, positive=True)
        self.min_scale = (
            [real("min_scale", least, positive=True) for least in min_scale]
            if isinstance(min_scale, Sequence)
            else real("min_scale", min_scale, positive=True)
        )

    @classmethod
    def from_data(cls, x, mask=None, **kwargs) -> "GaussianPixelScale":
        """Returns a likelihood for data in any unit, whose `min_scale` comes from `x`.

        It is chosen as in GaussianLearnedScale, for rows [N, D] from the column that varies least.
        Where `mask` [N, *event] is 0, x is missing.

        Raises:
            DataError: data that are not finite, or do not vary.
        """
        _, min_scale = _scales_of(x, mask, by_column=np.ndim(x) == 2)
        return cls(**{"min_scale": min_scale, **kwargs})

    def _scale(self, values: dict[str, tf.Tensor]) -> tf.Tensor:
        return self._bounded_scale(values["log_scale"], self.min_scale, self.max_scale)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        floor = self.min_scale
        config = {
            **super().get_config(),
            "min_scale": floor if isinstance(floor, float) else [*floor],
            "max_scale": self.max_scale,
        }
        config.pop("scale")
        return config


class _HeldNormal(Normal):
    """A Normal whose gradient by its scale, which all elements share, is limited below `start`."""

    def __init__(self, loc: tf.Tensor, scale: tf.Tensor, start: float):
        super().__init__(loc, scale)
        self._parameters = {"loc": loc, "scale": scale, "start": start}  # for copies
        self.start = start

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        # Its own, as TFP warns of one that is inherited by a class with another constructor
        return super()._parameter_properties(dtype, num_classes)

    def _log_prob(self, x):
        scale = tf.convert_to_tensor(self.scale)
        below = tf.cast(scale < 0.99 * self.start, scale.dtype)  # the start itself is rounded
        log_scale, held = _held(tf.math.log(scale), below)
        scale = tf.stop_gradient(scale) * tf.exp(held - tf.stop_gradient(held))
        z = (x - self.loc) / scale
        return -0.5 * tf.square(z) - (0.5 * math.log(2 * math.pi) + log_scale)


@own_gradient
def _held(log_scale: tf.Tensor, below: tf.Tensor):
    """Returns `log_scale` for the normalizer, and again for z-scores.

    A sum of log N(x; loc, scale^2) with any weights has minus the sum of the weights as its
    derivative through the one, which tells the size of that through the other, the sum of
    weight z^2, at z = MOST_Z. Where `below` is 0, nothing is held.
    """

    def gradient(through_normalizer, through_z):
        most = MOST_Z**2 * tf.abs(through_normalizer)
        held = tf.clip_by_value(through_z, -most, most)
        return tf.where(below > 0, held, through_z) + through_normalizer, None

    return (tf.identity(log_scale), tf.identity(log_scale)), gradient


def _scales_of(x, mask=None, by_column: bool = False) -> tuple[float, float]:
    """Returns the standard deviation of examples `x` [N, *event], and a floor for a scale."""
    x = np.asarray(x, "float64")
    known = (
        np.ones(x.shape, bool) if mask is None else np.broadcast_to(np.asarray(mask) > 0, x.shape)
    )
    if not known.any() or not np.isfinite(x[known]).all():
        raise DataError("Scales need finite data", f"shape {x.shape}", "Impute the data.")
    columns = np.where(known, x, np.nan).reshape(len(x), -1)[:: math.ceil(len(x) / EXAMPLES)]
    columns = columns[:, ~np.isnan(columns).all(0)]
    spread = np.nanstd(columns, 0)
    varies = spread > 0
    if not varies.any():
        fix = "Pass more examples, or `min_scale` itself."
        raise DataError("Scales need data that vary", f"{len(x)} equal examples", fix)
    step = smallest_step(columns)[varies]
    pooled = np.sqrt(np.mean(np.square(spread[varies])))
    own = spread[varies] if by_column else pooled
    floors = least_scale(step if by_column else step.min(), own)
    return float(pooled), float(np.min(floors))
