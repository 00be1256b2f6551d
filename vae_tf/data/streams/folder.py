"""Folders of image files, so many of which are a block.

Labels are the subfolders, as of a folder that is read beforehand (`vae_tf.data.folders`).
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.data.image_files import SUFFIXES
from vae_tf.data.streams.blocks import Block

ROWS = 32  # of a block at most: files are as good alone, and folders may be classes


class ImageFiles:
    """Reads the image files below a folder.

    Args:
        classes: names of the subfolders, a label each; none if they are no labels.
    """

    kind = "folder of image files"

    def __init__(self, classes: Sequence[str] = ()):
        self.classes = tuple(classes)

    def blocks(self, file: str) -> Sequence[Block]:
        """Returns the blocks of a folder, its own files before those of its subfolders."""
        blocks = []
        for folder, names in _files(file):
            for start in range(0, len(names), ROWS):
                # One text a block, as a million Python strings take a hundred megabytes
                some = names[start : start + ROWS]
                blocks.append(Block(folder, 0, len(some), start, "/".join(some)))
        return blocks

    def images(self, block: Block, rows: np.ndarray) -> Any:
        """Returns the paths of some files."""
        names = block.about.split("/")
        return [Path(block.file, names[row]) for row in rows]

    def labels(self, block: Block, rows: np.ndarray) -> np.ndarray | None:
        """Returns the number of their subfolder in the order of names, or None."""
        if not self.classes:
            return None
        return np.full(len(rows), self.classes.index(Path(block.file).name), np.int64)


def classes_of(folders: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the subfolders of some folders if all their images lie right there."""
    names: set[str] = set()
    for folder in folders:
        for parent, files in _files(folder):
            inside = Path(parent).relative_to(folder).parts
            if files and len(inside) != 1:
                return ()
            names |= set(inside)
    return tuple(sorted(names)) if len(names) > 1 else ()


def _files(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yields each folder below one, in the order of their paths, with its images' names."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        images = (name for name in names if name.lower().endswith(SUFFIXES))
        yield path, sorted(name for name in images if not name.startswith("."))
