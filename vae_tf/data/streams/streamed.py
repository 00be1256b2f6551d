"""A split that is read from files, block by block, while a model trains."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from vae_tf.checks import whole
from vae_tf.data.pipeline import beside_training, told
from vae_tf.data.randomness import TRAINING_DRAW, check_seed, key
from vae_tf.data.split import LOOKED_AT, Split
from vae_tf.data.streams.reads import read_by
from vae_tf.data.streams.scrambling import scrambled, shuffled
from vae_tf.data.streams.stream import Stream

WINDOW = 8192  # examples that are shuffled together,
WINDOW_BYTES = 64 * 2**20  # or as many as these hold


class Streamed(Split):
    """Examples of a `Stream`, which `stored` is.

    An epoch goes through the blocks in an order of its own. What they hold is cut into windows, and
    each window is shuffled in memory. Another one is read meanwhile, so that about three of them
    are in memory at a time. The order is a function of the seed, the epoch and the size of batches
    alone.
    """

    stored: Stream  # type: ignore[assignment]

    def training_batches(
        self, batch_size: int, seed: int, start_epoch: int = 0, labels: bool = False
    ) -> tf.data.Dataset:
        """Returns what `Split.training_batches` does, shuffled by block and by window.

        Raises:
            ConfigError: an argument is out of range.
            DataError: `labels` are asked for, and there are none.
        """
        classes, batch_size = self._classes(labels), whole("batch_size", batch_size)
        seed, size = check_seed(seed), self._window(batch_size)
        first, total = whole("start_epoch", start_epoch, least=0), self.num_examples

        def of_epoch(e):
            return tf.data.Dataset.range(0, total, size).map(lambda start: (e, start))

        def read(e, start):
            def found(e, start):
                chosen = self.window(seed, int(e), int(start), min(int(start) + size, total))
                return chosen, self.stored[self.rows[chosen]]

            chosen, x = read_by(found, [e, start], [tf.int64, self.stored.dtype])
            chosen.set_shape([None])
            return e, start // batch_size, chosen, tf.ensure_shape(x, [None, *self._shape])

        def batches(e, step, chosen, x):
            count = -(-tf.shape(x, tf.int64)[0] // batch_size)

            def batch(i):
                rows = slice(i * batch_size, (i + 1) * batch_size)
                drawn = self._drawn(self._fed(x[rows]), key(seed, TRAINING_DRAW, e, step + i))
                return drawn if classes is None else (drawn, tf.gather(classes, chosen[rows]))

            return tf.data.Dataset.range(count).map(batch)

        windows = tf.data.Dataset.counter(first).flat_map(of_epoch).map(read).prefetch(1)
        return beside_training(windows.flat_map(batches), tf.data.INFINITE_CARDINALITY)

    def order(self, batch_size: int, seed: int, epoch: int) -> np.ndarray:
        """Returns the places [N] of the examples in the order in which an epoch has them."""
        size, total = self._window(batch_size), self.num_examples
        starts = range(0, total, size)
        return np.concatenate([self.window(seed, epoch, s, min(s + size, total)) for s in starts])

    def window(self, seed: int, epoch: int, start: int, stop: int) -> np.ndarray:
        """Returns the places of the examples that come from `start` to `stop` of an epoch."""
        parts = list(self._parts(seed, epoch, start, stop))
        return shuffled(np.concatenate(parts), seed, epoch, 1)

    def _parts(self, seed: int, epoch: int, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yields the places that blocks have in a window, in the order of an epoch's blocks."""
        bounds = self._bounds()
        counts = np.diff(bounds)
        order = np.argsort(scrambled(np.arange(len(counts)), seed, epoch), kind="stable")
        ends = np.cumsum(counts[order])
        for j in range(int(np.searchsorted(ends, start, "right")), len(order)):
            block, begin = order[j], int(ends[j] - counts[order[j]])
            if begin >= stop:
                return
            places = shuffled(np.arange(bounds[block], bounds[block + 1]), seed, epoch)
            yield places[max(0, start - begin) : stop - begin]

    def sample(self) -> np.ndarray:
        """Returns some of the images from all over the split, in [0, 1], always the same ones."""
        chosen = shuffled(np.arange(self.num_examples))
        # Whole blocks are read for single rows, so they come from some blocks
        near = np.unique(np.searchsorted(self.stored.firsts, self.rows[chosen[:32]], "right") - 1)
        bounds = self._bounds()
        parts = [np.arange(bounds[b], bounds[b + 1]) for b in near]
        share = -(-LOOKED_AT // len(parts))
        chosen = np.concatenate([shuffled(part)[:share] for part in parts])
        return self.stored[self.rows[np.sort(chosen)]] / self.white

    def at(self, places: np.ndarray) -> np.ndarray:
        """Returns what `Split.at` does, without all others in memory."""
        images: np.ndarray = np.empty((len(places), *self._shape), np.float32)
        start = 0
        with told():
            for batch in self.batches(WINDOW).as_numpy_iterator():
                inside = np.flatnonzero((places >= start) & (places < start + len(batch)))
                images[inside] = batch[places[inside] - start]
                start += len(batch)
        return images

    def _bounds(self) -> np.ndarray:
        """Returns the place of the first example of each block, and their number at the end."""
        return np.asarray(np.searchsorted(self.rows, self.stored.firsts))

    def add_to(self, digest) -> None:
        """Updates a hash with what is known of the files, and with which rows are in the split."""
        digest.update(self.stored.identity.encode())
        digest.update(self.rows.tobytes())

    def _window(self, batch_size: int) -> int:
        """Returns how many examples are shuffled together, whole batches of them."""
        held = WINDOW_BYTES // max(1, int(np.prod(self._shape)) * self.stored.dtype.itemsize)
        return max(1, min(WINDOW, held) // batch_size) * batch_size

    def _gatherer(self):
        def read(chosen):
            return self.stored[self.rows[chosen]]

        def gather(chosen):
            x = read_by(read, [chosen], self.stored.dtype)
            return self._fed(tf.ensure_shape(x, [None, *self._shape]))

        return gather
