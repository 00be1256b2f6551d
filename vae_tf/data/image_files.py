"""One image file, on a disk or its bytes -> its size, or its pixels."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vae_tf.errors import DataError, VAEError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
_GREY = ("1", "L", "LA", "La", "I", "F")
# Formats with a camera's orientation. Pillow itself applies that of TIFF; PNG may have one, too,
# but asking for it decodes the file.
_ORIENTED = ("JPEG", "MPO", "WEBP")
_ORIENTATION = 0x0112  # Exif tag; 5 to 8 swap height and width
_16_BITS = 65535


@dataclass(frozen=True)
class Header:
    """What is known of an image without decoding it: (height, width) and whether it has colour."""

    size: tuple[int, int]
    colour: bool


def read_header(path: Path, content: bytes | None = None) -> Header:
    """Returns the header of the image at `path`.

    Args:
        path: of the file.
        content: its bytes, where they lie somewhere else and `path` is only their name.

    Raises:
        DataError: The file is no readable image.
    """
    with _opened(path, content) as image:
        width, height = image.size
        if image.format in _ORIENTED and image.getexif().get(_ORIENTATION, 1) >= 5:
            width, height = height, width
        grey = image.mode in _GREY or image.mode.startswith("I;16")
        return Header((height, width), not grey)


def read_pixels(path: Path, colour: bool, content: bytes | None = None) -> np.ndarray:
    """Returns the pixels of the image at `path`, uint8 [H, W, 3] if `colour`, else [H, W, 1].

    Args:
        path: of the file.
        colour: whether to return colours.
        content: its bytes, where they lie somewhere else and `path` is only their name.

    Raises:
        DataError: The file is damaged, or has pixels that are not 8 or 16 bits deep.
    """
    with _opened(path, content) as opened:
        image = ImageOps.exif_transpose(opened) if opened.format in _ORIENTED else opened
        if image.mode[0] in "IF":
            image = _to_8_bits(path, image)
        if image.has_transparency_data:
            black = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(black, image.convert("RGBA"))
        pixels = np.asarray(image.convert("RGB" if colour else "L"))
    return pixels if colour else pixels[..., np.newaxis]


def _to_8_bits(path: Path, image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > _16_BITS:
        raise DataError(
            "Image files must have 8 or 16 bits a channel",
            f"{path} with mode {image.mode}, values from {values.min():g} to {values.max():g}",
            "Convert it, or pass an array file of floats in [0, 1].",
        )
    return Image.fromarray(np.rint(values / _16_BITS * 255).astype(np.uint8))


@contextlib.contextmanager
def _opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    try:
        if (
            content is None and not path.is_file()
        ):  # a pipe would never end, and a link may lead nowhere
            raise OSError("no regular file")
        with warnings.catch_warnings():
            # A decompression bomb, beyond half of what Pillow refuses outright
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path if content is None else io.BytesIO(content)) as image:
                yield image
    except VAEError:
        raise
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error and more
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            "Every image file must be readable",
            f"{path}: {text.replace(f' {str(path)!r}', '')}",
            "Repair or remove it.",
        ) from error
