"""p(x|z) for counts: 0, 1, 2, ..."""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import real
from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.bounds import bounded
from vae_tf.distributions.likelihoods.base import Likelihood, check_whole, event_rank, whole_numbers
from vae_tf.distributions.likelihoods.count_mass import NegativeBinomialMass, PoissonMass

# float32 holds every whole number up to 2^24; a larger count would be rounded unseen.
MAX_COUNT = 2.0**24
MAX_LOG_MEAN = math.log(MAX_COUNT)
# exp(-10) is a Poisson for all counts below some thousands; exp(10) has all but no mean.
MAX_LOG_DISPERSION = 10.0


class Counts(Likelihood):
    """What the likelihoods of counts share."""

    support = (0.0, MAX_COUNT)
    discrete = True

    def allowed(self, x: tf.Tensor) -> tf.Tensor:
        """Returns whether each `x` is a count, bool of its shape."""
        return super().allowed(x) & whole_numbers(x)

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses fractions, negative numbers and counts that float32 would round."""
        super().check_support(x, strict)
        check_whole(x, type(self).__name__)


def _log_mean(raw: tf.Tensor) -> tf.Tensor:
    remedies = "Leave out what is always 0.", "Divide the counts, or model their logarithms."
    return bounded(raw, -MAX_LOG_MEAN, MAX_LOG_MEAN, "log of the mean", remedies)


@keras.saving.register_keras_serializable(package="vae_tf")
class Poisson(Counts):
    """p(x|z) = prod_i Poisson(x_i; exp(log_rate_i)); the variance is the mean.

    Example:
        >>> likelihood = vae_tf.likelihoods.Poisson()
        >>> x = tf.zeros([1, 3])
        >>> likelihood.log_prob({"log_rate": x}, x).numpy()  # each rate is 1
        array([-3.], dtype=float32)
    """

    parameters = ("log_rate",)

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        raw = named_parameters(params, self.parameters, type(self).__name__)["log_rate"]
        return tfd.Independent(PoissonMass(log_rate=_log_mean(raw)), event_rank(raw))

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], of the rates in `image`."""
        return self.distribution({"log_rate": tf.math.log(statistics["image"])})


@keras.saving.register_keras_serializable(package="vae_tf")
class NegativeBinomial(Counts):
    """p(x|z), a Poisson whose rate is Gamma: mean m, variance m + d m^2 (Lopez et al. 2018).

    The decoder gives m = exp(log_mean) and the dispersion d = exp(log_dispersion) of each element.
    The limit d -> 0 is the Poisson; other texts call 1 / d the number of failures, or theta.

    Args:
        typical: a typical count of the data, one number or one for each column. The decoder puts
            out log(m / typical), so that it need not learn the size of counts first.

    Raises:
        ConfigError: `typical` is not positive.

    Example:
        >>> likelihood = vae_tf.likelihoods.NegativeBinomial(typical=5.0)
        >>> zeros = {name: tf.zeros([1, 2]) for name in likelihood.parameters}
        >>> px = likelihood.distribution(zeros)  # m = 5, d = 1
        >>> px.mean().numpy().round(3), px.variance().numpy().round(3)  # m + d m^2 = 30
        (array([[5., 5.]], dtype=float32), array([[30., 30.]], dtype=float32))
    """

    parameters = ("log_mean", "log_dispersion")

    def __init__(self, typical: float | Sequence[float] = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.typical = (
            [real("typical", size, positive=True) for size in typical]
            if isinstance(typical, Sequence)
            else real("typical", typical, positive=True)
        )

    def _values(self, params) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log m and log d, bounded."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        log_dispersion = values["log_dispersion"]
        limit = MAX_LOG_DISPERSION
        # At the lower bound it is a Poisson, as some data are
        remedies = "", "Use another likelihood: these counts have all but no mean."
        log_dispersion = bounded(log_dispersion, -limit, limit, "log_dispersion", remedies)
        size = np.log(self.typical).astype("float32")
        return _log_mean(values["log_mean"] + size), log_dispersion

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        return _negative_binomial(*self._values(params))

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `image` = m and `dispersion` = d, both [B, *event]."""
        log_mean, log_dispersion = self._values(params)
        return {"image": tf.exp(log_mean), "dispersion": tf.exp(log_dispersion)}

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        log_mean, log_dispersion = (tf.math.log(statistics[k]) for k in ("image", "dispersion"))
        return _negative_binomial(log_mean, log_dispersion)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        typical = self.typical if isinstance(self.typical, float) else [*self.typical]
        return {**super().get_config(), "typical": typical}


def _negative_binomial(log_mean: tf.Tensor, log_dispersion: tf.Tensor) -> tfd.Distribution:
    return tfd.Independent(NegativeBinomialMass(log_mean, log_dispersion), event_rank(log_mean))
