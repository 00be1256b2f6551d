"""p(x|z) for data of 0 and 1."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.likelihoods.base import Likelihood, event_rank
from vae_tf.errors import DataError

SMALLEST, LARGEST = 2.0**-126, 1 - 2.0**-25


@keras.saving.register_keras_serializable(package="vae_tf")
class Bernoulli(Likelihood):
    """p(x|z) = prod_i Bernoulli(x_i; sigmoid(logits_i)) (Kingma and Welling 2014, equation 11).

    Grey values in (0, 1) are let through in training, where the term is a cross-entropy; it is
    a log-likelihood for 0 and 1 alone, and `check_support(strict=True)` asks for those.
    """

    parameters = ("logits",)
    support = (0.0, 1.0)
    discrete = True

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        logits = named_parameters(params, self.parameters, type(self).__name__)["logits"]
        return tfd.Independent(_Bernoulli(logits=logits, dtype=tf.float32), event_rank(logits))

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], of the probabilities in `image`.

        Those that rounding has put at 0 or 1 count as SMALLEST, the least normal float32, and as
        1 - 2^-25, halfway between 1 and the float32 before it: 87 and 17 nats for each x they
        rule out, not infinitely many.
        """
        p = tf.cast(statistics["image"], tf.float64)
        p = tf.clip_by_value(p, SMALLEST, LARGEST)
        logits = tf.cast(tf.math.log(p) - tf.math.log1p(-p), tf.float32)
        return self.distribution({"logits": logits})

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses values outside [0, 1], and with `strict` all but 0 and 1."""
        super().check_support(x, strict)
        if strict and not np.all((x == 0) | (x == 1)):
            raise DataError(
                "A Bernoulli log-likelihood is defined for 0 and 1 alone",
                "values in between",
                "Binarize the data, or train with a Gaussian likelihood.",
            )


class _Bernoulli(tfd.Bernoulli):
    """TFP's, whose log-probability takes two softplus functions of the logits where one will do."""

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        logits = self.logits
        return tf.math.multiply_no_nan(logits, event) - tf.nn.softplus(logits)
