"""Names of files -> a `Source` whose images are streams.

`tfrecord:PATTERN` and `parquet:PATTERN` are shards, a file, a folder or a pattern; folders called
`train`, `validation` and `test` make the splits. `folder:PATH` is one of image files.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vae_tf.data.source import Part, Source, split_of
from vae_tf.data.streams.blocks import Block, Reader, found
from vae_tf.data.streams.folder import ImageFiles, classes_of
from vae_tf.data.streams.form import form_of
from vae_tf.data.streams.parquet import ParquetFiles
from vae_tf.data.streams.stream import Labels, Stream, names, sample
from vae_tf.data.streams.tfrecord import TFRecords
from vae_tf.errors import DataError

SCHEMES: Mapping[str, Callable[[str], Reader]] = {"tfrecord": TFRecords, "parquet": ParquetFiles}


def open_shards(scheme: str, pattern: str, image_size: tuple[int, int] | None) -> Source:
    """Returns the images of TFRecord or Parquet files, none of which is read whole.

    Args:
        scheme: one of `SCHEMES`.
        pattern: a file, a folder, or a pattern.
        image_size: (height, width) to resize to; of flat rows of numbers their height and width.

    Raises:
        DataError: no files, unreadable ones, or rows that are no images.
    """
    files = found(scheme, pattern)
    reader = SCHEMES[scheme](files["train"][0])
    count = sum(map(len, files.values()))
    words = f"{count} {reader.kind} file{'s' if count > 1 else ''}"
    return _source(words, reader, files, image_size)


def open_folder(path: str, image_size: tuple[int, int] | None) -> Source:
    """Returns the images of a folder, in the splits and with the labels that its folders name.

    Raises:
        DataError: no such folder, no images in it, or unreadable ones among those looked at.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError("`folder:PATH` must name a folder", repr(path), "Check the path.")
    inside = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    splits = {split: [str(root / name)] for name in inside if (split := split_of(name))}
    folders: dict[str, list[str]] = splits if "train" in splits else {"train": [str(root)]}
    reader = ImageFiles(classes_of([folder for members in folders.values() for folder in members]))
    return _source("folder of image files", reader, folders, image_size, reader.classes or None)


def _source(
    description: str,
    reader: Reader,
    files: Mapping[str, Sequence[str]],
    image_size: tuple[int, int] | None,
    label_names: tuple[str, ...] | None = None,
) -> Source:
    blocks = {
        split: [block for file in members for block in reader.blocks(file)]
        for split, members in files.items()
    }
    for split, members in blocks.items():
        if not members:
            received = f"none in {files[split][0]}"
            raise DataError(f"The {split} files must hold images", received, "Check the path.")
    rows, where = _sample(reader, blocks)
    form = form_of(rows, where, image_size)
    parts = {}
    for split, members in blocks.items():
        stream = Stream(reader, members, form, _known(files[split], members))
        labels = Labels(stream, np.arange(len(stream))) if stream.has_labels else None
        parts[split] = Part(stream, labels)  # type: ignore[arg-type]
    return Source(description, parts, label_names)


def _sample(reader: Reader, blocks: Mapping[str, Sequence[Block]]):
    """Returns rows of some blocks of each split, and what errors call them."""
    rows, where = [], []
    for members in blocks.values():
        for block, chosen in sample(members):
            rows.append(reader.images(block, chosen))
            where.append(names(block, chosen))
    return rows, where


def _known(files: Sequence[str], blocks: Sequence[Block]) -> str:
    """Returns a digest of names below their common folder, sizes and numbers of rows of files."""
    root = os.path.commonpath([os.path.dirname(path) for path in files])
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(f"{os.path.relpath(block.file, root)} {block.place} {block.rows}\n".encode())
        for name in (block.about or "").split("/"):
            path = os.path.join(block.file, name) if name else block.file
            digest.update(f"{name} {os.path.getsize(path)}\n".encode())
    return digest.hexdigest()
