"""The running means that `fit` and `evaluate` report, all in one variable."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from vae_tf.objectives import replicas


class Means(keras.metrics.Metric):
    """Means over examples of several values at once, weighted by `sample_weight`.

    A `keras.metrics.Mean` for each value is a dozen operations on single numbers, and a step of a
    small model is long done with its matrices when the last of them has been handed from thread
    to thread.

    Args:
        names: of the values.
    """

    def __init__(self, names: Sequence[str], name: str = "means"):
        super().__init__(name=name, dtype="float32")
        self.names = tuple(names)
        self.sums = self.add_weight(shape=(len(names) + 1,), initializer="zeros", name="sums")

    def update_state(self, values: Mapping[str, tf.Tensor], sample_weight=None):
        """Adds a batch.

        Args:
            values: [B] for each of `names`, or for some of them.
            sample_weight: [B], or None for equal weights.
        """
        nothing = tf.zeros_like(next(iter(values.values())))
        rows = tf.stack([values.get(name, nothing) for name in self.names], 1)  # [B, N]
        if sample_weight is None:
            weight = tf.cast(tf.shape(rows)[0], tf.float32)
        else:
            rows, weight = rows * sample_weight[:, None], tf.reduce_sum(sample_weight)
        # Each replica has the means of all, as Keras averages what the replicas report
        self.sums.assign_add(replicas.total(tf.concat([tf.reduce_sum(rows, 0), weight[None]], 0)))

    def result(self) -> dict[str, tf.Tensor]:
        """Returns the mean of each, 0 before the first batch."""
        sums = tf.convert_to_tensor(self.sums)
        means = tf.unstack(tf.math.divide_no_nan(sums[:-1], sums[-1]))
        return dict(zip(self.names, means, strict=True))
