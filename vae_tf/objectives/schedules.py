"""beta as a function of the training step, computed inside the compiled step."""

import math

import keras
import tensorflow as tf

from vae_tf.errors import ConfigError


class Schedule:
    """beta(step); a subclass gives `__call__` and `get_config`."""

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns beta at `step` (an integer scalar), a float32 scalar."""
        raise ConfigError("A Schedule must define it", type(self).__name__, "Override it.")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Schedule":
        """Returns the schedule that `get_config` described."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="vae_tf")
class Constant(Schedule):
    """beta, always the same (Higgins et al. 2017; 1 is the ELBO)."""

    def __init__(self, beta: float = 1.0):
        self.beta = _weight(beta)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns beta."""
        return tf.constant(self.beta)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"beta": self.beta}


@keras.saving.register_keras_serializable(package="vae_tf")
class LinearWarmup(Schedule):
    """beta rising from 0 in a straight line over `steps` steps, then constant.

    Bowman et al. 2016 and Soenderby et al. 2016: the likelihood is learned before the KL term
    can switch latent units off.
    """

    def __init__(self, steps: int, beta: float = 1.0):
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            fix = "Pass the number of training steps, e.g. 1000."
            raise ConfigError("`steps` must be a whole number of at least 1", repr(steps), fix)
        self.steps, self.beta = steps, _weight(beta)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns beta * min(1, step / steps)."""
        return self.beta * tf.minimum(1.0, tf.cast(step, tf.float32) / self.steps)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"steps": self.steps, "beta": self.beta}


def as_schedule(beta: "float | Schedule") -> Schedule:
    """Returns `beta` as a Schedule; a number becomes a Constant."""
    return beta if isinstance(beta, Schedule) else Constant(beta)


def _weight(beta: float) -> float:
    number = isinstance(beta, (int, float)) and not isinstance(beta, bool)
    if not number or not math.isfinite(beta) or beta < 0:
        fix = "Pass 1.0 for the ELBO, less or more to trade the KL term against reconstruction."
        raise ConfigError("`beta` must be a finite number of at least 0", repr(beta), fix)
    return float(beta)
