"""Weights as functions of training time, computed inside the compiled step."""

import math

import keras
import tensorflow as tf

from vae_tf.checks import real, whole
from vae_tf.errors import ConfigError
from vae_tf.settings import Settings


class Schedule(Settings):
    """A weight as a function of training time; a subclass gives `__call__` and `get_config`.

    Attributes:
        in_epochs: whether time is counted in epochs, or else in steps of the optimizer. Compiling a
            model sets the time back to 0.
        length: time in that unit at which the last value is reached; 0 if the weight never changes.

    Example:
        >>> class Step(vae_tf.objectives.Schedule):
        ...     in_epochs, length = True, 3
        ...
        ...     def __call__(self, time):
        ...         return tf.where(time < self.length, 0.0, 1.0)
        >>> [float(Step()(epoch)) for epoch in (2, 3)]
        [0.0, 1.0]
    """

    in_epochs = False
    length: float = 0

    def __call__(self, time: tf.Tensor) -> tf.Tensor:
        """Returns the weight at `time`, a scalar, as a float32 scalar."""
        raise ConfigError("A Schedule must define `__call__`", type(self).__name__, "Override it.")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Schedule":
        """Returns the schedule that `get_config` described."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="vae_tf")
class Constant(Schedule):
    """A weight that is always the same.

    Example:
        >>> float(vae_tf.objectives.Constant(4.0)(1000))
        4.0
    """

    def __init__(self, beta: float = 1.0):
        self.beta = _weight(beta)

    def __call__(self, time: tf.Tensor) -> tf.Tensor:
        """Returns the weight."""
        return tf.constant(self.beta)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"beta": self.beta}


class Warmup(Schedule):
    """A weight that starts small and ends at `beta`, after `steps` steps or `epochs` epochs."""

    def __init__(self, steps: int | None = None, beta: float = 1.0, *, epochs: int | None = None):
        if (steps is None) == (epochs is None):
            received = "neither" if steps is None else "both"
            fix = f"Pass {type(self).__name__}(epochs=10) or {type(self).__name__}(5000)."
            raise ConfigError("Either `steps` or `epochs` must be given", received, fix)
        self.steps = None if steps is None else whole("steps", steps)
        self.epochs = None if epochs is None else whole("epochs", epochs)
        self.in_epochs, self.length = steps is None, self.epochs or self.steps or 0
        self.beta = _weight(beta)

    def _progress(self, time: tf.Tensor) -> tf.Tensor:
        """Returns the share of the warm-up that is done, from 0 up."""
        return tf.cast(time, tf.float32) / self.length

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"steps": self.steps, "epochs": self.epochs, "beta": self.beta}


@keras.saving.register_keras_serializable(package="vae_tf")
class LinearWarmup(Warmup):
    """A weight that rises from 0 in a straight line, then stays.

    As `beta` it lets the model learn the likelihood before the KL term can switch latents off
    (Bowman et al. 2016; Sønderby et al. 2016).

    Example:
        >>> beta = vae_tf.objectives.LinearWarmup(epochs=10)  # VAE(..., beta=beta)
        >>> [float(beta(epoch)) for epoch in (0, 5, 10, 20)]
        [0.0, 0.5, 1.0, 1.0]
    """

    def __call__(self, time: tf.Tensor) -> tf.Tensor:
        """Returns beta * min(1, time / length)."""
        return self.beta * tf.minimum(1.0, self._progress(time))


@keras.saving.register_keras_serializable(package="vae_tf")
class CosineWarmup(Warmup):
    """A weight that rises from 0 along half a cosine, then stays: no kink at either end.

    Example:
        >>> beta = vae_tf.objectives.CosineWarmup(epochs=10)
        >>> [round(float(beta(epoch)), 3) for epoch in (0, 5, 10, 20)]
        [0.0, 0.5, 1.0, 1.0]
    """

    def __call__(self, time: tf.Tensor) -> tf.Tensor:
        """Returns beta * (1 - cos(pi min(1, time / length))) / 2."""
        return self.beta * (1 - tf.cos(math.pi * tf.minimum(1.0, self._progress(time)))) / 2


@keras.saving.register_keras_serializable(package="vae_tf")
class Cyclical(Warmup):
    """A weight that rises from 0, `cycles` times over, and then stays (Fu et al. 2019).

    Args:
        steps: length of all cycles together.
        beta: the highest weight.
        epochs: the length in epochs instead.
        cycles: number of times that it rises.
        rising: share of each cycle in which it rises, in a straight line; then it rests.

    Example:
        >>> beta = vae_tf.objectives.Cyclical(steps=400, cycles=4)  # cycles of 100 steps
        >>> [float(beta(step)) for step in (0, 25, 50, 75, 100, 400)]
        [0.0, 0.5, 1.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        steps: int | None = None,
        beta: float = 1.0,
        *,
        epochs: int | None = None,
        cycles: int = 4,
        rising: float = 0.5,
    ):
        super().__init__(steps, beta, epochs=epochs)
        self.cycles, self.rising = whole("cycles", cycles), real("rising", rising, positive=True)
        if self.rising > 1:
            raise ConfigError("`rising` must be at most 1", repr(rising), "Pass rising=0.5.")

    def __call__(self, time: tf.Tensor) -> tf.Tensor:
        """Returns the weight at `time`."""
        time = tf.cast(time, tf.float32)
        # Multiplied before it is divided: whole numbers, so a cycle starts at the very step
        within = tf.math.floormod(time * self.cycles, self.length) / self.length
        rising = tf.minimum(1.0, within / self.rising)
        return self.beta * tf.where(time < self.length, rising, 1.0)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "cycles": self.cycles, "rising": self.rising}


def as_schedule(weight: "float | Schedule", name: str = "beta") -> Schedule:
    """Returns `weight` as a Schedule; a number becomes a Constant.

    Example:
        >>> schedule = vae_tf.objectives.as_schedule(4.0)
        >>> type(schedule).__name__, schedule.beta
        ('Constant', 4.0)
    """
    return weight if isinstance(weight, Schedule) else Constant(_weight(weight, name))


def _weight(value: float, name: str = "beta") -> float:
    fix = "Pass 1.0 for the ELBO, less or more to trade the KL term against reconstruction."
    return real(name, value, positive=False, fix=fix if name == "beta" else "")
