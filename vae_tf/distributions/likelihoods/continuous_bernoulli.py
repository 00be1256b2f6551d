"""p(x|z) for grey values between 0 and 1: a Bernoulli's form with the normaliser it lacks there."""

from collections.abc import Mapping

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import real
from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.bounds import bounded
from vae_tf.distributions.likelihoods.base import Likelihood, event_rank
from vae_tf.distributions.likelihoods.gaussian import GREY_LEVEL

BISECTIONS = 50  # of an interval some hundreds wide: 1e-13


@keras.saving.register_keras_serializable(package="vae_tf")
class ContinuousBernoulli(Likelihood):
    """p(x|z) = prod_i C(l_i) l_i^x_i (1 - l_i)^(1 - x_i), l = sigmoid(logits), x in [0, 1].

    Loaiza-Ganem and Cunningham (2019), equations 2 and 5. A density: beyond a few units of
    `logits` it falls off from 0 or 1 as exp(-|logits| t), a decay of length 1 / |logits|.

    Args:
        min_scale: the shortest decay length that the decoder can reach. Without it, pixels that are
            always 0 or 1 would earn likelihood without limit.

    Raises:
        ConfigError: `min_scale` is not positive.

    Example:
        >>> likelihood = vae_tf.likelihoods.ContinuousBernoulli()
        >>> grey = tf.constant([[0.1, 0.5, 0.9]])
        >>> likelihood.log_prob({"logits": tf.zeros([1, 3])}, grey).numpy()  # uniform on [0, 1]
        array([0.], dtype=float32)
    """

    parameters = ("logits",)
    support = (0.0, 1.0)

    def __init__(self, min_scale: float = GREY_LEVEL, **kwargs):
        super().__init__(**kwargs)
        self.min_scale = real("min_scale", min_scale, positive=True)

    def _logits(self, params) -> tf.Tensor:
        logits = named_parameters(params, self.parameters, type(self).__name__)["logits"]
        fix = f"Pass a `min_scale` below {self.min_scale:g}, or use a Bernoulli."
        limit = 1 / self.min_scale
        return bounded(logits, -limit, limit, "logits", (fix, fix))

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        logits = self._logits(params)
        return tfd.Independent(tfd.ContinuousBernoulli(logits), event_rank(logits))

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], of the means in `image`.

        The mean, 1 / (1 - exp(-logits)) - 1 / logits, grows with the logits; they are found by
        halving the interval they may lie in.
        """
        mean = tf.cast(statistics["image"], tf.float64)
        low = tf.fill(tf.shape(mean), tf.constant(-1 / self.min_scale, tf.float64))
        high = -low
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            # By its series where the terms cancel: 1/2 + l/12 - l^3/720
            safe = tf.where(tf.abs(middle) < 1e-2, tf.ones_like(middle), middle)
            series = 0.5 + middle / 12 - middle**3 / 720
            exact = -1 / tf.math.expm1(-safe) - 1 / safe
            below = tf.where(tf.abs(middle) < 1e-2, series, exact) < mean
            low, high = tf.where(below, middle, low), tf.where(below, high, middle)
        return self.distribution({"logits": tf.cast(low, tf.float32)})

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "min_scale": self.min_scale}
