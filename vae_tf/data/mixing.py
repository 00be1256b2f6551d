"""Batches that mix labelled and unlabelled examples at a set ratio."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from vae_tf.checks import real, whole
from vae_tf.data.randomness import LABELLED, ORDER, key, permutation
from vae_tf.errors import ConfigError, DataError

UNKNOWN = -1  # as a label


class Mixture:
    """The order of examples in batches, the same share of which is labelled.

    An epoch is one pass over the unlabelled examples. The labelled ones are fewer and come as
    often as it takes, each once before any comes again.

    Args:
        labels: classes [N], -1 where unknown.
        batch_size: B.
        share: of the labelled examples in a batch.

    Raises:
        ConfigError: a batch or a share in which one of the two has no place.
        DataError: there are no labelled or no unlabelled examples.
    """

    def __init__(self, labels: np.ndarray, batch_size: int, share: float):
        batch_size = whole("batch_size", batch_size, least=2)
        if not 0 < real("labelled", share, positive=True) < 1:
            fix = "Pass labelled=0.5 for half of each batch."
            raise ConfigError("`labelled` must be a share between 0 and 1", repr(share), fix)
        known = np.asarray(labels) != UNKNOWN
        for some, kind, fix in (
            (known, "labelled", "Pass the class of some examples; -1 stands for unknown."),
            (~known, "unlabelled", "Batches of labelled examples alone need no mixing: fit(x, y)."),
        ):
            if not np.any(some):
                raise DataError(f"Mixed batches need {kind} examples", "none", fix)
        self.labelled, self.unlabelled = (tf.constant(np.flatnonzero(k)) for k in (known, ~known))
        self.known = min(max(1, round(share * batch_size)), batch_size - 1)
        self.unknown = batch_size - self.known
        self.steps = -(-len(self.unlabelled) // self.unknown)

    def order(self, seed: int, epoch) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns a function of the step to the places [<=B] of its examples, of (seed, epoch)."""
        count = len(self.labelled)
        passes = -(-self.steps * self.known // count)
        noise = tf.random.stateless_uniform([passes, count], key(seed, LABELLED, epoch))
        labelled = tf.gather(self.labelled, tf.reshape(tf.argsort(noise, 1), [-1]))
        order = permutation(len(self.unlabelled), key(seed, ORDER, epoch))
        unlabelled = tf.gather(self.unlabelled, order)

        def chosen(step: tf.Tensor) -> tf.Tensor:
            pairs = (labelled, self.known), (unlabelled, self.unknown)
            return tf.concat([rows[step * n : (step + 1) * n] for rows, n in pairs], 0)

        return chosen


def few_labels(labels: np.ndarray, classes: int, count: int, seed: int) -> np.ndarray:
    """Returns labels of which so many are kept, as equally many of each class as can be.

    Args:
        labels: classes [N].
        classes: how many there are.
        count: of the labels that are kept; the others become -1.
        seed: of the choice.

    Raises:
        DataError: there are not so many labels, or not one for each class.
    """
    if not classes <= count <= len(labels):
        expected = f"The labels to keep must be from {classes}, one a class, to {len(labels)}"
        raise DataError(expected, count, "Keep another number of labels, such as labels=100.")
    order = np.random.default_rng(seed).permutation(len(labels))
    turn: np.ndarray = np.empty(
        len(labels), int
    )  # the how-manieth of its class each is, in that order
    for label in range(classes):
        own = order[labels[order] == label]
        turn[own] = np.arange(len(own))
    kept = order[np.argsort(turn[order], kind="stable")[:count]]
    few: np.ndarray = np.full(len(labels), UNKNOWN, "int32")
    few[kept] = labels[kept]
    return few
