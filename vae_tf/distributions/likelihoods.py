"""p(x|z): distributions over images, given what the decoder put out."""

import math

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import real
from vae_tf.distributions.base import DistributionObject, bounded, named_parameters
from vae_tf.errors import ConfigError, DataError

# One grey level of an 8-bit image. A Gaussian narrower than the rounding of its data earns
# likelihood from the rounding, without limit where a pixel is constant.
GREY_LEVEL = 1 / 256
MAX_SCALE = 1e4


class Likelihood(DistributionObject):
    """p(x|z); a subclass names its `parameters` and gives `distribution`.

    Attributes:
        parameters: names of the decoder's outputs, each shaped like the data.
        support: smallest and largest value the data may take.
    """

    parameters: tuple[str, ...] = ()
    support: tuple[float, float] = (-math.inf, math.inf)

    def parameter_shapes(self, event_shape) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each decoder output for data of `event_shape`."""
        return {name: tuple(event_shape) for name in self.parameters}

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], from the decoder's outputs."""
        raise ConfigError("A Likelihood must define it", type(self).__name__, "Override it.")

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns what an exported decoder puts out: `image` = E[x|z], [B, *event] float32."""
        return {"image": self.distribution(params).mean()}

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses data this likelihood gives no density.

        Args:
            x: numbers of any shape.
            strict: ask for a true density, not only for a finite bound.

        Raises:
            DataError: a value is NaN, infinite or outside `support`.
        """
        low, high = (float(np.min(x)), float(np.max(x))) if x.size else (0.0, 0.0)
        if not (math.isfinite(low) and math.isfinite(high)):
            bad = np.argwhere(~np.isfinite(x))
            where = tuple(int(i) for i in bad[0])
            received = f"{len(bad)} NaN or infinite value(s), the first at index {where}"
            raise DataError("The data must be finite numbers", received, "Remove or impute them.")
        if low < self.support[0] or high > self.support[1]:
            raise DataError(
                f"{type(self).__name__} takes data from {self.support[0]:g} to {self.support[1]:g}",
                f"min={low:g}, max={high:g}",
                "Divide 0-255 images by 255." if high > 1 else "Rescale the data.",
            )


@keras.saving.register_keras_serializable(package="vae_tf")
class Bernoulli(Likelihood):
    """p(x|z) = prod_i Bernoulli(x_i; sigmoid(logits_i)) (Kingma and Welling 2014, equation 11).

    Grey values in (0, 1) are let through in training, where the term is a cross-entropy; it is
    a log-likelihood for 0 and 1 alone, and `check_support(strict=True)` asks for those.
    """

    parameters = ("logits",)
    support = (0.0, 1.0)

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        logits = named_parameters(params, self.parameters, type(self).__name__)["logits"]
        return tfd.Independent(tfd.Bernoulli(logits=logits, dtype=tf.float32), _event_rank(logits))

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses values outside [0, 1], and with `strict` all but 0 and 1."""
        super().check_support(x, strict)
        if strict and not np.all((x == 0) | (x == 1)):
            raise DataError(
                "A Bernoulli log-likelihood is defined for 0 and 1 alone",
                "values in between",
                "Binarize the data, or train with a Gaussian likelihood.",
            )


@keras.saving.register_keras_serializable(package="vae_tf")
class Gaussian(Likelihood):
    """p(x|z) = N(x; loc, scale^2 I) with a fixed `scale`, normaliser included.

    Args:
        scale: the standard deviation, in the units of the data.

    Raises:
        ConfigError: `scale` is not positive.
    """

    parameters: tuple[str, ...] = ("loc",)

    def __init__(self, scale: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = real("scale", scale, positive=True)

    def _scale(self, values: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the standard deviation, broadcastable to `loc`."""
        return tf.constant(self.scale)

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        loc = values["loc"]
        return tfd.Independent(tfd.Normal(loc, self._scale(values)), _event_rank(loc))

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `image` = loc [B, *event] and `scale`, [B, *event] or [B, 1, ..., 1]."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        loc, scale = values["loc"], self._scale(values)
        if scale.shape.rank == 0:  # a server's batching needs dimension 0 in every output
            one_per_example = tf.reduce_mean(tf.zeros_like(loc), range(1, loc.shape.rank), True)
            scale = one_per_example + scale
        return {"image": loc, "scale": scale}

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="vae_tf")
class GaussianLearnedScale(Gaussian):
    """p(x|z) = N(x; loc, scale^2 I) with one learned `scale` (Rybkin et al. 2021, sigma-VAE).

    Args:
        scale: where learning starts.
        min_scale: the smallest standard deviation that can be learned.
    """

    def __init__(self, scale: float = 0.3, min_scale: float = GREY_LEVEL, **kwargs):
        super().__init__(scale, **kwargs)
        self.min_scale = real("min_scale", min_scale, positive=True)
        self.log_scale = self.add_weight(
            name="log_scale",
            shape=(),
            initializer=keras.initializers.Constant(math.log(self.scale)),
        )

    def _scale(self, values: dict[str, tf.Tensor]) -> tf.Tensor:
        return _safe_scale(tf.convert_to_tensor(self.log_scale), self.min_scale)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "min_scale": self.min_scale}


@keras.saving.register_keras_serializable(package="vae_tf")
class GaussianPixelScale(Gaussian):
    """p(x|z) = N(x; loc, exp(log_scale)^2), both from the decoder (Kingma and Welling 2014, C.2).

    Args:
        min_scale: the smallest standard deviation the decoder can reach.
    """

    parameters = ("loc", "log_scale")

    def __init__(self, min_scale: float = GREY_LEVEL, **kwargs):
        super().__init__(**kwargs)
        self.min_scale = real("min_scale", min_scale, positive=True)

    def _scale(self, values: dict[str, tf.Tensor]) -> tf.Tensor:
        return _safe_scale(values["log_scale"], self.min_scale)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {**super().get_config(), "min_scale": self.min_scale}
        config.pop("scale")
        return config


def _event_rank(x: tf.Tensor) -> int:
    """Returns the number of axes after the batch."""
    return x.shape.rank - 1


def _safe_scale(log_scale: tf.Tensor, min_scale: float) -> tf.Tensor:
    """Returns exp(log_scale) within [min_scale, MAX_SCALE]."""
    return tf.exp(bounded(log_scale, math.log(min_scale), math.log(MAX_SCALE)))
