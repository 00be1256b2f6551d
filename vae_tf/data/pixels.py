"""Raw arrays -> uint8 or float32 pixels whose values have one meaning.

| raw values                  | kept as | x in [0, 1]            |
|-----------------------------|---------|------------------------|
| bool                        | uint8   | 0 or 1                 |
| integers 0..255             | uint8   | value / 255            |
| integers 0..1, nowhere more | uint8   | value: they are 0/1 data, not near-black images |
| floats in [0, 1]            | float32 | value                  |
| whole floats 0..255         | uint8   | value / 255            |

Train, validation and test are judged together, so that one rule holds for all of them.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from vae_tf.data.storage import Storage, chunks
from vae_tf.errors import ConfigError, DataError

_CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency
RESIZING = "bilinear with antialiasing, aspect ratio not kept; uint8 values rounded"


def standardize(
    raw: Mapping[str, np.ndarray], image_size: tuple[int, int] | None, storage: Storage
) -> dict[str, np.ndarray]:
    """Returns each array as [N, H, W, C] uint8 or float32, resized if `image_size` is given.

    Args:
        raw: Arrays [N, H, W] or [N, H, W, C] by the name that errors give them.
        image_size: (height, width), or None to leave the size.
        storage: Where the results live.

    Raises:
        DataError: Of unfit rank, size, dtype or values, or not all alike.
    """
    arrays = {name: _with_channels(name, array) for name, array in raw.items()}
    (first, reference), *others = arrays.items()
    for name, array in others:
        if array.shape[1:] != reference.shape[1:] or array.dtype.kind != reference.dtype.kind:
            raise DataError(
                f"`{first}` and `{name}` must have images of one shape and kind of dtype",
                f"{reference.shape} {reference.dtype} and {array.shape} {array.dtype}",
                "Save them alike.",
            )
    dtype = _stored_dtype(arrays)
    return {name: _store(array, dtype, image_size, storage) for name, array in arrays.items()}


def white_level(images: Iterable[np.ndarray]) -> int:
    """Returns the stored value that means 1.0: 255, or 1 for floats and for 0/1 data."""
    for array in images:
        if array.dtype == np.uint8 and any(array[part].max() > 1 for part in chunks(array)):
            return 255
    return 1


def resize(images: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Returns `images` [N, H, W, C] as [N, *size, C] in the same dtype.

    0/1 data stay 0/1: each pixel becomes the rounded mean of what it covers.
    """
    if size is None or images.shape[1:3] == tuple(size):
        return images
    resized = tf.image.resize(images, size, method="bilinear", antialias=True).numpy()
    if images.dtype == np.uint8:
        return np.clip(np.rint(resized), 0, 255).astype(np.uint8)
    return np.clip(resized, 0, 1)  # the filter's rounding may leave [0, 1] by an ulp


def check_image_size(size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Returns `size` as two ints, or None.

    Raises:
        ConfigError: It is no pair of positive integers.
    """
    if size is None:
        return None
    try:
        height, width = size
        if height == int(height) >= 1 and width == int(width) >= 1:
            return int(height), int(width)
    except (TypeError, ValueError):
        pass
    raise ConfigError(
        "`image_size` must be (height, width), two positive integers",
        repr(size),
        "Pass image_size=(32, 32), for example.",
    )


def _with_channels(name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim not in (3, 4):
        raise DataError(
            f"`{name}` must be images of shape [N, H, W] or [N, H, W, C]",
            f"shape {array.shape}",
            "Reshape rows of pixels to [N, H, W, C]; save other rows as CSV and pass table:FILE."
            if array.ndim == 2
            else "Save one image for each index of the first axis.",
        )
    if 0 in array.shape:
        raise DataError(
            f"`{name}` must hold at least one image of at least one pixel",
            f"shape {array.shape}",
            "Check what was saved, and leave empty splits out.",
        )
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"`{name}` must be of dtype uint8, bool, integer or float",
            f"dtype {array.dtype}",
            "Save numbers: uint8 from 0 to 255, or float32 in [0, 1].",
        )
    if array.ndim == 4 and array.shape[1] in _CHANNELS and min(array.shape[2:]) > max(_CHANNELS):
        raise DataError(
            f"`{name}` must have its channels last, [N, H, W, C]",
            f"shape {array.shape}, which looks like [N, C, H, W]",
            "Save x.transpose(0, 2, 3, 1).",
        )
    return array if array.ndim == 4 else array[..., np.newaxis]


def _stored_dtype(arrays: Mapping[str, np.ndarray]) -> type[np.uint8] | type[np.float32]:
    if all(array.dtype in (np.bool_, np.uint8) for array in arrays.values()):
        return np.uint8
    seen = {name: _values(name, array) for name, array in arrays.items()}
    low = min(value[0] for value in seen.values())
    high = max(value[1] for value in seen.values())
    whole = all(value[2] for value in seen.values())
    is_float = any(array.dtype.kind == "f" for array in arrays.values())
    if is_float and low >= 0 and high <= 1:
        return np.float32
    if whole and low >= 0 and high <= 255:
        return np.uint8
    raise DataError(
        f"Pixels of {' and '.join(f'`{name}`' for name in arrays)} must be floats in [0, 1]"
        " or whole numbers from 0 to 255",
        f"values from {low:g} to {high:g}",
        _advice(low, high),
    )


def _advice(low: float, high: float) -> str:
    if -1 <= low < 0 and high <= 1:
        return "Save (x + 1) / 2 if they span [-1, 1]."
    if low >= 0 and high <= 255:
        return "Save x / 255."
    if low >= 0 and high <= 65535:
        return "Save x / 65535 if they have 16 bits, or else x divided by the value of white."
    return "Save (x - x.min()) / (x.max() - x.min()), with one minimum and maximum for all splits."


def _values(name: str, array: np.ndarray) -> tuple[float, float, bool]:
    """Returns minimum, maximum, and whether all values are whole."""
    low, high, whole = np.inf, -np.inf, True
    for part in chunks(array):
        chunk = array[part]
        finite = np.isfinite(chunk)
        if not finite.all():
            index = np.argwhere(~finite)[0]
            value = chunk[tuple(index)]
            index[0] += part.start
            raise DataError(
                f"`{name}` must be finite",
                f"{value} at index ({', '.join(map(str, index))})",
                "Repair or drop that image.",
            )
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
        whole = whole and bool((chunk == np.rint(chunk)).all())
    return low, high, whole


def _store(
    array: np.ndarray,
    dtype: type[np.uint8] | type[np.float32],
    image_size: tuple[int, int] | None,
    storage: Storage,
) -> np.ndarray:
    height, width = image_size or array.shape[1:3]
    stored = storage.empty((len(array), height, width, array.shape[3]), dtype)
    for part in chunks(array):
        stored[part] = resize(array[part].astype(dtype), image_size)
    return stored
