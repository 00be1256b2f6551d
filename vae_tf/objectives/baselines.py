"""What score-function estimators subtract from their signal: less variance, the same mean."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from vae_tf.checks import real
from vae_tf.distributions.base import ModelPart
from vae_tf.errors import ConfigError
from vae_tf.objectives.terms import weighted_mean


class Baseline(ModelPart):
    """A baseline b, independent of the draw it is subtracted for; a subclass gives `value`.

    Example:
        >>> class Known(vae_tf.objectives.Baseline):
        ...     def value(self, x, signal):
        ...         return tf.constant(100.0)  # nats that every example costs
        >>> objective = vae_tf.objectives.ScoreFunction(baseline=Known())
        >>> float(objective.baseline.value(x=None, signal=None))
        100.0
    """

    use = "Give it to a ScoreFunction: `ScoreFunction(baseline=...)`."
    least_samples = 1

    def value(self, x: tf.Tensor, signal: tf.Tensor) -> tf.Tensor:
        """Returns b for a signal [S, B] of the data `x`, broadcastable to it."""
        raise ConfigError("A Baseline must define `value`", type(self).__name__, "Override it.")

    def learn(self, x: tf.Tensor, signal: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the baseline's own loss [B], or 0 if it learns in another way."""
        return tf.constant(0.0)


@keras.saving.register_keras_serializable(package="vae_tf")
class RunningMean(Baseline):
    """The mean signal of past batches, fading by `decay` with each (Williams 1992).

    Args:
        decay: weight of the past at each batch, at least 0 and below 1.

    Example:
        >>> baseline = vae_tf.objectives.RunningMean(decay=0.9)
        >>> for nats in (100.0, 100.0):
        ...     _ = baseline.learn(None, tf.fill([1, 3], nats), training=True)
        >>> round(float(baseline.value(x=None, signal=None)), 3)
        100.0
    """

    def __init__(self, decay: float = 0.99, **kwargs):
        super().__init__(**kwargs)
        self.decay = real("decay", decay, positive=False)
        if self.decay >= 1:
            raise ConfigError("`decay` must be below 1", repr(decay), "Pass decay=0.99.")
        own = {"shape": (), "initializer": "zeros", "trainable": False}
        names = ("total", "total_of_squares", "weight")
        self.sums = [self.add_weight(name=name, **own) for name in names]

    def moments(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the mean and the standard deviation so far; 0 and 1 before the first batch."""
        total, squares, weight = (tf.convert_to_tensor(part) for part in self.sums)
        mean = tf.math.divide_no_nan(total, weight)
        variance = tf.math.divide_no_nan(squares, weight) - tf.square(mean)
        return mean, tf.where(variance > 0, tf.sqrt(tf.maximum(variance, 1e-12)), 1.0)

    def value(self, x: tf.Tensor, signal: tf.Tensor) -> tf.Tensor:
        """Returns the mean so far, a scalar."""
        return self.moments()[0]

    def learn(self, x: tf.Tensor, signal: tf.Tensor, training: bool) -> tf.Tensor:
        """Adds the batch to the mean, in training, and returns 0."""
        if training:
            draws = tf.reduce_mean(signal, 0), tf.reduce_mean(tf.square(signal), 0)
            news = (*(weighted_mean(values, None) for values in draws), 1.0)
            for total, new in zip(self.sums, news, strict=True):
                total.assign(self.decay * total + new)
        return tf.constant(0.0)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "decay": self.decay}


@keras.saving.register_keras_serializable(package="vae_tf")
class LearnedBaseline(RunningMean):
    """The running mean plus a network of x (Mnih and Gregor 2014, section 2.3).

    The network is fitted by least squares to the difference from the mean, in units of the running
    standard deviation, so that signals of hundreds of nats are learned as fast as small ones.

    Args:
        event_shape: shape of one example.
        hidden: widths of its hidden layers.
        decay: decay of the running mean.
        seed: seed of its initial weights.

    Example:
        >>> baseline = vae_tf.objectives.LearnedBaseline(event_shape=(8,))
        >>> objective = vae_tf.objectives.ScoreFunction(baseline=baseline)
        >>> baseline.value(tf.ones([3, 8]), signal=tf.zeros([1, 3])).shape.as_list()
        [1, 3]
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        hidden: Sequence[int] = (100,),
        decay: float = 0.99,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(decay, **kwargs)
        self.event_shape, self.hidden, self.seed = tuple(event_shape), tuple(hidden), seed
        layers = [keras.layers.Flatten(dtype="float32")]
        for i, width in enumerate((*self.hidden, 1)):
            start = keras.initializers.GlorotUniform(seed=seed + i)
            kind = "tanh" if i < len(self.hidden) else None
            layers.append(
                keras.layers.Dense(width, kind, kernel_initializer=start, dtype="float32")
            )
        self.network = keras.Sequential([keras.Input(self.event_shape), *layers])

    def value(self, x: tf.Tensor, signal: tf.Tensor) -> tf.Tensor:
        """Returns b(x), [1, B]."""
        mean, scale = self.moments()
        return mean + scale * self._residual(x)

    def _residual(self, x: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.network(x), tf.float32)[None, :, 0]

    def learn(self, x: tf.Tensor, signal: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the squared error in units of the variance, mean over the draws, [B]."""
        mean, scale = self.moments()
        super().learn(x, signal, training)
        return tf.reduce_mean(tf.square(self._residual(x) - (signal - mean) / scale), 0)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        own = {"event_shape": self.event_shape, "hidden": self.hidden, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="vae_tf")
class LeaveOneOut(Baseline):
    """The mean signal of the other draws for the same example (Kool et al. 2019).

    Example:
        >>> signal = tf.constant([[1.0], [2.0], [6.0]])  # three draws, one example
        >>> vae_tf.objectives.LeaveOneOut().value(None, signal).numpy()
        array([[4. ],
               [3.5],
               [1.5]], dtype=float32)
    """

    least_samples = 2

    def value(self, x: tf.Tensor, signal: tf.Tensor) -> tf.Tensor:
        """Returns for each draw the mean of the others, [S, B]."""
        others = tf.cast(tf.shape(signal)[0] - 1, tf.float32)
        return (tf.reduce_sum(signal, 0) - signal) / others
