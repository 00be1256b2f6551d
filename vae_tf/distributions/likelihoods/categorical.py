"""p(x|z) for data that name one of several classes."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.bounds import MAX_LOGIT, bounded
from vae_tf.distributions.likelihoods.alphabets import Table
from vae_tf.distributions.likelihoods.base import Likelihood, check_whole, event_rank, whole_numbers


@keras.saving.register_keras_serializable(package="vae_tf")
class Categorical(Likelihood):
    """p(x|z) = prod_i softmax(logits_i)[x_i], the data being classes 0, 1, ... as float32.

    The decoder puts out `logits` [*event[:-1], event[-1] * num_classes], those of one element next
    to each other. `distribution(...).mean()` is the mean of the class numbers, which is useful
    where classes have an order; `image` is the most probable class.

    Args:
        num_classes: K, at least 2.

    Raises:
        ConfigError: `num_classes` below 2.

    Example:
        >>> likelihood = vae_tf.likelihoods.Categorical(num_classes=4)
        >>> likelihood.parameter_shapes((10,))
        {'logits': (40,)}
        >>> params = {"logits": tf.zeros([1, 40])}
        >>> likelihood.log_prob(params, tf.ones([1, 10])).numpy().round(3)  # -10 ln 4
        array([-13.863], dtype=float32)
    """

    parameters = ("logits",)
    discrete = True

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = whole("num_classes", num_classes, least=2)
        self.support = (0.0, float(self.num_classes - 1))

    def parameter_shapes(self, event_shape) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each decoder output for data of `event_shape`."""
        *outer, last = event_shape
        return {"logits": (*outer, last * self.num_classes)}

    def _logits(self, params) -> tf.Tensor:
        """Returns the logits, [B, *event, K]."""
        flat = named_parameters(params, self.parameters, type(self).__name__)["logits"]
        *outer, last = flat.shape[1:]
        classes = self.num_classes
        logits = tf.reshape(flat, [-1, *outer, last // classes, classes])
        return bounded(logits, -MAX_LOGIT, MAX_LOGIT)

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event]."""
        logits = self._logits(params)
        return tfd.Independent(tfd.Categorical(logits, dtype=tf.float32), event_rank(logits) - 1)

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `image`, the most probable class, and `probabilities` [B, *event, K]."""
        logits = self._logits(params)
        classes = tf.cast(tf.argmax(logits, -1, output_type=tf.int32), tf.float32)
        return {"image": classes, "probabilities": tf.nn.softmax(logits)}

    def point(self, statistics: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the most probable class, [B, *event]: classes have no mean."""
        return tf.cast(tf.argmax(statistics["probabilities"], -1), tf.float32)

    def from_uniforms(self, params, u: tf.Tensor) -> tf.Tensor:
        """Returns x ~ p(x|z), [B, *event]: the number of classes whose cumulative is below u."""
        below = tf.cumsum(self.statistics(params)["probabilities"], -1)[..., :-1]
        return tf.reduce_sum(tf.cast(u[..., tf.newaxis] > below, tf.float32), -1)

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], of the `probabilities` [B, *event, K].

        Probabilities rounded to 0 count as 2^-126, the least normal float32, which is 87 nats.
        """
        log_p = tf.math.log(tf.maximum(statistics["probabilities"], 2.0**-126))
        *outer, last, classes = log_p.shape[1:]
        return self.distribution({"logits": tf.reshape(log_p, [-1, *outer, last * classes])})

    def allowed(self, x: tf.Tensor) -> tf.Tensor:
        """Returns whether each `x` is a whole number from 0 to K - 1, bool of its shape."""
        return super().allowed(x) & whole_numbers(x)

    def alphabet(self, event_shape) -> Table:
        """Returns the classes."""
        return Table(self.num_classes, lambda params: tf.nn.softmax(self._logits(params)))

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses all but the whole numbers from 0 to K - 1."""
        super().check_support(x, strict)
        check_whole(x, type(self).__name__)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}
