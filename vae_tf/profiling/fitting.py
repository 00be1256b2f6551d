"""`fit` on a stopwatch, and under TensorFlow's profiler."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import tensorflow as tf

from vae_tf.errors import ConfigError

FOREVER = 10**9  # epochs: schedules must not think that the run ends here
TRACED_STEPS = 10


class Stopwatch(keras.callbacks.Callback):
    """Stops `fit` after `seconds` and at least one execution; the first of all is not counted.

    Attributes:
        step: seconds that a step took.
    """

    def __init__(self, seconds: float):
        super().__init__()
        self.least, self.step = seconds, float("nan")
        self.began: tuple[float, int] | None = None

    def on_train_batch_end(self, batch, logs=None):
        """Starts the watch, or reads it and stops."""
        if self.began is None:
            steps = _steps(self.model)
            self.began = (time.perf_counter(), steps)
        elif time.perf_counter() - self.began[0] >= self.least:
            steps = _steps(self.model)
            self.step = (time.perf_counter() - self.began[0]) / (steps - self.began[1])
            self.model.stop_training = True


class Tracer(keras.callbacks.Callback):
    """Writes a trace of `TRACED_STEPS` steps or one execution, after the first, and stops `fit`.

    Args:
        logs: TensorBoard's directory.
    """

    def __init__(self, logs: Path):
        super().__init__()
        self.logs, self.running, self.began = logs, False, 0
        self.mark: tf.profiler.experimental.Trace | None = None

    def on_train_batch_begin(self, batch, logs=None):
        """Marks the execution, by which TensorBoard tells the time of steps."""
        if self.running:
            self.mark = tf.profiler.experimental.Trace("train", step_num=batch, _r=1)
            self.mark.__enter__()

    def on_train_batch_end(self, batch, logs=None):
        """Starts the profiler, or stops it."""
        steps = _steps(self.model)
        if self.mark is not None:
            self.mark.__exit__(None, None, None)
            self.mark = None
        if not self.running:
            try:
                tf.profiler.experimental.start(str(self.logs))
            except tf.errors.AlreadyExistsError:
                fix = "Stop it, or drop keras.callbacks.TensorBoard(profile_batch=...)."
                raise ConfigError(
                    "A trace needs TensorFlow's profiler", "one that runs", fix
                ) from None
            self.running, self.began = True, steps
        elif steps - self.began >= TRACED_STEPS:
            self.stop()
            self.model.stop_training = True

    def stop(self) -> None:
        """Writes what there is, if the profiler runs."""
        if self.running:
            self.running = False
            tf.profiler.experimental.stop()


def fit(vae, data, callback: keras.callbacks.Callback, **arguments) -> None:
    """Trains until `callback` stops it."""
    shuffle = not isinstance(data, tf.data.Dataset)
    vae.fit(data, epochs=FOREVER, callbacks=[callback], verbose=0, shuffle=shuffle, **arguments)


def in_memory(batch, specs) -> tf.data.Dataset:
    """Returns `batch` again and again, with the shapes of `specs`, as `fit` is compiled for."""

    def as_any(*parts):
        relaxed = [
            tf.compat.v1.placeholder_with_default(part, spec.shape)
            for part, spec in zip(parts, tf.nest.flatten(specs), strict=True)
        ]
        return tf.nest.pack_sequence_as(specs, relaxed)

    flat = tuple(tf.nest.flatten(batch))
    return tf.data.Dataset.from_tensors(flat).repeat().map(as_any).prefetch(tf.data.AUTOTUNE)


def batch_of(data, batch_size: int | None):
    """Returns a batch as `data` gives it, and its specs.

    Raises:
        ConfigError: `data` is neither an array nor a `tf.data.Dataset`.
    """
    if isinstance(data, tf.data.Dataset):
        return next(iter(data)), data.element_spec
    if not hasattr(data, "shape") and not isinstance(data, Mapping):
        fix = "Pass what `fit` gets: a tf.data.Dataset of batches, or an array with batch_size."
        raise ConfigError("A profile needs data it can repeat", type(data).__name__, fix)
    batch = tf.nest.map_structure(lambda a: tf.convert_to_tensor(a[: batch_size or 32]), data)
    specs = tf.nest.map_structure(lambda t: tf.TensorSpec([None, *t.shape[1:]], t.dtype), batch)
    return batch, specs


class Puller:
    """Pulls batches from a data set that nothing else uses, from the beginning at its end."""

    def __init__(self, data: tf.data.Dataset):
        self.batches = self._batches(data)

    def seconds(self, least: float) -> float:
        """Returns the seconds a batch takes, after what was prefetched in a pause is used up."""
        self._pull(least / 2)
        return self._pull(least)

    def _pull(self, least: float) -> float:
        count, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < least or not count:
            next(self.batches)
            count += 1
        return passed / count

    @staticmethod
    def _batches(data: tf.data.Dataset) -> Iterator:
        while True:
            yield from data


def _steps(vae) -> int:
    """Returns how many steps of training there were, once they are done: each draws one seed."""
    return int(vae.seed_generator.state.numpy()[1])
