"""Keras's training loop around the terms of a bound: steps, metrics, `fit`, `evaluate`."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import keras
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError
from vae_tf.models import inputs
from vae_tf.models.clock import Clock, watched
from vae_tf.models.core import Core
from vae_tf.models.executions import steps_per_execution
from vae_tf.models.feeding import gathered
from vae_tf.models.generator import Generator
from vae_tf.models.means import Means
from vae_tf.models.optimizers import prepared
from vae_tf.objectives.base import Terms
from vae_tf.objectives.schedules import Constant
from vae_tf.objectives.terms import weighted_mean

COMPILED = ("train_function", "test_function", "predict_function")


class Training(Core):
    """Trains a model whose `call` returns Terms and adds the KL term as a loss."""

    steps_per_execution: int
    _chooses_steps = False  # of the steps per execution, until compiled
    _functions: dict[int, dict]  # by steps per execution, while others are in use

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        own_bound = () if self.objective.has_kl_term else ("bound",)
        names = ("loss", "nll", "kl", "elbo", *own_bound, "beta", "regularization")
        self.means = Means(names)
        counter = {"shape": (), "initializer": "zeros", "dtype": "int64", "trainable": False}
        self._batches_evaluated = self.add_weight(name="batches_evaluated", **counter)
        self._first_bad_stage = self.add_weight(name="first_bad_stage", **counter)
        steps_per_epoch = self.add_weight(name="steps_per_epoch", **counter)
        self.clock = Clock(lambda: getattr(self, "optimizer", None), steps_per_epoch)

    def beta_now(self) -> tf.Tensor:
        """Returns beta at this step, a scalar; a number that was assigned counts at once."""
        if isinstance(self.beta, Constant):
            return tf.convert_to_tensor(self.constant_beta)
        return self.clock.now(self.beta)

    def train_step(self, data) -> dict:
        """Returns the metrics after one gradient step on a batch."""
        batch = self.door.parse(data).tensors()
        with tf.GradientTape() as tape:
            terms = self(batch, training=True)
            loss = self._loss_of(terms, batch.weight)
            scaled_loss = self.optimizer.scale_loss(loss)
        beta = self.beta_now()  # before the step counter moves on
        if self.trainable_weights:
            gradients = tape.gradient(scaled_loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self._note_first_bad_stage(terms.finite)
        return self._metrics_after(terms, loss, beta, batch.weight)

    def test_step(self, data) -> dict:
        """Returns the metrics after one batch of evaluation; the same draws at every call."""
        examples = self.door.parse(data).tensors()
        self._batches_evaluated.assign_add(1)
        batch = tf.cast(tf.convert_to_tensor(self._batches_evaluated), tf.int32)
        seed = tf.stack([tf.constant(self.seed), -batch])  # training counts upwards
        terms = self(examples, seed=seed, training=False)
        loss = self._loss_of(terms, examples.weight)
        return self._metrics_after(terms, loss, self.beta_now(), examples.weight)

    def predict_step(self, data):
        """Returns the reconstruction of a batch."""
        return self.reconstruct(self.door.parse(data))

    def _loss_of(self, terms: Terms, sample_weight) -> tf.Tensor:
        # self.losses: the KL term that `call` added, then penalties and the networks' regularizers
        return weighted_mean(terms.nll, sample_weight) + tf.add_n(self.losses)

    def _metrics_after(self, terms: Terms, loss, beta, sample_weight) -> dict:
        per_example = terms.nll + terms.kl_term
        penalty = loss - weighted_mean(per_example, sample_weight)
        regularized = len(self.losses) > 1
        values = {
            "loss": per_example + (penalty if regularized else 0.0),
            "nll": terms.nll,
            "kl": terms.kl,
            "elbo": -(terms.nll + terms.kl),
            "beta": beta * tf.ones_like(terms.kl),
        }
        if terms.bound is not None:
            values["bound"] = terms.bound
        if regularized:
            values["regularization"] = penalty * tf.ones_like(terms.kl)
        self.means.update_state(values, sample_weight)
        means = self.means.result()
        return {name: means[name] for name in values}

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
        self._batches_evaluated.assign(0)

    def _note_first_bad_stage(self, finite: tf.Tensor) -> None:
        bad = tf.argmin(tf.cast(finite, tf.int8)) + 1
        known = tf.convert_to_tensor(self._first_bad_stage)
        first = (known == 0) & ~tf.reduce_all(finite)
        self._first_bad_stage.assign(tf.where(first, bad, known))

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
        optimizer = prepared(optimizer, (self.encoder, self.decoder))
        super().compile(optimizer=optimizer, **kwargs)

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
        weight = kwargs.pop("sample_weight", None)
        x = self._taken(x, y, weight, "training", kwargs.pop("class_weight", None))
        if validation_data is not None:
            given = tuple(validation_data) if isinstance(validation_data, list) else validation_data
            validation_data = self._taken(given, None, None, "validation")
            if isinstance(validation_data, dict):
                validation_data = (validation_data,)  # a dict is not Keras's form
        self._first_bad_stage.assign(0)
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
                callbacks=watched(callbacks),
                validation_split=validation_split,
                validation_data=validation_data,
                **kwargs,
            )

    def _taken(self, x, y, sample_weight, role: str, class_weight=None):
        """Returns data as Keras takes them: an array, a dict of arrays, or a stream."""
        batch = self.door.arrays(x, y, sample_weight, role=role, class_weight=class_weight)
        return inputs.for_keras(batch) if isinstance(batch, Batch) else batch

    def _gathered(self, x, batch_size, validation_split, kwargs) -> tf.data.Dataset | None:
        """Returns batches of arrays, or None where these are Keras's to make."""
        shuffle = kwargs.get("shuffle", True)
        others = (validation_split, kwargs.get("steps_per_epoch"))
        replicas = self.distribute_strategy.num_replicas_in_sync
        if any(others) or shuffle not in (True, False) or replicas > 1:
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
        """Returns loss and metrics on `x`, as `keras.Model.evaluate` does."""
        if not kwargs.get("_use_cached_eval_dataset"):  # within fit, which has looked already
            x, y = self._taken(x, y, sample_weight, "evaluation"), None
        values = super().evaluate(x, y, batch_size, verbose, **kwargs)
        return keras.tree.map_structure(float, values)  # Keras 3.12 returns tensors
