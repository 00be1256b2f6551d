"""Where pixels live: in memory while they fit, else in unnamed files mapped into memory."""

import contextlib
import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from vae_tf.errors import ConfigError, DataError

_CHUNK_BYTES = 32 * 2**20
_TF_ALIGNMENT = 64  # EIGEN_MAX_ALIGN_BYTES: what TF needs to use foreign memory in place


class Storage:
    """Hands out arrays: in memory up to a limit, on disk from there on.

    The files have no name and vanish with the process. Pages that do not fit into memory are read
    back by the operating system, so whoever uses an array need not know where it lives.

    Args:
        limit: Bytes to keep in memory; None for half of what is available.

    Raises:
        ConfigError: `limit` is negative.
    """

    def __init__(self, limit: int | None = None):
        if limit is not None and limit < 0:
            raise ConfigError(
                "`memory_limit` must not be negative", limit, "Pass bytes, or None for half of RAM."
            )
        self._free = available_memory() // 2 if limit is None else limit

    def empty(self, shape: Sequence[int], dtype: np.dtype | type) -> np.ndarray:
        """Returns an array of zeros of `shape`, page-aligned.

        Raises:
            DataError: The disk has no room for it.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size <= self._free:
            self._free -= size
            buffer = mmap.mmap(-1, size)
        else:
            buffer = _on_disk(size)
        return np.frombuffer(buffer, dtype).reshape(shape)


def cache_directory() -> Path:
    """Returns this package's directory in the user's cache, made if need be.

    Raises:
        DataError: It cannot be made or written.
    """
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "vae_tf"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise DataError(
            "The user's cache directory must be writable",
            str(folder),
            "Set XDG_CACHE_HOME to a directory that is.",
        )
    return folder


def as_tensor(array: np.ndarray) -> tf.Tensor:
    """Returns `array` as a tensor that shares its memory where the alignment allows, else a copy.

    Sharing keeps a set from being held twice, and a set on disk from being read into memory.
    """
    if array.ctypes.data % _TF_ALIGNMENT or not (
        array.flags.c_contiguous and array.flags.writeable
    ):
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def copied(array: np.ndarray, dtype: np.dtype) -> tf.Tensor:
    """Returns a copy of `array` as a tensor of `dtype`; `tf.constant` needs twice its memory."""
    if array.nbytes < _CHUNK_BYTES or dtype.kind not in "fiu":
        return tf.constant(array.astype(dtype))
    memory = np.frombuffer(mmap.mmap(-1, array.size * dtype.itemsize), dtype)
    copy = memory.reshape(array.shape)
    np.copyto(copy, array, casting="same_kind")
    return as_tensor(copy)


def chunks(array: np.ndarray) -> Iterator[slice]:
    """Yields slices over the first axis of `array`, each of about 32 MB."""
    rows = max(1, _CHUNK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield slice(start, min(start + rows, len(array)))


def available_memory() -> int:
    """Returns the bytes of memory this process may still take, as far as they can be known."""
    bounds = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        meminfo = Path("/proc/meminfo").read_text()
        bounds.append(int(meminfo.split("MemAvailable:")[1].split()[0]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # a container's own limit
        bounds.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    with contextlib.suppress(OSError, ValueError, AttributeError):
        bounds.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(bounds, default=8 * 2**30)


def _on_disk(size: int) -> mmap.mmap:
    folder = cache_directory()
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            # Reserved now: a full disk would otherwise kill the process at some later write.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        except OSError as error:
            raise DataError(
                f"Images beyond the memory limit need {size / 2**30:.2f} GiB in {folder}",
                error.strerror,
                "Make room, or pass a smaller `image_size`.",
            ) from error
        return mmap.mmap(file.fileno(), size)
