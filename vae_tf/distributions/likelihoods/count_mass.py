"""Probability masses of counts, as `tfd` objects that keep their digits at large counts.

The terms of log(m^x exp(-m) / x!) grow as x log(x) and cancel: in float32 a nat is lost near
x = 1e6. Loader (2000), "Fast and accurate computation of binomial probabilities", writes them as
deviances, which are small where the mass is large, and as the error of Stirling's formula.
"""

import math

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

# From here on two terms of Stirling's series are exact in float32.
LARGE_COUNT = 16.0


class PoissonMass(tfd.Poisson):
    """A Poisson: log P(x) = -x f(m / x) - log(2 pi x) / 2 - s(x), f and s as below."""

    def _log_prob(self, x):
        small = super()._log_prob(tf.minimum(x, LARGE_COUNT))
        n = tf.maximum(x, LARGE_COUNT)
        log_mean = tf.convert_to_tensor(self.log_rate)
        above = (tf.exp(log_mean) - n) / n
        deviance = excess(above, log_of(above, log_mean - tf.math.log(n)))
        large = -n * deviance - 0.5 * tf.math.log(2 * math.pi * n) - stirling_error(n)
        return tf.where(x < LARGE_COUNT, small, large)


class NegativeBinomialMass(tfd.NegativeBinomial):
    """A Poisson whose rate is Gamma, of mean m and variance m + d m^2.

    With r = 1 / d and f, s as below, for x > 0
    log P(x) = -r f((x + r) / (m + r)) - x f((x + r) m / (x (m + r)))
               - log(2 pi x (1 + x d)) / 2 + s(x + r) - s(r) - s(x),
    every term of which goes to the Poisson's or to 0 as d does, and so do its derivatives.

    Args:
        log_mean: log m.
        log_dispersion: log d, shaped like `log_mean`.
    """

    def __init__(self, log_mean, log_dispersion, name: str = "NegativeBinomialMass"):
        self.log_mean, self.log_dispersion = log_mean, log_dispersion
        super().__init__(tf.exp(-log_dispersion), logits=log_mean + log_dispersion, name=name)
        self._parameters = {"log_mean": log_mean, "log_dispersion": log_dispersion, "name": name}

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {
            "log_mean": tfp.util.ParameterProperties(),
            "log_dispersion": tfp.util.ParameterProperties(),
        }

    def _log_prob(self, x):
        m, d = tf.exp(self.log_mean), tf.exp(self.log_dispersion)
        r, md = tf.exp(-self.log_dispersion), m * d
        # log P(0) = -r log(1 + m d); for a small m d less what makes it -m
        close = md < NEAR
        small_md = tf.where(close, md, 0.0)
        none = tf.where(close, r * excess(small_md, 0.0) - m, -r * tf.math.log1p(md))

        n = tf.maximum(x, 1.0)
        more = (n - m) / (m + r)
        log_more = log_of(more, tf.math.log(n + r) - tf.math.log(m + r))
        fewer = (m - n) / (n * (1 + md))
        log_fewer = log_of(fewer, log_more + self.log_mean - tf.math.log(n))
        failures, successes = r * excess(more, log_more), n * excess(fewer, log_fewer)
        rounding = stirling_error(n + r) - stirling_error(r) - stirling_error(n)
        spread = 0.5 * (tf.math.log(2 * math.pi * n) + tf.math.log1p(n * d))
        return tf.where(x < 1, none, rounding - failures - successes - spread)


# How far from 1 the series of `excess` has float32's digits
NEAR = 0.2


def excess(above: tf.Tensor, log_t: tf.Tensor) -> tf.Tensor:
    """Returns f(t) = t - 1 - log(t), which is 0 at t = 1 and above 0 elsewhere.

    Args:
        above: t - 1.
        log_t: log(t).
    """
    near = tf.abs(above) < NEAR
    # log(1 + u) = 2 artanh(u / (2 + u)), whose first term takes u - 2s = u s out of the sum
    u = tf.where(near, above, 0.0)
    s = u / (2 + u)
    q = tf.square(s)
    series = s * (u - 2 * q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q / 9))))
    return tf.where(near, series, above - log_t)


def log_of(above: tf.Tensor, log_t: tf.Tensor) -> tf.Tensor:
    """Returns log(t), from t - 1 where that tells more than `log_t`, a difference of logarithms."""
    low = above < -0.5
    return tf.where(low, log_t, tf.math.log1p(tf.where(low, 0.0, above)))


def stirling_error(n: tf.Tensor) -> tf.Tensor:
    """Returns s(n) = log(n!) - log(sqrt(2 pi n) (n / e)^n), for n > 0."""
    large = tf.maximum(n, LARGE_COUNT)
    small = tf.minimum(n, LARGE_COUNT)
    formula = (small + 0.5) * tf.math.log(small) - small + 0.5 * math.log(2 * math.pi)
    series = 1 / (12 * large) - 1 / (360 * large**3)
    return tf.where(n < LARGE_COUNT, tf.math.lgamma(small + 1) - formula, series)
