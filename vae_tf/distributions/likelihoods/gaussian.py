"""p(x|z) for real numbers: Gaussians of fixed, learned and per-pixel scale."""

import math
from collections.abc import Mapping

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import real
from vae_tf.distributions.base import bounded, named_parameters
from vae_tf.distributions.likelihoods.base import Likelihood, event_rank

# One grey level of an 8-bit image. A Gaussian narrower than the rounding of its data earns
# likelihood from the rounding, without limit where a pixel is constant.
GREY_LEVEL = 1 / 256
MAX_SCALE = 1e4


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
        return tfd.Independent(tfd.Normal(loc, self._scale(values)), event_rank(loc))

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `image` = loc [B, *event] and `scale`, [B, *event] or [B, 1, ..., 1]."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        loc, scale = values["loc"], self._scale(values)
        if scale.shape.rank == 0:  # a server's batching needs dimension 0 in every output
            one_per_example = tf.reduce_mean(tf.zeros_like(loc), range(1, loc.shape.rank), True)
            scale = one_per_example + scale
        return {"image": loc, "scale": scale}

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], of `image` and `scale` as they are."""
        loc, scale = statistics["image"], statistics["scale"]
        return tfd.Independent(tfd.Normal(loc, scale), event_rank(loc))

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


def _safe_scale(log_scale: tf.Tensor, min_scale: float) -> tf.Tensor:
    """Returns exp(log_scale) within [min_scale, MAX_SCALE]."""
    return tf.exp(bounded(log_scale, math.log(min_scale), math.log(MAX_SCALE)))
