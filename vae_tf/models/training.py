"""Keras's training loop around the terms of a bound: steps, metrics, `fit`, `evaluate`."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import keras
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError, DataError, NonFiniteError
from vae_tf.models.clock import Clock, TimeKeeper
from vae_tf.models.core import Core
from vae_tf.models.executions import steps_per_execution
from vae_tf.models.feeding import gathered
from vae_tf.models.generator import Generator
from vae_tf.models.inputs import for_keras
from vae_tf.models.means import Means
from vae_tf.models.optimizers import prepared
from vae_tf.models.problems import FirstProblem, ProblemGuard, data_problem
from vae_tf.objectives import replicas
from vae_tf.objectives.base import Terms
from vae_tf.objectives.schedules import Constant
from vae_tf.objectives.terms import weighted_mean

COMPILED = ("train_function", "test_function", "predict_function")


class Training(Core):
    """Trains a model whose `call` returns Terms and adds the KL term as a loss."""

    steps_per_execution: int
    _chooses_steps = False  # of the steps per execution, until compiled
    _tolerates_nan = False
    _functions: dict[int, dict]  # by steps per execution, while others are in use

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        own_bound = () if self.objective.has_kl_term else ("bound",)
        names = ("loss", "nll", "kl", "elbo", *own_bound, "beta", "regularization")
        self.means = Means(names)
        # No aggregation: replicas count alike, each in its copy
        own = {"shape": (), "initializer": "zeros", "dtype": "int64", "trainable": False}
        self._batches_seen = self.add_weight(name="batches_seen", **own)  # but in training
        self.first_problem = FirstProblem(self.add_weight)
        self.clock = Clock(self.add_weight, lambda: getattr(self, "optimizer", None))

    def beta_now(self) -> tf.Tensor:
        """Returns beta at this step, a scalar; a number that was assigned counts at once."""
        if isinstance(self.beta, Constant):
            return tf.convert_to_tensor(self.constant_beta)
        return self.clock.now(self.beta)

    @property
    def warming_up(self) -> bool:
        """Whether a schedule has not reached its last value yet; ask between steps."""
        return not all(self.clock.has_reached_the_end_of(s) for s in self.schedules)

    def replace(self, **changes):
        """Returns what `Core.replace` does, at the same time in its schedules."""
        model = super().replace(**changes)
        model.clock.set_to(self.clock)
        return model

    def train_step(self, data) -> dict:
        """Returns the metrics after one gradient step on a batch."""
        examples = self._filled(self.door.parse(data).tensors())
        with tf.GradientTape() as tape:
            terms = self(examples, training=True)
            loss, extra = self._loss_of(terms, examples.weight)
            # It is the same on all replicas, whose gradients are added
            scaled_loss = self.optimizer.scale_loss(loss / replicas.count())
        if self.trainable_weights:
            gradients = tape.gradient(scaled_loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.first_problem.note(terms.problem, self.clock.step_of_epoch())
        return self._metrics_after(terms, extra, examples.weight)

    def test_step(self, data) -> dict:
        """Returns the metrics after one batch of evaluation; the same draws at every call."""
        examples = self._filled(self.door.parse(data).tensors())
        batch = self._next_batch()
        seed = tf.stack([tf.constant(self.seed), -tf.cast(batch, tf.int32)])  # training counts up
        seed = replicas.own_seed(seed)
        terms = self(examples, seed=seed, training=False)
        _, extra = self._loss_of(terms, examples.weight)
        self.first_problem.note(terms.problem, batch)
        return self._metrics_after(terms, extra, examples.weight)

    def _filled(self, batch: Batch) -> Batch:
        """Returns a batch with something in it on every replica, and the weight of each example.

        A last batch may leave a replica nothing. It then gets one example that has no weight, for
        the mean over nothing is no number.
        """
        if replicas.count() == 1:
            return batch
        rows = tf.shape(batch.x)[0]
        weight = tf.ones([rows]) if batch.weight is None else batch.weight
        missing = tf.cast(rows == 0, tf.int32)

        def filled(field, value=0):
            shape = tf.concat([missing[None], tf.shape(field)[1:]], 0)
            more = tf.broadcast_to(tf.cast(value, field.dtype), shape)
            return tf.concat([field, more], 0)

        others = keras.tree.map_structure(
            lambda field: None if field is None else filled(field),
            (batch.mask, batch.condition, batch.label, weight),
        )
        return Batch(filled(batch.x, self.likelihood.placeholder(batch.x.shape[1:])), *others)

    def _next_batch(self) -> tf.Tensor:
        self._batches_seen.assign_add(1)
        return tf.convert_to_tensor(self._batches_seen)

    def predict_step(self, data):
        """Returns the reconstruction of a batch."""
        batch = self.door.parse(data).tensors()
        self.first_problem.note(data_problem(self.parts, batch), self._next_batch())
        return self.parts.image(self.parts.point(batch), batch)

    def _loss_of(self, terms: Terms, sample_weight) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns the loss, and what of it belongs to no example: None if there is nothing.

        On several replicas it is the loss of the whole batch. A penalty is computed from each
        replica's part of the batch, and averaged.
        """
        loss, extra = weighted_mean(terms.nll + terms.kl_term, sample_weight), terms.extra
        if extra is None:
            return loss, None
        if sample_weight is not None:
            extra = replicas.mean(extra, tf.reduce_sum(sample_weight))
        return loss + extra, extra

    def _metrics_after(self, terms: Terms, extra, sample_weight) -> dict:
        per_example = terms.nll + terms.kl_term
        ones = tf.ones_like(terms.kl)
        values = {
            "loss": per_example if extra is None else per_example + extra,
            "nll": terms.nll,
            "kl": terms.kl,
            "elbo": -(terms.nll + terms.kl),
            "beta": terms.beta * ones,
        }
        if terms.bound is not None:
            values["bound"] = terms.bound
        if extra is not None:
            values["regularization"] = extra * ones
        self.means.update_state(values, sample_weight)
        means = self.means.result()
        # Keras averages over the first axis where there are several workers
        shape = [1] if replicas.several_workers() else []
        return {name: tf.reshape(means[name], shape) for name in values}

    @property
    def metrics(self):
        """The running means that `fit` and `evaluate` report; Keras's own loss is left out."""
        return [self.means]

    @property
    def metrics_names(self):
        """What `evaluate` returns where it returns a list, in this order."""
        return list(self.means.names)

    def _flatten_metrics_in_order(self, logs):
        return [logs[name] for name in self.means.names if name in logs]

    def reset_metrics(self):
        """Starts new means, and the draws of an evaluation from the first."""
        super().reset_metrics()
        self._batches_seen.assign(0)

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
            optimizer: Adam and what inherits its update run as one fused kernel a variable.
            loss: refused.
            loss_weights: refused.
            metrics: refused.
            steps_per_execution: batches for each return to Python. "auto": as many as take a
                fraction of a second, and one where a callback of yours listens to batches.
            **kwargs: as in Keras.
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
            several = self.distribute_strategy.num_replicas_in_sync > 1
            optimizer = prepared(optimizer, (self.encoder, self.decoder), several)
            # TensorFlow cannot loop over the batches of a strategy
            if tf.distribute.has_strategy():
                self._chooses_steps, kwargs["steps_per_execution"] = False, 1
        super().compile(optimizer=optimizer, **kwargs)
        self.clock.restart()

    def get_compile_config(self):
        """Returns what `compile` was given."""
        config = super().get_compile_config()
        if config and self._chooses_steps:
            config["steps_per_execution"] = "auto"
        return config

    def compile_from_config(self, config: dict):
        """Compiles as the saved model was, and makes room for the optimizer's state."""
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
    ):
        """Trains, as `keras.Model.fit` does, after a look at the data.

        Raises:
            DataError: the data are empty, not finite, of another shape, or outside the
                likelihood's support.
            NonFiniteError: training stopped because a term was no longer finite.
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
            steps = steps_per_execution(x, batch_size, kwargs.get("steps_per_epoch"), callbacks)
        batches = self._gathered(x, batch_size, validation_split, kwargs)
        if batches is not None:
            x = batches
            kwargs |= {"shuffle": False}  # they are in the batches
        with self._executing(steps):
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
        return for_keras(batch) if isinstance(batch, Batch) else batch

    def _gathered(self, x, batch_size, validation_split, kwargs) -> tf.data.Dataset | None:
        """Returns batches of arrays, or None where these are Keras's to make."""
        shuffle = kwargs.get("shuffle", True)
        others = (validation_split, kwargs.get("steps_per_epoch"))
        several = self.distribute_strategy.num_replicas_in_sync > 1
        if any(others) or shuffle not in (True, False) or several:
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

    def _exchange_functions(self, steps: int) -> None:
        if steps == self.steps_per_execution:
            return
        self._functions[self.steps_per_execution] = {name: getattr(self, name) for name in COMPILED}
        self.steps_per_execution = steps
        for name in COMPILED:
            setattr(self, name, self._functions.get(steps, {}).get(name))

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **kwargs
    ):
        """Returns loss and metrics on `x`, as `keras.Model.evaluate` does.

        Raises:
            DataError: as `fit`.
            NonFiniteError: a term is not finite.
        """
        within_fit = kwargs.get("_use_cached_eval_dataset")
        if not within_fit:
            x, y = self._taken(x, y, "evaluation", sample_weight), None
            self.first_problem.forget()
        values = super().evaluate(x, y, batch_size, verbose, **kwargs)
        role = "validation" if within_fit else "evaluation"
        self._raise_problem(role, quiet=bool(within_fit) and self._tolerates_nan)
        if not int(tf.convert_to_tensor(self._batches_seen)):
            fix = "Check the files, the split's name and any filter."
            raise DataError(f"The {role} data must hold examples", "an empty dataset", fix)
        return keras.tree.map_structure(float, values)  # Keras 3.12 returns tensors

    def predict(self, x, *args, **kwargs):
        """Returns reconstructions, as `keras.Model.predict` does.

        Raises:
            DataError: as `fit`.
        """
        x = self._taken(x, None, "prediction")
        self.first_problem.forget()
        self._batches_seen.assign(0)
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
        """Does nothing: for what is built here, Keras would take a batch away from a stream."""

    def load_own_variables(self, store):
        """Restores the model's own state; version 0.1.0 kept the time in the optimizer."""
        if set(store.keys()) == {"0", "1", "2"}:  # two counters, and steps_per_epoch
            own = [*self._trainable_variables, *self._non_trainable_variables]
            names = {v.name: str(i) for i, v in enumerate(own)}
            old = store["2"]
            store = {str(i): v.numpy() for i, v in enumerate(own)}
            store[names["steps_per_epoch"]] = old
            self.clock.read_old_file()
        super().load_own_variables(store)


def _listed(callbacks) -> list:
    """Returns Keras's `callbacks` as a list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    if isinstance(callbacks, (list, tuple)):
        return list(callbacks)
    return [] if callbacks is None else [callbacks]
