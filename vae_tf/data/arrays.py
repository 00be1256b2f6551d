"""`array:FILE`: NumPy's .npy and .npz files -> `Source`.

A .npy file holds images [N, H, W] or [N, H, W, C]. A .npz file holds either one such array under
any key, with `y` or `labels` [N] beside it if wanted, or splits: images under `x_train`, `train`
or `train_images`, labels under `y_train` or `train_labels`; likewise for validation (also `val`,
`valid`) and test, in upper or lower case. Any other key is refused, since a misspelt split would
silently be replaced by one drawn from train. A .npy file may be larger than memory, a .npz file is
read whole.
"""

import difflib
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vae_tf.data.pixels import standardize
from vae_tf.data.source import ALIASES, Part, Source
from vae_tf.data.storage import Storage, available_memory
from vae_tf.errors import DataError

_IMAGES = {
    key: split
    for split, aliases in ALIASES.items()
    for alias in aliases
    for key in (f"x_{alias}", alias, f"{alias}_images")
}
_LABELS = {
    key: split
    for split, aliases in ALIASES.items()
    for alias in aliases
    for key in (f"y_{alias}", f"{alias}_labels")
}
_SINGLE_LABELS = ("y", "labels")
_Labels = dict[str, tuple[str, np.ndarray]]  # by split, with the key for errors


def read_arrays(path: str, image_size: tuple[int, int] | None, storage: Storage) -> Source:
    """Returns the arrays of the file at `path`.

    Raises:
        DataError: No such file, unreadable, or not what the module's docstring says.
    """
    path = os.path.expanduser(path)
    images, labels = _assign(path, _open(path))
    standard = standardize(images, image_size, storage)
    parts = {}
    for key, array in standard.items():
        split = _IMAGES.get(key.lower(), "train")
        parts[split] = Part(
            array, _check_labels(*labels[split], array) if split in labels else None
        )
    return Source(f"NumPy file with {', '.join(images)}", parts)


def _open(path: str) -> dict[str, np.ndarray]:
    if not Path(path).is_file():
        raise DataError("`array:FILE` must name a file", repr(path), "Check the path.")
    try:
        if Path(path).suffix.lower() == ".npy":
            return {"array": np.load(path, mmap_mode="r", allow_pickle=False)}
        # Opened here, as NumPy leaves a damaged file open.
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            _refuse_larger_than_memory(raw)
            return {key: file[key] for key in file.files}
    except Exception as error:  # zipfile, zlib, struct and NumPy each have their own
        raise DataError(
            "A NumPy file of numbers must be readable without pickle",
            f"{path}: {_said(error)}",
            "Write it again with np.save or np.savez from an array of numbers.",
        ) from error


def _said(error: Exception) -> str:
    """Returns what is wrong with a file; NumPy's own advice to load pickles is left out."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "mmap length is greater" in text:
        return "an incomplete file, shorter than its header says"
    if "pickle" in text.lower():
        return "Python objects, or no array at all"
    return text.rstrip(".")


def _refuse_larger_than_memory(raw: BinaryIO) -> None:
    with zipfile.ZipFile(raw) as file:
        size = sum(member.file_size for member in file.infolist())
    if size > (free := available_memory()):
        needed = (
            f"{size / 2**30:.1f} GiB of numbers, where {free / 2**30:.1f} GiB of memory are free"
        )
        raise ValueError(f"{needed}; a .npy file may be larger than memory")


def _assign(path: str, arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], _Labels]:
    """Returns the images by key, and the labels by split."""
    labels: _Labels
    if not any(key.lower() in _IMAGES for key in arrays):
        images = [key for key in arrays if key.lower() not in _SINGLE_LABELS]
        if len(images) == 1:
            single = [(key, arrays[key]) for key in arrays if key not in images]
            labels = {"train": single[0]} if len(single) == 1 else {}
            return {images[0]: arrays[images[0]]}, labels
    strange = [key for key in arrays if key.lower() not in (_IMAGES | _LABELS)]
    named = [key for key in arrays if key.lower() in _IMAGES]
    splits = [_IMAGES[key.lower()] for key in named]
    if strange or "train" not in splits or len(set(splits)) < len(splits):
        near = difflib.get_close_matches(strange[0], [*_IMAGES, *_LABELS], 2) if strange else []
        raise DataError(
            f"{path} must have one array of images, or one for each split under known keys",
            f"keys {', '.join(arrays) or 'none'}",
            f"Did you mean {' or '.join(near)} for {strange[0]}?"
            if near
            else "Name them x_train, x_validation, x_test and y_train, y_validation, y_test.",
        )
    labelled = [key for key in arrays if key.lower() in _LABELS]
    labels = {_LABELS[key.lower()]: (key, arrays[key]) for key in labelled}
    return {key: arrays[key] for key in named}, labels


def _check_labels(key: str, labels: np.ndarray, images: np.ndarray) -> np.ndarray:
    if labels.shape not in ((len(images),), (len(images), 1)):
        raise DataError(
            f"`{key}` must have one label for each of {len(images)} images",
            f"shape {labels.shape}",
            f"Save {key} as [{len(images)}].",
        )
    return labels.reshape(-1)
