"""One split: pixels, or rows of a table, in storage -> batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf

from vae_tf.checks import whole
from vae_tf.data.binarization import bernoulli
from vae_tf.data.mixing import Mixture
from vae_tf.data.pipeline import beside_training
from vae_tf.data.randomness import FIXED_DRAW, ORDER, TRAINING_DRAW, check_seed, key, permutation
from vae_tf.data.source import SPLITS
from vae_tf.data.storage import Storage, as_tensor, chunks
from vae_tf.errors import DataError

_BLOCK = 256  # Rows that share the key of a fixed draw, so that it knows nothing of batch sizes.


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """The examples of one split, fed as float32: images [B, H, W, C] in [0, 1], rows [B, D].

    Where values are missing, examples are fed as dicts {"x": ..., "mask": ...}.

    Attributes:
        name: "train", "validation" or "test".
        stored: Pixels [M, H, W, C], uint8 or float32, or rows [M, D]; several splits may share
            them.
        rows: Numbers of the stored examples in this split, [N] int64, ascending.
        labels: Classes of the examples, [N], or None.
        white: The stored value that stands for 1.0.
        binarize: Whether batches are Bernoulli draws of the stored grey values.
        seed: Seed of the draws that `batches` feeds.
        observed: Whether each value of `stored` was observed, bool of its shape; None if all were.
        factors: Other numbers known of each example, by name, each [N].

    Example:
        >>> split = vae_tf.data.load("digits").validation
        >>> x, labels = next(iter(split.batches(50, labels=True)))
        >>> x.shape.as_list(), labels.shape.as_list()
        ([50, 8, 8, 1], [50])
    """

    name: str
    stored: np.ndarray
    rows: np.ndarray
    labels: np.ndarray | None
    white: int
    binarize: bool
    seed: int
    observed: np.ndarray | None = None
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def num_examples(self) -> int:
        """Number of images N."""
        return len(self.rows)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the number of batches in which every image comes once."""
        return -(-self.num_examples // whole("batch_size", batch_size))

    def training_batches(
        self, batch_size: int, seed: int, start_epoch: int = 0, labels: bool = False
    ) -> tf.data.Dataset:
        """Returns endless batches [<=B, H, W, C], each epoch a new order, its last batch partial.

        With `labels` they are pairs (images, labels [<=B] int32).

        The order of epoch e depends on (seed, e) alone, and draws on (seed, e, step), so that a run
        resumed at epoch e is fed the batches of an uninterrupted one. For Keras:
        `fit(ds, steps_per_epoch=split.steps_per_epoch(batch_size), initial_epoch=start_epoch)`.

        Raises:
            ConfigError: An argument is out of range.
            DataError: `labels` are asked for, and there are none.
        """
        steps, classes = self.steps_per_epoch(batch_size), self._classes(labels)
        seed = check_seed(seed)

        def order(e):
            order = permutation(self.num_examples, key(seed, ORDER, e))
            return lambda step: order[step * batch_size : (step + 1) * batch_size]

        return self._endless(order, steps, seed, start_epoch, classes)

    def mixed_batches(
        self, batch_size: int, labelled: float, seed: int, start_epoch: int = 0
    ) -> tf.data.Dataset:
        """Returns endless pairs (images, labels) of which the share `labelled` has a label.

        The other labels are -1. An epoch has `Mixture(...).steps` batches; their order and draws
        are as in `training_batches`.

        Raises:
            ConfigError: An argument is out of range.
            DataError: There are no labelled or no unlabelled examples.
        """
        seed, classes = check_seed(seed), self._classes(True)
        mixture = Mixture(np.asarray(self.labels), batch_size, labelled)
        return self._endless(
            lambda e: mixture.order(seed, e), mixture.steps, seed, start_epoch, classes
        )

    def _endless(self, order, steps: int, seed: int, start_epoch: int, classes) -> tf.data.Dataset:
        """Returns the batches of all epochs from `start_epoch` on.

        Args:
            order: from an epoch to a function of the step to the places of its examples.
            steps: of an epoch.
            seed: seed of draws.
            start_epoch: the first.
            classes: labels, or None.
        """
        first, gather = whole("start_epoch", start_epoch, least=0), self._gatherer()

        def epoch(e):
            chosen = order(e)
            return tf.data.Dataset.range(steps).map(lambda step: (chosen(step), e, step))

        def batch(chosen, e, step):
            x = gather(chosen)
            x = self._drawn(x, key(seed, TRAINING_DRAW, e, step))
            return x if classes is None else (x, tf.gather(classes, chosen))

        batches = tf.data.Dataset.counter(first).flat_map(epoch).map(batch)
        return beside_training(batches, tf.data.INFINITE_CARDINALITY)

    def batches(self, batch_size: int, labels: bool = False) -> tf.data.Dataset:
        """Returns every image once, in fixed order, in batches [<=B, H, W, C].

        With `labels` they are pairs (images, labels [<=B] int32).

        A binarized split feeds the same draw each time, whatever the batch size, so that numbers
        can be compared between epochs and between runs.

        Raises:
            ConfigError: `batch_size` is not positive.
            DataError: `labels` are asked for, and there are none.
        """
        steps, classes = self.steps_per_epoch(batch_size), self._classes(labels)
        gather, position = self._gatherer(), SPLITS.index(self.name)

        def block(i):
            chosen = tf.range(i * _BLOCK, tf.minimum((i + 1) * _BLOCK, self.num_examples))
            x = gather(chosen)
            x = self._drawn(x, key(self.seed, FIXED_DRAW, position, i))
            return x if classes is None else (x, tf.gather(classes, chosen))

        blocks = tf.data.Dataset.range(self.steps_per_epoch(_BLOCK)).map(block)
        return beside_training(blocks.rebatch(batch_size), steps)

    def array(self, limit: int | None = None) -> np.ndarray:
        """Returns the first `limit` images, or all, [N, H, W, C] float32 as `batches` feeds them.

        Raises:
            ConfigError: `limit` is negative.
        """
        count = self.num_examples
        if limit is not None:
            count = min(count, whole("limit", limit, least=0))
        images: np.ndarray = np.empty((count, *self._shape), np.float32)
        start = 0
        for batch in self.batches(_BLOCK).take(-(-count // _BLOCK)).as_numpy_iterator():
            x = batch["x"] if isinstance(batch, dict) else batch
            images[start : start + _BLOCK] = x[: count - start]
            start += _BLOCK
        return images

    def undrawn(self) -> np.ndarray:
        """Returns the images as `array` does, but the grey values in place of their draws."""
        return replace(self, binarize=False).array()

    def add_to(self, digest) -> None:
        """Updates a hash with the stored values of the split and their mask."""
        for part in chunks(self.stored):
            inside = self.rows[(self.rows >= part.start) & (self.rows < part.stop)]
            digest.update(self.stored[inside].tobytes())
            if self.observed is not None:
                digest.update(self.observed[inside].tobytes())

    def mask(self) -> np.ndarray | None:
        """Returns the mask of `array`, [N, ...] float32; None if everything was observed."""
        return None if self.observed is None else self.observed[self.rows].astype("float32")

    def part(self, chosen: np.ndarray) -> "Split":
        """Returns a split of some of the images, given their numbers [n] from 0 to N - 1.

        Fixed draws belong to places in a split, so that a binarized part feeds other draws than the
        whole.
        """
        labels = None if self.labels is None else self.labels[chosen]
        factors = {name: values[chosen] for name, values in self.factors.items()}
        return replace(self, rows=self.rows[chosen], labels=labels, factors=factors)

    def __repr__(self) -> str:
        return f"Split({self.name!r}, num_examples={self.num_examples})"

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.stored.shape[1:]

    def _drawn(self, x, at: tf.Tensor):
        """Returns what is fed of stored examples, a draw by the key `at` or all of them."""
        return bernoulli(x, at) if self.binarize else x

    def _classes(self, wanted: bool) -> tf.Tensor | None:
        if not wanted:
            return None
        if self.labels is None:
            fix = "Use data with labels, or leave the labels out."
            raise DataError(f"The {self.name} split must have labels", "images alone", fix)
        return tf.constant(self.labels, tf.int32)

    def _gatherer(self):
        """Returns a function from places in the split to the examples there."""
        stored, members = as_tensor(self.stored), tf.constant(self.rows)
        observed = None if self.observed is None else as_tensor(self.observed)

        def gather(chosen):
            rows = tf.gather(members, chosen)
            x = tf.cast(tf.gather(stored, rows), tf.float32)
            x = x if self.white == 1 else x / self.white
            if observed is None:
                return x
            return {"x": x, "mask": tf.cast(tf.gather(observed, rows), tf.float32)}

        return gather


def mixed(
    x,
    y,
    batch_size: int = 100,
    labelled: float = 0.5,
    *,
    seed: int = 0,
    start_epoch: int = 0,
) -> tuple[tf.data.Dataset, int]:
    """Returns endless batches (x, y), a fixed share of each labelled, and the steps of an epoch.

    An epoch is one pass over the unlabelled examples. Its order depends on (seed, epoch) alone, so
    a training resumed at `start_epoch` is fed the batches of an uninterrupted one:
    `fit(batches, steps_per_epoch=steps, initial_epoch=start_epoch, epochs=..., shuffle=False)`.

    Args:
        x: examples [N, ...].
        y: classes [N], -1 where unknown.
        batch_size: B.
        labelled: share of each batch that has a label, between 0 and 1.
        seed: seed of the order.
        start_epoch: the first epoch.

    Raises:
        ConfigError: an argument is out of range.
        DataError: there are no labelled or no unlabelled examples, or x and y differ in length.

    Example:
        >>> x, y = np.zeros((100, 8), "float32"), np.full(100, -1)
        >>> y[:10] = 3  # ten labels are known
        >>> batches, steps = vae_tf.data.mixed(x, y, batch_size=20, labelled=0.5)
        >>> int(sum(next(iter(batches))[1].numpy() == 3)), steps  # 90 unlabelled, 10 in each batch
        (10, 9)
    """
    x, y = np.asarray(x), np.asarray(y).reshape(-1)
    if len(x) != len(y):
        fix = "Pass -1 for the class of an unlabelled example."
        raise DataError("There must be a label for each example", f"{len(x)} and {len(y)}", fix)
    split = Split("train", x, np.arange(len(x)), y, white=1, binarize=False, seed=seed)
    steps = Mixture(y, batch_size, labelled).steps
    return split.mixed_batches(batch_size, labelled, seed, start_epoch), steps


def binarized(split: Split, storage: Storage) -> Split:
    """Returns `split` with the draws of its `batches` in place of its grey values."""
    stored = storage.empty((split.num_examples, *split.stored.shape[1:]), np.uint8)
    start = 0
    for batch in split.batches(_BLOCK).as_numpy_iterator():
        stored[start : start + len(batch)] = batch
        start += len(batch)
    rows = np.arange(split.num_examples)
    return replace(split, stored=stored, rows=rows, white=1, binarize=False)
