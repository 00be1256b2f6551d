"""Keras's loops around the steps of a model: `compile`, `fit`, `evaluate`, `predict`."""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.data.pipeline import told
from vae_tf.errors import ConfigError, DataError, NonFiniteError
from vae_tf.models.clock import TimeKeeper
from vae_tf.models.executions import steps_per_execution
from vae_tf.models.feeding import gathered
from vae_tf.models.generator import Generator
from vae_tf.models.inputs import for_keras
from vae_tf.models.optimizers import prepared
from vae_tf.models.problems import ProblemGuard
from vae_tf.models.replicated import on_all_replicas, several_replicas
from vae_tf.models.steps import Steps

COMPILED = ("train_function", "test_function", "predict_function")


class Training(Steps):
    """Trains, evaluates and predicts as a Keras model does, and says what is wrong with data."""

    steps_per_execution: int
    train_function: Any  # Keras's, and None until it is made
    test_function: Any
    _chooses_steps = False  # of the steps per execution, until compiled
    _tolerates_nan = False
    _functions: dict[int, dict]  # by steps per execution, while others are in use

    def compile(
        self,
        optimizer="adam",
        loss=None,
        loss_weights=None,
        metrics=None,
        steps_per_execution: int | Literal["auto"] = "auto",
        **kwargs,
    ):
        """Configures training, as in Keras; loss and metrics are the model's own.

        Args:
            optimizer: an optimizer of Keras. Adam, and subclasses with its update, run as one fused
                kernel for each variable.
            loss: refused.
            loss_weights: refused.
            metrics: refused.
            steps_per_execution: number of batches between two returns to Python. "auto" takes as
                many as need a fraction of a second, but one if a callback of yours listens to
                batches.
            **kwargs: as in Keras.

        Raises:
            ConfigError: an argument that is refused, or an optimizer that several replicas cannot
                share.
        """
        own = {"loss": loss, "loss_weights": loss_weights, "metrics": metrics}
        own["weighted_metrics"] = kwargs.pop("weighted_metrics", None)
        given = [name for name, value in own.items() if value is not None]
        if given:
            fix = "Drop it; give the VAE another `likelihood`, `objective` or `beta` instead."
            raise ConfigError("A VAE brings its own loss and metrics", ", ".join(given), fix)
        # As Keras does with its own functions: layers may have changed in place
        self.generator = Generator(self.parts)
        self._chooses_steps, self._functions = steps_per_execution == "auto", {}
        kwargs["steps_per_execution"] = 1 if self._chooses_steps else steps_per_execution
        with self.distribute_strategy.scope():
            parts = self.encoder, self.decoder
            optimizer = prepared(optimizer, parts, several_replicas(self))
            # TensorFlow cannot loop over the batches of a strategy
            if tf.distribute.has_strategy():
                self._chooses_steps, kwargs["steps_per_execution"] = False, 1
        super().compile(optimizer=optimizer, **kwargs)
        self.clock.restart()

    def get_compile_config(self):
        """Returns the arguments of `compile`."""
        config = super().get_compile_config()
        if config and self._chooses_steps:
            config["steps_per_execution"] = "auto"
        return config

    def compile_from_config(self, config: dict):
        """Compiles the model as it was when saved, and makes room for the optimizer's state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        **kwargs,
    ) -> keras.callbacks.History:
        """Returns the history of training the model, as `keras.Model.fit` does.

        Raises:
            DataError: the data are empty, not finite, of another shape, or outside the
                likelihood's support.
            NonFiniteError: training stopped, because a term was no longer finite.
        """
        weights = {"sample_weight": kwargs.pop("sample_weight", None)}
        weights |= {"class_weight": kwargs.pop("class_weight", None)}
        x = self._taken(x, y, "training", **weights)
        if validation_data is not None:
            given = tuple(validation_data) if isinstance(validation_data, list) else validation_data
            validation_data = self._taken(given, None, "validation")
            if isinstance(validation_data, dict):
                validation_data = (validation_data,)  # Keras takes no dict
        callbacks = _listed(callbacks)
        # A callback of the user's that sees to NaN has its say, and ours is silent
        self._tolerates_nan = any(isinstance(c, keras.callbacks.TerminateOnNaN) for c in callbacks)
        self.first_problem.forget()
        steps = self.steps_per_execution
        if self._chooses_steps:
            ends = kwargs.get("steps_per_epoch"), callbacks, kwargs.get("validation_steps")
            steps = steps_per_execution(x, batch_size, *ends)
        batches = self._gathered(x, batch_size, validation_split, kwargs)
        if batches is not None:
            x = batches
            kwargs |= {"shuffle": False}  # they are in the batches
        with self._executing(steps), told():
            return super().fit(
                x,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=[ProblemGuard(self._tolerates_nan), TimeKeeper(), *callbacks],
                validation_split=validation_split,
                validation_data=validation_data,
                **kwargs,
            )

    def _taken(self, x, y, role: str, sample_weight=None, class_weight=None):
        """Returns data as Keras takes them: an array, a dict of arrays, or a stream."""
        batch = self.door.arrays(x, y, sample_weight, role=role, class_weight=class_weight)
        if isinstance(batch, Iterator):  # of which Keras takes tuples alone
            return (part if isinstance(part, tuple) else (part,) for part in batch)
        return for_keras(batch) if isinstance(batch, Batch) else batch

    def _gathered(self, x, batch_size, validation_split, kwargs) -> tf.data.Dataset | None:
        """Returns batches of arrays, or None where these are Keras's to make."""
        shuffle = kwargs.get("shuffle", True)
        others = (validation_split, kwargs.get("steps_per_epoch"))
        if any(others) or shuffle not in (True, False) or several_replicas(self):
            return None
        return gathered(x, batch_size, shuffle)

    @contextlib.contextmanager
    def _executing(self, steps: int) -> Iterator[None]:
        """Lets a call of Keras's compiled functions take so many batches; each is compiled once."""
        before = self.steps_per_execution
        self._exchange_functions(steps)
        try:
            yield
        finally:
            self._exchange_functions(before)

    def make_train_function(self, force=False):
        """Makes the function of a training batch."""
        if several_replicas(self) and (force or self.train_function is None):
            alike = type(self).train_step is Steps.train_step
            self.train_function = on_all_replicas(self, self.train_step, alike)
        else:
            super().make_train_function(force)
        return self.train_function

    def make_test_function(self, force=False):
        """Makes the function of a batch of evaluation."""
        if several_replicas(self) and (force or self.test_function is None):
            alike = type(self).test_step is Steps.test_step
            self.test_function = on_all_replicas(self, self.test_step, alike)
        else:
            super().make_test_function(force)
        return self.test_function

    def forget_steps(self) -> None:
        """Lets all compiled functions be compiled anew, for every number of steps per execution."""
        self._functions = {}
        super().forget_steps()

    def _exchange_functions(self, steps: int) -> None:
        if steps == self.steps_per_execution:
            return
        self._functions[self.steps_per_execution] = {name: getattr(self, name) for name in COMPILED}
        self.steps_per_execution = steps
        for name in COMPILED:
            setattr(self, name, self._functions.get(steps, {}).get(name))

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **kwargs
    ) -> Any:
        """Returns loss and metrics on `x` in nats, as `keras.Model.evaluate` does.

        Raises:
            DataError: as `fit`.
            NonFiniteError: a term is not finite.
        """
        within_fit = kwargs.get("_use_cached_eval_dataset")
        if not within_fit:
            x, y = self._taken(x, y, "evaluation", sample_weight), None
            self.first_problem.forget()
        with told():
            values = super().evaluate(x, y, batch_size, verbose, **kwargs)
        role = "validation" if within_fit else "evaluation"
        self._raise_problem(role, quiet=bool(within_fit) and self._tolerates_nan)
        if not int(tf.convert_to_tensor(self._batches_seen)):
            fix = "Check the files, the split's name and any filter."
            raise DataError(f"The {role} data must hold examples", "an empty dataset", fix)
        return keras.tree.map_structure(float, values)  # Keras 3.12 returns tensors

    def predict(self, x, *args, **kwargs) -> np.ndarray:
        """Returns reconstructions, as `keras.Model.predict` does.

        Raises:
            DataError: as `fit`.
        """
        x = self._taken(x, None, "prediction")
        self.first_problem.forget()
        self.forget_batches()
        with told():
            images = super().predict(x, *args, **kwargs)
        self._raise_problem("prediction")
        return images

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Trains on one batch, as `keras.Model.train_on_batch` does; raises as `fit` does."""
        self.clock.warn_outside_epochs(self.schedules)
        return self._on_batch(super().train_on_batch, x, y, sample_weight, "training", kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """Evaluates one batch, as `keras.Model.test_on_batch` does; raises as `evaluate` does."""
        return self._on_batch(super().test_on_batch, x, y, sample_weight, "evaluation", kwargs)

    def _on_batch(self, act, x, y, sample_weight, role: str, kwargs):
        x = self._taken(x, y, role, sample_weight, kwargs.pop("class_weight", None))
        self.first_problem.forget()
        values = act(x, **kwargs)
        self._raise_problem(role)
        return values

    def _raise_problem(self, role: str, quiet: bool = False) -> None:
        error = self.first_problem.error(self, role)
        if error and not (quiet and isinstance(error, NonFiniteError)):
            raise error

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Makes the optimizer's state where a strategy needs it beforehand.

        Keras would take a batch away from the data, to build the model with.
        """
        with self.distribute_strategy.scope():
            optimizer = getattr(self, "optimizer", None)
            if not tf.distribute.has_strategy() or optimizer is None or optimizer.built:
                return
            if self.event_shape is None:
                fix = "Call `vae(x[:1])` first, in the scope of the strategy."
                received = "an encoder that does not know its input's shape"
                raise ConfigError("A strategy needs a model that is built", received, fix)
            optimizer.build(self.trainable_variables)

    def converted(self, store: dict) -> dict:
        """Returns the model's own variables; version 0.1.0 kept the time in the optimizer."""
        if set(store.keys()) == {"0", "1", "2"}:  # two counters, and steps_per_epoch
            own = [*self._trainable_variables, *self._non_trainable_variables]
            names = {v.name: str(i) for i, v in enumerate(own)}
            old = store["2"]
            store = {str(i): v.numpy() for i, v in enumerate(own)}
            store[names["steps_per_epoch"]] = old
            self.clock.read_old_file()
        return store


def _listed(callbacks) -> list:
    """Returns Keras's `callbacks` as a list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    if isinstance(callbacks, (list, tuple)):
        return list(callbacks)
    return [] if callbacks is None else [callbacks]
