"""What files are made of: blocks of rows, each of which is read on its own."""

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vae_tf.data.source import split_of
from vae_tf.errors import DataError

IMAGES = ("image", "x")  # names of the column that holds the images
LABEL = "label"
AGAIN = "Write or copy it again."


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file.

    Attributes:
        file: its path.
        place: where the block begins in it, as the reader counts.
        rows: how many there are.
        first: number of its first row in the file.
        about: what else the reader needs.
    """

    file: str
    place: int
    rows: int
    first: int = 0
    about: Any = None


class Reader(Protocol):
    """Files of one kind."""

    kind: str

    def blocks(self, file: str) -> Sequence[Block]:
        """Returns the blocks of a file, which is not read whole for it."""

    def images(self, block: Block, rows: np.ndarray) -> Any:
        """Returns numbers [n, ...], or n encoded images, of rows of a block, ascending."""

    def labels(self, block: Block, rows: np.ndarray) -> np.ndarray | None:
        """Returns their labels [n]; None if there are none."""


def unreadable(file: str, error: object) -> DataError:
    """Returns the error for a file that is not what it should be."""
    said = " ".join(str(error).split()) or type(error).__name__
    return DataError("Every file of the data must be readable", f"{file}: {said}", AGAIN)


def found(scheme: str, pattern: str) -> Mapping[str, list[str]]:
    """Returns the files of each split that their folders name, else all as train, by path.

    Args:
        scheme: what the files are, for the error.
        pattern: a file, a folder or a pattern such as `shards/*.tfrecord`.

    Raises:
        DataError: no file matches, or some lie in folders of splits and others do not.
    """
    path = os.path.expanduser(pattern)
    ending = f".{scheme}"
    if os.path.isdir(path):
        path = os.path.join(glob.escape(path), "**", f"*{ending}*")
    files = [file for file in sorted(glob.glob(path, recursive=True)) if os.path.isfile(file)]
    if not files:
        fix = f"Pass a file, a folder or a pattern in quotes, such as '{scheme}:data/*{ending}'."
        raise DataError(f"`{scheme}:PATTERN` must match files", repr(pattern), fix)
    for file in files:
        if file.endswith((".gz", ".zlib", ".zst")):
            fix = "Decompress it, so that training can begin anywhere in it."
            raise DataError("Files must not be compressed as a whole", file, fix)
    splits: dict[str, list[str]] = {}
    for file in files:
        splits.setdefault(split_of(Path(file).parent.name) or "", []).append(file)
    if "train" not in splits:
        return {"train": files}
    if "" in splits:
        expected = "Beside a folder `train`, files may lie only in train, validation and test"
        raise DataError(expected, splits[""][0], "Move it, or make the pattern narrower.")
    return splits
