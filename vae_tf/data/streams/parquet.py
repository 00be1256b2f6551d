"""Parquet shards, whose row groups are the blocks.

The columns are `image` (or `x`) and `label` if there is one. An image is a list of numbers, flat or
nested, or the bytes of an image file, also as a struct with a field `bytes`.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from vae_tf.data.columns import array_of
from vae_tf.data.streams.blocks import IMAGES, LABEL, Block, unreadable
from vae_tf.data.tables.pandas_library import parquet
from vae_tf.errors import DataError

LARGEST = 256 * 2**20  # bytes of a row group, which is read whole


class ParquetFiles:
    """Reads shards of rows, all of which have the columns of the first.

    Args:
        file: one of them.

    Raises:
        DataError: it has no column of images, or pyarrow is not installed.
    """

    kind = "Parquet"

    def __init__(self, file: str):
        names = self._opened(file).schema_arrow.names
        images = [name for name in IMAGES if name in names]
        if not images:
            fix = "Name the column that holds the images `image`."
            received = f"{file} with {', '.join(names) or 'none'}"
            raise DataError("Parquet files must have a column `image`", received, fix)
        self._name, self._has_labels = images[0], LABEL in names
        self._last: tuple[Any, Any] = (None, None)
        self._lock = threading.Lock()

    def blocks(self, file: str) -> Sequence[Block]:
        """Returns the row groups of a file, as its footer tells them."""
        metadata, blocks, first = self._opened(file).metadata, [], 0
        for group in range(metadata.num_row_groups):
            found = metadata.row_group(group)
            if found.total_byte_size > LARGEST:
                size = f"{found.total_byte_size / 2**20:.0f} MiB, {found.num_rows} rows"
                rows = max(1, found.num_rows * (LARGEST // 8) // found.total_byte_size)
                fix = f"Write it with smaller ones: row_group_size={rows}."
                expected = f"Row groups must be of {LARGEST // 2**20} MiB at most"
                raise DataError(expected, f"{file} with one of {size}", fix)
            if found.num_rows:
                blocks.append(Block(file, group, found.num_rows, first))
            first += found.num_rows
        return blocks

    def images(self, block: Block, rows: np.ndarray) -> Any:
        """Returns what the images of some rows are: numbers [n, ...], or encoded images."""
        with self._lock:  # a group that training goes through in several steps is decoded once
            if self._last[0] != block:
                self._last = (None, None)  # not both in memory
                self._last = (block, self._column(block, self._name))
            values = self._last[1]
        if isinstance(values, np.ndarray):
            return values[rows]
        if values is None or any(not isinstance(values[row], bytes) for row in rows):
            expected = "Images must be lists of numbers of one size, or the bytes of image files"
            received = f"{block.file}, rows {block.first} to {block.first + block.rows - 1}"
            raise DataError(expected, f"something else in {received}", "Write them again.")
        return [values[row] for row in rows]

    def labels(self, block: Block, rows: np.ndarray) -> np.ndarray | None:
        """Returns the labels of some rows, or None."""
        return np.asarray(self._column(block, LABEL))[rows] if self._has_labels else None

    def _column(self, block: Block, name: str) -> Any:
        try:
            table = self._opened(block.file).read_row_group(block.place, columns=[name])
            if name not in table.column_names:
                raise ValueError(f"no column `{name}`, which other files have")
            if len(table) != block.rows:
                raise ValueError(f"{len(table)} rows in a group of {block.rows}")
            return array_of(table.column(name).combine_chunks())
        except DataError:
            raise
        except Exception as error:  # pyarrow's have no base of their own
            raise unreadable(block.file, error) from error

    def _opened(self, file: str) -> Any:
        try:
            return parquet().ParquetFile(file)
        except DataError:
            raise
        except Exception as error:  # likewise
            raise unreadable(file, error) from error
