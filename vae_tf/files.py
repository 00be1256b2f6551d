"""A file that is either whole or absent: written aside, flushed, renamed."""

import os
from collections.abc import Callable
from pathlib import Path


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a path beside `path`, then moves what it wrote into place.

    The aside path keeps the suffix, which Keras and Matplotlib go by.
    """
    aside = path.with_name(f".aside-{os.getpid()}-{path.name}")
    try:
        write(aside)
        flush(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Waits until the file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
