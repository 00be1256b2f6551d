"""`table:FILE`: the rows of a file, in three splits, as a model takes them."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vae_tf.data.carving import DEFAULT_FRACTION, carve, check_fractions
from vae_tf.data.randomness import check_seed
from vae_tf.data.source import SPLITS
from vae_tf.data.split import Split
from vae_tf.data.storage import Storage
from vae_tf.data.tables.reading import open_table
from vae_tf.data.tables.table import Table
from vae_tf.errors import DataError


@dataclass(frozen=True, eq=False)
class TableData:
    """Rows of a table in three splits; it answers what `ImageData` does.

    Attributes:
        name: as given to `load_table`.
        table: what was learned of the training rows.
        train: what training sees.
        validation: what choices are made on.
        test: what is reported.
        seed: of the splits.
        source: what was read, in words.
        empty_rows: how many rows without any value were left out.
        unseen: by split and column, how many values the column cannot hold, by what the training
            rows know; they are taken for missing.
        unit: what one example is called.
        skipped: files that were left out; a table is one file, which is read or not.
    """

    name: str
    table: Table
    train: Split
    validation: Split
    test: Split
    seed: int
    source: str
    empty_rows: int
    unseen: dict[str, dict[str, int]]
    unit: ClassVar[str] = "row"
    skipped: ClassVar[tuple[str, ...]] = ()

    @property
    def shape(self) -> tuple[int]:
        """Shape of a row, (D,)."""
        return self.table.shape

    @property
    def num_classes(self) -> int:
        """Raises DataError: the columns of a table are data, and none of them is a label."""
        fix = "Drop --condition label; a column of classes is modelled beside the others."
        raise DataError("Labels belong to images", f"the table `{self.name}`", fix)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the numbers of all splits, what is missing, and what the numbers mean."""
        digest = hashlib.sha256(json.dumps(self.table.get_config()).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(f"{split.name} {split.num_examples}\n".encode())
            split.add_to(digest)
        return f"sha256:{digest.hexdigest()}"

    def describe(self, labels: bool = False) -> dict:
        """Returns what was done to the data, in words and numbers fit for JSON.

        Args:
            labels: whether the labels matter, of which there are none.
        """
        splits = (self.train, self.validation, self.test)
        return {
            "name": self.name,
            "source": self.source,
            "shape": list(self.shape),
            "examples": {split.name: split.num_examples for split in splits},
            "splits": dict.fromkeys(SPLITS, f"drawn from the file's rows with seed {self.seed}"),
            "kinds": {str(column.name): column.kind for column in self.table.columns},
            "missing": {str(c.name): c.missing for c in self.table.columns if c.missing},
            "unseen": self.unseen,
            "empty_rows": self.empty_rows,
            "preprocessing": "as table.json says",
            "fingerprint": self.fingerprint,
        }


def load_table(
    path: str,
    *,
    kinds: Mapping[str, str] | None = None,
    seed: int = 0,
    validation_fraction: float | None = None,
    test_fraction: float = DEFAULT_FRACTION,
    memory_limit: int | None = None,
) -> TableData:
    """Returns the rows of a .csv, .tsv or .parquet file, in three splits.

    The file is read by chunks, and only the numbers x [N, D] are held, on disk where they do not
    fit into memory. Kinds, units and categories come from the training rows alone.

    Args:
        path: of the file.
        kinds: a kind for some columns, in place of the one that is inferred.
        seed: the same seed draws the same rows.
        validation_fraction: part of the rows; None for a tenth.
        test_fraction: likewise.
        memory_limit: bytes to keep in memory; None for half of what is available.

    Raises:
        ConfigError: an argument is out of range, or `kinds` has a column there is not.
        DataError: the file, or a column, cannot be used.
    """
    seed = check_seed(seed)
    check_fractions(validation_fraction, test_fraction)
    file = open_table(path)
    rows = carve(path, {"train": file.num_rows}, validation_fraction, test_fraction, seed)
    place: np.ndarray = np.zeros(file.num_rows, np.int8)
    for i, name in enumerate(SPLITS):
        place[rows[name]] = i

    def parts():
        """Yields each chunk of rows, and the number of its first."""
        start = 0
        for frame in file.frames():
            yield start, frame
            start += len(frame)

    table = Table.from_frames(
        (frame[place[start : start + len(frame)] == 0] for start, frame in parts()), kinds
    )
    storage, shape = Storage(memory_limit), (file.num_rows, *table.shape)
    stored, observed = (storage.empty(shape, dtype) for dtype in (np.float32, np.bool_))
    unseen: dict[str, dict[str, int]] = {}
    for start, frame in parts():
        inside = slice(start, start + len(frame))
        batch = table.encode(frame, unknown="missing")
        stored[inside] = batch.x
        observed[inside] = True if batch.mask is None else batch.mask > 0
        lost = frame[table.names].notna().to_numpy() & ~observed[inside]
        for row, column in np.argwhere(lost):
            of_split = unseen.setdefault(SPLITS[place[start + row]], {})
            name = str(table.names[column])
            of_split[name] = of_split.get(name, 0) + 1
    known: np.ndarray = np.any(observed, 1)
    complete = bool(np.all(observed[known]))
    splits = {
        name: Split(
            name,
            stored,
            rows[name][known[rows[name]]],
            labels=None,
            white=1,
            binarize=False,
            seed=seed,
            observed=None if complete else observed,
        )
        for name in SPLITS
    }
    lost_rows = int(np.sum(~known))
    for name, split in splits.items():
        if not split.num_examples:
            fix = "Give the table more rows with values."
            raise DataError(f"The {name} rows must hold values", "empty rows alone", fix)
    return TableData(
        name=f"table:{path}",
        table=table,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        seed=seed,
        source=file.description,
        empty_rows=lost_rows,
        unseen=unseen,
    )
