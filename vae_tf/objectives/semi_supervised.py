"""The model M2 of Kingma, Mohamed, Rezende and Welling (2014): classes that are known of some."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from vae_tf.checks import real
from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Inference, Objective, Terms
from vae_tf.objectives.terms import kl_parts
from vae_tf.wiring import Wiring


@keras.saving.register_keras_serializable(package="vae_tf")
class SemiSupervised(Objective):
    """The bounds of a model conditional on a class that only some examples' labels tell.

    Let L(x, y) be the ELBO given the class. Where the label is known, the bound is log p(y) + L(x,
    y), on log p(x, y) (Kingma et al. 2014, equation 6). Where it is unknown, the classifier's
    q(y|x) gives sum_y q(y|x) (L(x, y) + log p(y) - log q(y|x)), a bound on log p(x) (equation 7).
    All classes of all examples are computed in one batch. A known label adds -classifier_weight log
    q(y|x) to the loss (equation 9). The reported KL is KL(q(y, z|x) || p(y, z)).

    Labels are the field `label`, or `y`: classes from 0, and -1 where unknown.

    Args:
        classifier: a Keras model from x to logits of q(y|x), [B, K].
        num_samples: draws of z for each example and class.
        classifier_weight: weight of -log q(y|x) for each labelled example.
        class_probs: p(y), [K]; uniform if None.

    Attributes:
        num_classes: K.

    Raises:
        ConfigError: the classifier does not tell K, or `class_probs` are no probabilities.

    Example:
        >>> networks = vae_tf.networks
        >>> classifier = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
        >>> vae = vae_tf.VAE(
        ...     networks.mlp_encoder((8,), 2, condition=3),
        ...     networks.mlp_decoder(2, {"logits": (8,)}, condition=3),
        ...     objective=vae_tf.objectives.SemiSupervised(classifier),
        ... )
        >>> terms = vae((np.ones((4, 8)), np.array([0, 2, -1, -1])))  # two labels are unknown
        >>> vae.classify(np.ones((4, 8))).shape.as_list()
        [4, 3]
    """

    has_kl_term = False

    def __init__(
        self,
        classifier: keras.Model,
        num_samples: int = 1,
        classifier_weight: float = 1.0,
        class_probs: Sequence[float] | None = None,
        **kwargs,
    ):
        super().__init__(num_samples, **kwargs)
        if isinstance(classifier, dict):
            classifier = keras.saving.deserialize_keras_object(classifier)
        self.wiring = Wiring(classifier, "classifier", main="x")
        shape = self.wiring.output_shapes()
        if shape is None and isinstance(classifier, keras.Sequential) and classifier.built:
            shape = tuple(classifier.output_shape[1:])
        shape = next(iter(shape.values())) if isinstance(shape, dict) and len(shape) == 1 else shape
        if not isinstance(shape, tuple) or len(shape) != 1 or (shape[0] or 0) < 2:
            fix = "End it with keras.layers.Dense(number of classes)."
            raise ConfigError("The classifier must put out logits [B, K], K >= 2", shape, fix)
        self.classifier = classifier
        self.num_classes = self.copies = int(shape[0])
        fix = "Pass a multiple of 0.1 over the labelled share of a batch."
        self.classifier_weight = real(
            "classifier_weight", classifier_weight, positive=False, fix=fix
        )
        self.class_probs = None if class_probs is None else list(map(float, class_probs))
        given = np.array(self.class_probs or [1.0] * self.num_classes)
        if given.shape != (self.num_classes,) or not np.all(given > 0):
            fix = "Pass class_probs=None for equal ones."
            expected = f"`class_probs` must be {self.num_classes} numbers above 0"
            raise ConfigError(expected, self.class_probs, fix)
        self.log_py = np.log(given / given.sum()).astype("float32")

    def log_q(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Returns log q(y|x), [B, K]."""
        fields = {"mask": tf.ones_like(batch.x), **batch.present()}
        (logits,) = tf.nest.flatten(self.wiring(fields, training))
        return tf.nn.log_softmax(tf.cast(logits, tf.float32))

    def labels(self, batch: Batch) -> tf.Tensor:
        """Returns the labels of a batch, int32 [B], -1 where unknown."""
        if batch.label is None:
            return tf.fill(tf.shape(batch.x)[:1], -1)
        return tf.cast(tf.reshape(batch.label, [-1]), tf.int32)

    def told(self, batch: Batch) -> Batch:
        """Returns the batch with a condition: the label, or else the most probable class."""
        label = self.labels(batch)
        likeliest = tf.argmax(self.log_q(batch), -1, tf.int32)
        return batch._replace(condition=tf.where(label >= 0, label, likeliest))

    def log_prior(self, batch: Batch) -> tf.Tensor:
        """Returns log p(y) of each possible class of an example, [B, K]; -inf for other classes."""
        label = self.labels(batch)[:, None]
        possible = (label < 0) | (label == tf.range(self.num_classes))
        return tf.where(possible, self.log_py, -np.inf)

    def drawn(self, rows, seed: tf.Tensor) -> tf.Tensor:
        """Returns classes y ~ p(y), int32 [rows]."""
        return tf.random.stateless_categorical(self.log_py[None], rows, seed, tf.int32)[0]

    def examples(self, batch: Batch) -> Batch:
        """Returns every example under every class, [B * K], the rows of an example together."""
        times = self.copies
        classes = tf.tile(tf.range(times), tf.shape(batch.x)[:1])
        fields = batch._replace(condition=None)
        repeated = (None if field is None else tf.repeat(field, times, 0) for field in fields)
        return Batch(*repeated)._replace(condition=classes)

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch, whose examples occur under every class."""
        batch = inference.batch.rows(slice(None, None, self.num_classes))
        log_q, label = self.log_q(batch, inference.training), self.labels(batch)
        z = inference.draw(self.num_samples)
        nll = -tf.reduce_mean(inference.log_px(z), 0)
        kl = tf.reduce_sum(kl_parts(inference.groups(z)), -1)
        nll, kl = (tf.reshape(part, [-1, self.num_classes]) for part in (nll, kl))
        known, one_hot = label[:, None] >= 0, tf.one_hot(label, self.num_classes)  # -1: zeros
        weights = tf.where(known, one_hot, tf.exp(log_q))
        # KL(q(y|x) || p(y)), or -log p(y)
        of_y = tf.reduce_sum(weights * (tf.where(known, 0.0, log_q) - self.log_py), -1)
        nll = tf.reduce_sum(weights * nll, -1)
        kl = tf.reduce_sum(weights * kl, -1) + of_y
        of_classifier = -self.classifier_weight * tf.reduce_sum(one_hot * log_q, -1)
        bound = tf.stop_gradient(-(nll + kl))
        return Terms(nll, kl, inference.beta * kl + of_classifier, z, bound)

    def get_config(self) -> dict:
        """Returns the constructor's arguments, serialized."""
        classifier = keras.saving.serialize_keras_object(self.classifier)
        own = {"classifier": classifier, "classifier_weight": self.classifier_weight}
        return {**super().get_config(), **own, "class_probs": self.class_probs}
