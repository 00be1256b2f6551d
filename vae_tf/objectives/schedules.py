"""beta as a function of the training step, computed inside the compiled step."""

import keras
import tensorflow as tf

from vae_tf.checks import real, whole
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
    can switch latent units off. The steps are the optimizer's: a model that is compiled anew
    starts again.
    """

    def __init__(self, steps: int, beta: float = 1.0):
        self.steps, self.beta = whole("steps", steps), _weight(beta)

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
    fix = "Pass 1.0 for the ELBO, less or more to trade the KL term against reconstruction."
    return real("beta", beta, positive=False, fix=fix)
