"""One step of training, evaluation and prediction, and the means that are reported of them."""

import keras
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.models.clock import Clock
from vae_tf.models.core import Core
from vae_tf.models.means import Means
from vae_tf.models.problems import FirstProblem, data_problem
from vae_tf.objectives import replicas
from vae_tf.objectives.base import Terms
from vae_tf.objectives.schedules import Constant
from vae_tf.objectives.terms import replica_mean


class Steps(Core):
    """Steps of a model whose `call` returns Terms and adds the KL term as a loss."""

    def make_state(self) -> None:
        """Makes what is counted and reported of the steps."""
        own_bound = () if self.objective.has_kl_term else ("bound",)
        names = ("loss", "nll", "kl", "elbo", *own_bound, "beta", "regularization")
        self.means = Means(names)
        # No aggregation: replicas count alike, each in its copy
        own = {"shape": (), "initializer": "zeros", "dtype": "int64", "trainable": False}
        self._batches_seen = self.add_weight(name="batches_seen", **own)  # but in training
        self._examples_seen = self.add_weight(name="examples_seen", **own)  # likewise
        self.first_problem = FirstProblem(self.add_weight)
        self.clock = Clock(self.add_weight, lambda: getattr(self, "optimizer", None))

    def beta_now(self) -> tf.Tensor:
        """Returns beta at this step, a scalar. A number that is assigned counts at once."""
        if isinstance(self.beta, Constant):
            return tf.convert_to_tensor(self.constant_beta)
        return self.clock.now(self.beta)

    @property
    def warming_up(self) -> bool:
        """Whether a schedule has not reached its last value yet; valid between steps."""
        return not all(self.clock.has_reached_the_end_of(s) for s in self.schedules)

    def replace(self, **changes):
        """Returns a model with some parts replaced; its schedules have the same time."""
        model = super().replace(**changes)
        model.clock.set_to(self.clock)
        return model

    def train_step(self, data) -> dict:
        """Returns the metrics after one gradient step on a batch."""
        batch = self._filled(self.door.parse(data).tensors())
        terms, gradients = self.objective.step(self, batch)
        if self.trainable_weights:
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.first_problem.note(terms.problem, self.clock.step_of_epoch())
        return self._metrics_after(terms, batch.weight)

    def loss_of(self, terms: Terms, weight: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the loss whose gradient a step takes, a scalar.

        Over all replicas it adds up to the loss of the whole batch: gradients are added.

        Args:
            terms: terms of the batch.
            weight: weights of the examples, [B], or None.
        """
        loss = replica_mean(terms.nll + terms.kl_term, weight)
        return self.scaled(loss if terms.extra is None else loss + terms.extra)

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """Returns a replica's share of a loss, scaled for the optimizer.

        Args:
            loss: that of the whole batch, or a number whose mean over the replicas it is.
        """
        share, optimizer = loss / replicas.count(), getattr(self, "optimizer", None)
        return share if optimizer is None else optimizer.scale_loss(share)

    def test_step(self, data) -> dict:
        """Returns the metrics after a batch of evaluation; every evaluation has the same draws."""
        batch = self.door.parse(data).tensors()
        before, count = replicas.before(tf.shape(batch.x, tf.int64)[0])
        first = tf.convert_to_tensor(self._examples_seen) + before
        self._examples_seen.assign_add(count)
        batch = self._filled(batch)
        # By example, whatever the batches; training's stream counts upwards
        terms = self(batch, seed=tf.constant([self.seed, -1]), first=first, training=False)
        self.first_problem.note(terms.problem, self._next_batch(batch.x))
        return self._metrics_after(terms, batch.weight)

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

    def _next_batch(self, x: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([x]):  # a stream at its end is no batch
            self._batches_seen.assign_add(1)
        return tf.convert_to_tensor(self._batches_seen)

    def predict_step(self, data):
        """Returns the reconstruction of a batch."""
        batch = self.door.parse(data).tensors()
        self.first_problem.note(data_problem(self.parts, batch), self._next_batch(batch.x))
        return self.parts.image(self.parts.point(batch), batch)

    def _metrics_after(self, terms: Terms, weight: tf.Tensor | None) -> dict:
        per_example, extra = terms.nll + terms.kl_term, terms.extra
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
        self.means.update_state(values, weight)
        means = self.means.result()
        return {name: means[name] for name in values}

    @property
    def metrics(self):
        """The running means that `fit` and `evaluate` report; Keras's own loss is left out."""
        return [self.means]

    @property
    def metrics_names(self):
        """Names of the numbers in the list that `evaluate` returns, in its order."""
        return list(self.means.names)

    def _flatten_metrics_in_order(self, logs):
        return [logs[name] for name in self.means.names if name in logs]

    def reset_metrics(self):
        """Starts new means, and the draws of an evaluation from the beginning."""
        super().reset_metrics()
        self.forget_batches()

    def forget_batches(self) -> None:
        """Counts the batches and examples of an evaluation or a prediction from 0 again."""
        self._batches_seen.assign(0)
        self._examples_seen.assign(0)

    @property
    def batches_seen(self) -> int:
        """The number of batches of the current evaluation or prediction; valid between steps."""
        return int(tf.convert_to_tensor(self._batches_seen))
