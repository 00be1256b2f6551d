"""What rows of files mean as pixels, judged by a sample of them and held against all others."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.data.image_files import read_header, read_pixels
from vae_tf.data.pixels import resize, standardize, white_level
from vae_tf.data.storage import Storage
from vae_tf.errors import DataError

_MEANT = {
    (np.dtype(np.uint8), 255): "whole numbers from 0 to 255",
    (np.dtype(np.uint8), 1): "0 and 1",
    (np.dtype(np.float32), 1): "numbers from 0 to 1",
}


@dataclass(frozen=True)
class Form:
    """How a row becomes an image.

    Attributes:
        shape: (H, W, C) of the images that come out.
        dtype: theirs, uint8 or float32.
        white: the value that means 1.0.
        encoded: whether rows hold image files rather than numbers.
        levels: whether they hold the bytes of uint8 levels.
        raw: shape of a row of numbers.
        resizing: (height, width) to resize to, if that was asked for.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    white: int
    encoded: bool
    raw: tuple[int, ...] = ()
    resizing: tuple[int, int] | None = None
    levels: bool = False

    def images(self, rows: Any, where: Sequence[str]) -> np.ndarray:
        """Returns what some rows hold, [n, H, W, C] of `dtype`.

        Args:
            rows: numbers [n, ...], or n encoded images: their bytes or their paths.
            where: for each the name that errors give it.

        Raises:
            DataError: they are not as the sample was.
        """
        if self.encoded:
            return self._decoded(rows, where)
        if self.levels and all(len(row) == self.raw[0] for row in rows):
            rows = _levels(rows)
        if not isinstance(rows, np.ndarray) or rows.shape[1:] != self.raw:
            received = f"others in {where[0]}" if len(where) else "others"
            fix = "Write them again; a flat list of numbers is all right if all are as long."
            expected = f"All rows must hold images of the shape {list(self.raw)}"
            raise DataError(expected, received, fix)
        size = self.shape[:2] if self.resizing is None else self.raw[:2]
        images = rows.reshape(len(rows), *size, self.shape[2])
        self._check(images, where)
        return resize(images.astype(self.dtype, copy=False), self.resizing)

    def _check(self, images: np.ndarray, where: Sequence[str]) -> None:
        if images.dtype == np.bool_ or (images.dtype == np.uint8 and self.white == 255):
            return
        low, high = images.min(), images.max()  # NaN if there is any
        whole = self.dtype == np.float32 or images.dtype.kind in "iu"
        if (
            low >= 0
            and high <= self.white
            and (whole or np.array_equal(images, np.rint(images)))
            and (self.dtype == np.uint8 or images.dtype.kind == "f")
        ):
            return
        outside = [not (x.min() >= 0 and x.max() <= self.white) for x in images]
        bad = outside.index(True) if any(outside) else 0
        raise DataError(
            f"Pixels must be {_MEANT[self.dtype, self.white]}, as in the rows looked at first",
            f"values from {images[bad].min():g} to {images[bad].max():g} in {where[bad]}",
            "Write all rows in one unit.",
        )

    def _decoded(self, rows: Any, where: Sequence[str]) -> np.ndarray:
        colour = self.shape[2] == 3
        images: np.ndarray = np.empty((len(rows), *self.shape), np.uint8)

        def decode(i: int) -> None:
            name, content = _named(rows[i], where[i])
            header = read_header(name, content)
            if header.colour and not colour:
                fix = "Convert the grey ones to colour, or this one to grey."
                expected = "Images must be grey, as those looked at first"
                raise DataError(expected, f"colours in {name}", fix)
            if self.resizing is None and header.size != self.shape[:2]:
                sizes = (f"{height}x{width}" for height, width in (header.size, self.shape[:2]))
                received = f"{name} of {next(sizes)}, where the first looked at is {next(sizes)}"
                fix = "Pass image_size=(height, width) to resize them."
                raise DataError("Images must have one size (height x width)", received, fix)
            images[i] = resize(read_pixels(name, colour, content)[np.newaxis], self.resizing)[0]

        with ThreadPoolExecutor(4) as pool:  # Pillow decodes outside of Python's lock
            for _ in pool.map(decode, range(len(rows))):
                pass
        return images


def form_of(
    rows: Sequence[Any], where: Sequence[Sequence[str]], image_size: tuple[int, int] | None
) -> Form:
    """Returns the form of which some rows are.

    Args:
        rows: of each block looked at, numbers [n, ...], or encoded images.
        where: for each of them the name that errors give it.
        image_size: (height, width) to resize to; of flat rows of numbers their height and width.

    Raises:
        DataError: they are no images, or not all alike.
    """
    if _hold_levels(rows, image_size):
        numbers = [_levels(block) for block in rows]
        return replace(form_of(numbers, where, image_size), levels=True)
    if not isinstance(rows[0], np.ndarray) or rows[0].dtype == object:
        names = [
            _named(one, name)
            for block, known in zip(rows, where, strict=True)
            for one, name in zip(block, known, strict=True)
        ]
        headers = [read_header(*name) for name in names]
        channels = 3 if any(header.colour for header in headers) else 1
        shape = (*(image_size or headers[0].size), channels)
        form = Form(shape, np.dtype(np.uint8), 255, True, resizing=image_size)
        decoded = (form.images(block, known) for block, known in zip(rows, where, strict=True))
        return replace(form, white=white_level(decoded))
    raw = rows[0].shape[1:]
    for block, known in zip(rows, where, strict=True):
        if isinstance(block, list) or block.shape[1:] != raw:
            expected = f"All rows must hold images of the shape {list(raw)}"
            raise DataError(expected, f"others in {known[0]}", "Write them again.")
    sample = np.concatenate(rows)
    flat = len(raw) == 1
    if flat:
        sample = sample.reshape(len(sample), *_unflattened(raw[0], image_size))
    size = None if flat else image_size
    images = standardize({"image": sample}, size, Storage())["image"]
    return Form(images.shape[1:], images.dtype, white_level([images]), False, raw, size)


def _unflattened(numbers: int, image_size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Returns the shape of an image of so many numbers."""
    if image_size is None:
        fix = "Pass image_size=(28, 28), for example; channels come last."
        raise DataError("Flat rows need the size of their images", f"{numbers} numbers", fix)
    height, width = image_size
    if numbers % (height * width) or not numbers:
        expected = f"Flat rows of images of {height} x {width} must hold a multiple of as many"
        raise DataError(expected, f"{numbers} numbers", "Pass the size that they have.")
    return height, width, numbers // (height * width)


def _hold_levels(rows: Sequence[Any], image_size: tuple[int, int] | None) -> bool:
    """Returns whether rows are bytes of levels, not files: one to four for each pixel."""
    if image_size is None:
        return False
    lengths = {len(one) if isinstance(one, bytes) else 0 for block in rows for one in block}
    height, width = image_size
    if not lengths < {height * width * channels for channels in (1, 3, 4)} or len(lengths) != 1:
        return False
    try:
        read_header(Path("an image"), rows[0][0])
    except DataError:
        return True
    return False


def _levels(rows: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)


def _named(one: Any, where: str) -> tuple[Path, bytes | None]:
    return (Path(where), one) if isinstance(one, bytes) else (one, None)
