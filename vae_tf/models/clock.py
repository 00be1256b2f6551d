"""Training time, in steps and epochs, and what watches over a training."""

import warnings
from collections.abc import Callable

import keras
import tensorflow as tf

from vae_tf.errors import ConfigError
from vae_tf.models.finite import FiniteGuard
from vae_tf.objectives.schedules import Schedule


class Clock:
    """Values of schedules at the present step of a model's optimizer.

    Args:
        optimizer: returns the optimizer, None before the model is compiled.
        steps_per_epoch: a variable, 0 until a `fit` has told it; saved with the model.
    """

    def __init__(self, optimizer: Callable, steps_per_epoch: keras.Variable):
        self._optimizer, self.steps_per_epoch = optimizer, steps_per_epoch

    def now(self, schedule: Schedule) -> tf.Tensor:
        """Returns the schedule's value, computed in the compiled step."""
        return schedule(self.time(schedule))

    def time(self, schedule: Schedule) -> tf.Tensor:
        """Returns the time in the schedule's unit, a float32 scalar."""
        optimizer = self._optimizer()
        step = tf.cast(tf.convert_to_tensor(optimizer.iterations if optimizer else 0), tf.float32)
        if not schedule.in_epochs:
            return step
        steps = tf.cast(tf.convert_to_tensor(self.steps_per_epoch), tf.float32)
        return tf.math.divide_no_nan(step * self.batches_per_step, steps)

    @property
    def batches_per_step(self) -> int:
        """Batches whose gradients make one step of the optimizer."""
        optimizer = self._optimizer()
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
        return (optimizer and optimizer.gradient_accumulation_steps) or 1

    def has_reached_the_end_of(self, schedule: Schedule) -> bool:
        """Returns whether the schedule has its last value; ask between steps."""
        return float(self.time(schedule)) >= schedule.length


class ScheduleGuard(keras.callbacks.Callback):
    """Tells the clock how long an epoch is, and warns of schedules longer than the run."""

    def on_train_begin(self, logs=None):
        """Takes down the length of an epoch, which schedules in epochs need."""
        self.looked = False
        clock, steps = self.model.clock, self.params["steps"]
        if steps is not None:
            clock.steps_per_epoch.assign(steps)
        elif not int(clock.steps_per_epoch):
            for schedule in self.model.schedules:
                if schedule.in_epochs:
                    name = type(schedule).__name__
                    raise ConfigError(
                        f"{name}(epochs=...) needs to know how many steps an epoch has",
                        "a data set that does not tell",
                        f"Pass steps_per_epoch to fit, or {name}(steps).",
                    )

    def on_epoch_begin(self, epoch, logs=None):
        """Looks once at the schedules; only now is it known where a resumed run begins."""
        steps, epochs = self.params["steps"], self.params["epochs"] - epoch
        if self.looked or steps is None:
            return
        self.looked = True
        clock = self.model.clock
        for schedule in self.model.schedules:
            run = epochs if schedule.in_epochs else epochs * steps // clock.batches_per_step
            end = float(clock.time(schedule)) + run
            if schedule.length > end:
                unit = "epochs" if schedule.in_epochs else "steps"
                warnings.warn(
                    f"{type(schedule).__name__} reaches its last value after {schedule.length} "
                    f"{unit}; this run ends after {end:g}. Train for longer or shorten it.",
                    stacklevel=2,
                )


def watched(callbacks) -> list:
    """Returns Keras's `callbacks` as a list, behind a FiniteGuard and a ScheduleGuard.

    They go first, so that no checkpoint is made of a model that is no longer finite.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    elif callbacks is not None and not isinstance(callbacks, (list, tuple)):
        callbacks = [callbacks]
    return [FiniteGuard(), ScheduleGuard(), *(callbacks or [])]
