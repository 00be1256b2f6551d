"""Training time, in steps and epochs, and the callback that keeps it during `fit`."""

import warnings
from collections.abc import Callable

import keras
import tensorflow as tf

from vae_tf.objectives.schedules import Schedule


class Clock:
    """The training time of a model, and the values of schedules at it.

    Time is saved with the model. A step is a call of the model in training, be it by `fit` or by
    a loop of one's own. An epoch is what `fit` says it is: the time is the number of epochs that
    are over plus the share of the present one, so that epochs may differ in length. Until the
    length of an epoch is known, after the first one, its share counts as 0.

    Args:
        add_weight: makes a variable of the model.
        optimizer: returns the optimizer, None before the model is compiled.
    """

    def __init__(self, add_weight: Callable, optimizer: Callable):
        own = {"shape": (), "initializer": "zeros", "trainable": False}
        self.steps_per_epoch = add_weight(name="steps_per_epoch", dtype="int64", **own)
        self.steps = add_weight(name="steps", dtype="int64", **own)
        self.epochs = add_weight(name="epochs", dtype="float32", **own)  # before the present one
        self.epoch_began = add_weight(name="epoch_began", dtype="int64", **own)  # at which step
        self._optimizer = optimizer
        self._in_epoch = self._warned = self._of_old_file = False

    def tick(self, batch: tf.Tensor) -> None:
        """Counts a step, in the compiled step, once `batch` is there.

        Nothing else would have the count wait for the data, and a step that finds a stream at its
        end would be counted.
        """
        with tf.control_dependencies([batch]):
            self.steps.assign_add(1)

    def now(self, schedule: Schedule) -> tf.Tensor:
        """Returns the schedule's value, computed in the compiled step."""
        return schedule(self.time(schedule))

    def time(self, schedule: Schedule) -> tf.Tensor:
        """Returns the time in the schedule's unit, a float32 scalar."""
        if self._of_old_file:
            with tf.init_scope():
                self._read_old_time()
        if schedule.in_epochs:
            share = tf.cast(self.step_of_epoch(), tf.float32)
            share = tf.math.divide_no_nan(
                share, tf.cast(self._value("steps_per_epoch"), tf.float32)
            )
            return self._value("epochs") + tf.minimum(share, 1.0)
        return tf.cast(self._value("steps") // self.batches_per_step, tf.float32)

    def step_of_epoch(self) -> tf.Tensor:
        """Returns how many steps of the present epoch are done, int64."""
        return self._value("steps") - self._value("epoch_began")

    def _value(self, name: str) -> tf.Tensor:
        return tf.convert_to_tensor(getattr(self, name))

    @property
    def batches_per_step(self) -> int:
        """Batches whose gradients make one step of the optimizer."""
        optimizer = self._optimizer()
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
        return (optimizer and optimizer.gradient_accumulation_steps) or 1

    def has_reached_the_end_of(self, schedule: Schedule) -> bool:
        """Returns whether the schedule has its last value; ask between steps."""
        return float(self.time(schedule)) >= schedule.length

    def begin_epoch(self, epoch: float | None = None, steps: int | None = None) -> None:
        """Begins an epoch; `fit` does so, and so may a loop of one's own.

        Args:
            epoch: how many epochs are over, if others say so than this clock.
            steps: how many steps the epoch has, if that is known.
        """
        now = self._in_epochs() if epoch is None else epoch
        self.epochs.assign(now)
        self.epoch_began.assign(self._value("steps"))
        if steps is not None:
            self.steps_per_epoch.assign(steps)
        self._in_epoch = True

    def end_epoch(self, complete: bool = True) -> None:
        """Ends an epoch; one that was left before its end counts for its share."""
        steps = int(self.step_of_epoch())
        self.epochs.assign(float(self._value("epochs")) + 1 if complete else self._in_epochs())
        if complete and steps:
            self.steps_per_epoch.assign(steps)
        self.epoch_began.assign(self._value("steps"))
        self._in_epoch = False

    def _in_epochs(self) -> float:
        unit = Schedule()
        unit.in_epochs = True
        return float(self.time(unit))

    def restart(self) -> None:
        """Begins anew, at time 0."""
        for variable in (self.steps_per_epoch, self.steps, self.epochs, self.epoch_began):
            variable.assign(0)

    def set_to(self, other: "Clock") -> None:
        """Takes the time of another clock."""
        for name in ("steps_per_epoch", "steps", "epochs", "epoch_began"):
            getattr(self, name).assign(other._value(name))

    def warn_outside_epochs(self, schedules) -> None:
        """Warns once, in training outside of any epoch, of schedules that cannot move there."""
        stuck = [type(schedule).__name__ for schedule in schedules if schedule.in_epochs]
        if stuck and not self._in_epoch and not self._warned:
            self._warned = True
            warnings.warn(
                f"{stuck[0]}(epochs=...) does not move in a training loop of your own, which does "
                "not tell its epochs. Call `vae.clock.begin_epoch(steps=...)` and "
                f"`vae.clock.end_epoch()` there, or use {stuck[0]}(steps).",
                stacklevel=2,
            )

    def read_old_file(self) -> None:
        """Takes the time from the optimizer, where version 0.1.0 kept it, once that is loaded."""
        self._of_old_file = True

    def _read_old_time(self) -> None:
        self._of_old_file = False
        optimizer = self._optimizer()
        if optimizer is None:
            return
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        steps = int(tf.convert_to_tensor(optimizer._iterations))
        length = int(self._value("steps_per_epoch"))
        self.steps.assign(steps)
        self.epoch_began.assign(steps)
        self.epochs.assign(steps / length if length else 0.0)


class TimeKeeper(keras.callbacks.Callback):
    """Tells the clock when epochs begin and end, and warns of schedules longer than the run."""

    def on_train_begin(self, logs=None):
        """Forgets the epochs of runs before."""
        self.begun = False

    def on_epoch_begin(self, epoch, logs=None):
        """Begins an epoch; only the first one tells where a resumed run begins."""
        clock, steps = self.model.clock, self.params["steps"]
        resumed = epoch if epoch and not self.begun else None
        clock.begin_epoch(resumed, steps)
        if not self.begun:
            self.begun = True
            self._warn_of_long_schedules(self.params["epochs"] - epoch)

    def on_epoch_end(self, epoch, logs=None):
        """Ends the epoch."""
        clock, steps = self.model.clock, self.params["steps"]
        left_early = self.model.stop_training and steps and int(clock.step_of_epoch()) < steps
        clock.end_epoch(complete=not left_early)

    def _warn_of_long_schedules(self, epochs: int) -> None:
        steps, clock = self.params["steps"], self.model.clock
        for schedule in self.model.schedules:
            if not schedule.in_epochs and steps is None:
                continue
            run = epochs if schedule.in_epochs else epochs * steps // clock.batches_per_step
            end = float(clock.time(schedule)) + run
            if schedule.length > end:
                unit = "epochs" if schedule.in_epochs else "steps"
                warnings.warn(
                    f"{type(schedule).__name__} reaches its last value after {schedule.length} "
                    f"{unit}; this run ends after {end:g}. Train for longer or shorten it.",
                    stacklevel=2,
                )
