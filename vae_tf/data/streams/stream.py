"""All rows of some files, asked for by their number as those of an array are."""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.data.streams.blocks import Block, Reader
from vae_tf.data.streams.form import Form
from vae_tf.data.streams.scrambling import shuffled

BLOCKS, ROWS = 32, 1024  # of a sample, to judge a form by or to know files again


class Stream:
    """The images of some files; a row is read when it is asked for.

    Args:
        reader: of the files.
        blocks: of all of them.
        form: of their images.
        known: names, sizes and numbers of rows of the files, or a digest of them.

    Attributes:
        shape: (N, H, W, C).
        dtype: of the pixels.
        firsts: number of the first row of each block, and of all rows at the end, int64.
    """

    def __init__(self, reader: Reader, blocks: Sequence[Block], form: Form, known: str):
        self._reader, self._blocks, self.form, self._known = reader, blocks, form, known
        rows = [block.rows for block in blocks]
        self.firsts: np.ndarray = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])
        self.shape = (int(self.firsts[-1]), *form.shape)
        self.dtype = form.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Returns the images of some rows, [n, H, W, C], in any order.

        Raises:
            DataError: a file that cannot be read, or holds other rows than those looked at first.
        """
        images = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for block, places, inside in self._by_block(np.asarray(rows)):
            raw = self._reader.images(block, inside)
            images[places] = self.form.images(raw, names(block, inside))
        return images

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Returns the labels [n] of some rows."""
        found: np.ndarray | None = None
        for block, places, inside in self._by_block(np.asarray(rows)):
            values = self._reader.labels(block, inside)
            assert values is not None
            if found is None:
                found = np.empty(len(rows), values.dtype)
            found[places] = values
        return np.empty(0, np.int64) if found is None else found

    @property
    def has_labels(self) -> bool:
        """Whether each row has a label."""
        return self._reader.labels(self._blocks[0], np.arange(1)) is not None

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256 over the files' names, sizes and numbers of rows, and over a sample of rows."""
        digest = hashlib.sha256(f"{self._known} {self.form}".encode())
        for block, rows in sample(self._blocks):
            raw = self._reader.images(block, rows)
            digest.update(self.form.images(raw, names(block, rows)).tobytes())
        return digest.hexdigest()

    def _by_block(self, rows: np.ndarray):
        """Yields blocks, which of the rows asked for are theirs, and their numbers in it."""
        order = np.argsort(rows, kind="stable")
        which = np.searchsorted(self.firsts, rows[order], "right") - 1
        for places in np.split(order, np.flatnonzero(np.diff(which)) + 1):
            if len(places):
                number = int(np.searchsorted(self.firsts, rows[places[0]], "right")) - 1
                yield self._blocks[number], places, rows[places] - self.firsts[number]


class Labels:
    """The labels of some rows of a stream, read when they are asked for, as of an array [N].

    Args:
        stream: of which they are.
        rows: numbers of the rows.
    """

    def __init__(self, stream: Stream, rows: np.ndarray):
        self._stream, self._rows = stream, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: np.ndarray) -> "Labels":
        return Labels(self._stream, self._rows[chosen])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._stream.labels(self._rows), dtype)


def sample(blocks: Sequence[Block]) -> Iterator[tuple[Block, np.ndarray]]:
    """Yields some blocks from all over the files and some rows of each, always the same ones."""
    chosen = np.sort(shuffled(np.arange(len(blocks)))[:BLOCKS])
    for i in chosen:
        rows = shuffled(np.arange(blocks[i].rows), i)[: -(-ROWS // len(chosen))]
        yield blocks[i], np.sort(rows)


def names(block: Block, rows: np.ndarray) -> list[str]:
    """Returns what errors call rows of a block."""
    if block.about is not None:
        return [str(Path(block.file))] * len(rows)
    return [f"{block.file}, row {block.first + row}" for row in rows]
