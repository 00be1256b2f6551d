"""p(x|z) for data of 0 and 1."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.bounds import bounded
from vae_tf.distributions.gradients import own_gradient
from vae_tf.distributions.likelihoods.alphabets import Bits
from vae_tf.distributions.likelihoods.base import Likelihood, event_rank
from vae_tf.errors import ConfigError, DataError

LARGEST_FLOAT = 1 - 2.0**-24
SMALLEST, LARGEST = 2.0**-126, 1 - 2.0**-25
# One half to this power is float32's least normal number: so many factors from 1/2 to 1 fit.
MOST_FACTORS = 126


@keras.saving.register_keras_serializable(package="vae_tf")
class Bernoulli(Likelihood):
    """p(x|z) = prod_i Bernoulli(x_i; sigmoid(logits_i)) (Kingma and Welling 2014, equation 11).

    The decoder puts out log-odds `logits`, or with `parameter="probs"` the probabilities
    themselves, as a decoder that ends in a sigmoid does. Log-odds keep more digits: probabilities
    are kept from 2^-126, float32's least normal number, to 1 - 2^-24, the last before 1, so that an
    x they rule out costs 87 or 17 nats. No gradient passes through a saturated sigmoid.

    Training accepts grey values in (0, 1), for which the term is a cross-entropy. It is a
    log-likelihood for 0 and 1 alone, which `check_support(strict=True)` demands.

    Example:
        >>> likelihood = vae_tf.likelihoods.Bernoulli()
        >>> likelihood.parameter_shapes((28, 28, 1))
        {'logits': (28, 28, 1)}
        >>> params = {"logits": tf.zeros([1, 8])}
        >>> likelihood.log_prob(params, tf.ones([1, 8])).numpy().round(3)  # -8 ln 2
        array([-5.545], dtype=float32)
    """

    parameters: tuple[str, ...] = ("logits",)
    support = (0.0, 1.0)
    discrete = True

    def __init__(self, parameter: str = "logits", **kwargs):
        super().__init__(**kwargs)
        if parameter not in ("logits", "probs"):
            fix = 'Pass parameter="probs" for a decoder that ends in a sigmoid.'
            raise ConfigError("`parameter` must be logits or probs", repr(parameter), fix)
        self.parameters = (parameter,)

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        return _of_logits(self._logits(params))

    def _logits(self, params) -> tf.Tensor:
        """Returns the log-odds, [B, *event]."""
        value = self._value(params)
        if self.parameters == ("logits",):
            return value
        return tf.math.log(value) - tf.math.log1p(-value)

    def _value(self, params) -> tf.Tensor:
        """Returns the log-odds, or the probabilities away from 0 and 1."""
        (name,) = self.parameters
        value = named_parameters(params, self.parameters, type(self).__name__)[name]
        return value if name == "logits" else bounded(value, SMALLEST, LARGEST_FLOAT)

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `image` = E[x|z], [B, *event] float32."""
        value = self._value(params)
        return {"image": tf.sigmoid(value) if self.parameters == ("logits",) else value}

    def from_uniforms(self, params, u: tf.Tensor) -> tf.Tensor:
        """Returns x ~ p(x|z), [B, *event], which is 1 where u is below its probability."""
        return tf.cast(u < self.statistics(params)["image"], tf.float32)

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], of the probabilities in `image`.

        Probabilities rounded to 0 or 1 count as SMALLEST, the least normal float32, and as 1 -
        2^-25, halfway between 1 and the float32 before it. An x that they rule out then costs 87 or
        17 nats, not infinitely many.
        """
        p = tf.cast(statistics["image"], tf.float64)
        p = tf.clip_by_value(p, SMALLEST, LARGEST)
        logits = tf.cast(tf.math.log(p) - tf.math.log1p(-p), tf.float32)
        return _of_logits(logits)

    def alphabet(self, event_shape) -> Bits:
        """Returns 0 and 1."""
        return Bits(self._logits)

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses values outside [0, 1], and with `strict` all but 0 and 1."""
        super().check_support(x, strict)
        if strict and not np.all((x == 0) | (x == 1)):
            raise DataError(
                "A Bernoulli log-likelihood is defined for 0 and 1 alone",
                "values in between",
                "Binarize the data, or train with a Gaussian likelihood.",
            )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "parameter": self.parameters[0]}


def _of_logits(logits: tf.Tensor) -> tfd.Distribution:
    return _Bits(tfd.Bernoulli(logits=logits, dtype=tf.float32), event_rank(logits))


class _Bits(tfd.Independent):
    """TFP's, by a shorter way than two softplus functions of each logit.

    log p(x) = sum_i x_i l_i - max(l_i, 0) + log sigmoid(|l_i|), of which the last terms are the
    logarithms of a few products of many factors.
    """

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        logits = self.distribution.logits
        one_each = logits.shape.rank == x.shape.rank and (logits.shape[0] == 1) == (x.shape[0] == 1)
        if not one_each or not logits.shape[1:].num_elements():
            return super()._log_prob(x)
        return _log_prob_of_bits(tf.cast(logits, tf.float32), x)


@own_gradient
def _log_prob_of_bits(logits: tf.Tensor, x: tf.Tensor):
    """Returns log p(x), [B], of bits of these log-odds [B, *event], with its gradients."""
    size = logits.shape[1:].num_elements()
    finite = tf.clip_by_value(logits, logits.dtype.min, logits.dtype.max)  # inf - inf is NaN
    linear = tf.reshape(finite * x - tf.nn.relu(finite), [-1, size])
    probability = tf.sigmoid(logits)
    likelier = tf.maximum(probability, 1 - probability)  # sigmoid(|l|)
    group = max(n for n in range(1, MOST_FACTORS + 1) if size % n == 0)
    products = tf.reduce_prod(tf.reshape(likelier, [-1, size // group, group]), -1)
    value = tf.reduce_sum(linear, -1) + tf.reduce_sum(tf.math.log(products), -1)

    def gradient(upstream):
        upstream = tf.reshape(upstream, [-1] + [1] * (logits.shape.rank - 1))
        return upstream * (x - probability), upstream * finite

    return value, gradient
