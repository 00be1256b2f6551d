"""What the command compresses: an array file, or a folder of images."""

from pathlib import Path

import numpy as np

from vae_tf.data.image_files import SUFFIXES, read_pixels
from vae_tf.errors import DataError


def read(path: Path, event_shape: tuple[int, ...]) -> np.ndarray:
    """Returns data [N, *event]: of a .npy file, or the pixels of a folder's images, uint8.

    Args:
        path: of the file, or of the folder, whose images are taken in the order of their paths.
        event_shape: of the model's data.

    Raises:
        DataError: no such file, a damaged one, or images of several sizes.
    """
    if path.is_dir():
        return _pixels(path, event_shape)
    if path.suffix != ".npy" or not path.is_file():
        received = str(path) if path.is_file() else f"{path}, which is no file"
        raise DataError(
            "The input must be a .npy file or a folder of images", received, "Pass one."
        )
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # tokenize, struct and NumPy each have their own
        received = f"{path}: {str(error).splitlines()[0] if str(error) else 'a damaged file'}"
        fix = "Write it by `np.save(path, x)`."
        raise DataError("The input must be a .npy file of numbers", received, fix) from None


def _pixels(path: Path, event_shape: tuple[int, ...]) -> np.ndarray:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError("The folder must hold images", str(path), f"Pass one of {SUFFIXES}.")
    images = [read_pixels(file, colour=event_shape[-1] == 3) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            received = f"{image.shape} in {file}, {images[0].shape} in {files[0]}"
            fix = "Resize them, or compress them folder by folder."
            raise DataError("The images of a folder must be of one size", received, fix)
    return np.stack(images)
