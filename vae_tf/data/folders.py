"""`folder:PATH`: image files -> `Source`.

Files are found recursively, in the order of their paths; hidden ones and those of other kinds are
passed over. If `train/` is among the subfolders, they are the splits (`train`, `validation` or
`val`, `test`). If every image lies in a further subfolder, its name is the label.

What a file holds becomes uint8 [H, W, 1] if all files of the folder are grey, else [H, W, 3]:

- 16-bit grey is scaled to 8 bits;
- palettes become their colours, CMYK and the like become RGB;
- transparent pixels are blended with black;
- of animations the first frame counts;
- the orientation that a camera noted is applied.
"""

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.data.image_files import SUFFIXES, Header, read_header, read_pixels
from vae_tf.data.pixels import resize
from vae_tf.data.source import Part, Source, split_of
from vae_tf.data.storage import Storage
from vae_tf.errors import DataError


def read_folder(
    path: str,
    image_size: tuple[int, int] | None,
    storage: Storage,
    skip_unreadable: bool = False,
) -> Source:
    """Returns the images under `path`, all of one size.

    Args:
        path: of the folder.
        image_size: (height, width) to resize to; None leaves the size.
        storage: where the pixels live.
        skip_unreadable: leave out files that are damaged or no images, and name them in `skipped`.

    Raises:
        DataError: No such folder, no images in it, unreadable ones, or images of several sizes.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError("`folder:PATH` must name a folder", repr(path), "Check the path.")
    splits = _splits(root)
    bad: dict[Path, DataError] = {}

    def tried(read: Callable[[Path], Any], file: Path) -> Any:
        try:
            return read(file)
        except DataError as error:
            bad[file] = error
            return None

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside of Python's lock
        files = [file for members in splits.values() for file in members]
        found = zip(files, pool.map(lambda file: tried(read_header, file), files), strict=True)
        headers = {file: header for file, header in found if header is not None}
        if bad and not skip_unreadable:  # then all of them at once, whatever is wrong
            for _ in pool.map(lambda file: tried(_decode, file), headers):
                pass
            raise _unreadable(root, bad, len(files))
        if not headers:
            raise _unreadable(root, bad, len(files))
        if image_size is None:
            _check_sizes(root, headers)
        size = image_size or next(iter(headers.values())).size
        colour = any(header.colour for header in headers.values())

        def read_all(members: list[Path]) -> np.ndarray:
            images = storage.empty((len(members), *size, 3 if colour else 1), np.uint8)

            def read(i: int) -> None:
                pixels = tried(functools.partial(read_pixels, colour=colour), members[i])
                if pixels is not None:
                    images[i] = resize(pixels[np.newaxis], image_size)[0]

            for _ in pool.map(read, range(len(members))):
                pass
            kept = [i for i, file in enumerate(members) if file not in bad]
            for to, i in enumerate(kept):  # in place: they may not fit into memory twice
                if to != i:
                    images[to] = images[i]
            return images[: len(kept)]

        splits = {split: [f for f in members if f in headers] for split, members in splits.items()}
        images = {split: read_all(members) for split, members in splits.items()}
    empty = [split for split, array in images.items() if not len(array)]
    if bad and (empty or not skip_unreadable):
        raise _unreadable(root, bad, len(files))
    splits = {split: [f for f in members if f not in bad] for split, members in splits.items()}
    classes = {split: _classes(root, split, members) for split, members in splits.items()}
    names = sorted({name for members in classes.values() for name in members if name is not None})
    labelled = len(names) > 1 and all(None not in members for members in classes.values())
    parts = {
        split: Part(array, _numbers(names, classes[split]) if labelled else None)
        for split, array in images.items()
    }
    skipped = tuple(sorted(file.relative_to(root).as_posix() for file in bad))
    return Source("folder of image files", parts, tuple(names) if labelled else None, skipped)


def _decode(file: Path) -> None:
    read_pixels(file, colour=True)


def _unreadable(root: Path, bad: dict[Path, DataError], total: int) -> DataError:
    """Returns the error that names all unreadable files, by what is wrong with them."""
    skip = "or pass skip_unreadable=True to leave such files out."
    if len(bad) == 1:
        (error,) = bad.values()
        return DataError(error.expected, error.received, f"{error.fix.rstrip('.')}, {skip}")
    reasons: dict[str, list[str]] = {}
    for file in sorted(bad):
        reason = str(bad[file].received).removeprefix(str(file)).lstrip(": ")
        reasons.setdefault(reason, []).append(file.relative_to(root).as_posix())
    listed = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
    received = f"{len(bad)} of {total} in {root} that are not: {listed}"
    fix = f"Repair or remove them, {skip}"
    return DataError("Every image file must be readable", received, fix)


def _splits(root: Path) -> dict[str, list[Path]]:
    """Returns the image files of each split that the folder names, else all as train."""
    files = sorted(_images(root), key=lambda file: file.relative_to(root).as_posix())
    if not files:
        raise DataError(
            f"{root} must hold images ({', '.join(SUFFIXES)})",
            "none in it or its subfolders",
            "Check the path, or convert the files.",
        )
    tops = dict.fromkeys(_top(root, file) for file in files)
    splits: dict[str, list[Path]] = {}
    if not any(top and split_of(top) == "train" for top in tops):
        return {"train": files}
    names = [split_of(top) if top else None for top in tops]
    if None in names or len(set(names)) < len(names):
        raise DataError(
            f"{root}, as it has a train folder, may have images only in train, validation, test",
            f"images in {', '.join(top or 'the folder itself' for top in tops)}",
            "Move or rename the others.",
        )
    for top, name in zip(tops, names, strict=True):
        splits[str(name)] = [file for file in files if _top(root, file) == top]
    return splits


def _images(root: Path) -> Iterable[Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder, name)


def _top(root: Path, file: Path) -> str | None:
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


def _check_sizes(root: Path, headers: dict[Path, Header]) -> None:
    files = list(headers)
    for file, header in headers.items():
        if header.size != headers[files[0]].size:
            first, second = headers[files[0]].size, header.size
            advised = min(first[0], 64), min(first[1], 64)  # a photograph has millions of pixels
            raise DataError(
                "Images of a folder must have one size (height x width)",
                f"{files[0].relative_to(root)} is {first[0]}x{first[1]},"
                f" {file.relative_to(root)} is {second[0]}x{second[1]}",
                f"Pass image_size={advised}, for example, to resize them.",
            )


def _classes(root: Path, split: str, files: list[Path]) -> list[str | None]:
    """Returns the subfolder that names the class of each file, None if there is none."""
    tops = [_top(root, file) for file in files]
    if all(top is not None and split_of(top) == split for top in tops):
        tops = [_top(root / str(top), file) for top, file in zip(tops, files, strict=True)]
    return tops


def _numbers(names: list[str], members: list[str | None]) -> np.ndarray:
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[str(name)] for name in members], np.int64)
