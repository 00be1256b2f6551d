"""Text, tables and directories that are either whole or absent."""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from vae_tf.files import flush, write_aside


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: object) -> None:
    """Writes `value` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, rows: list[dict]) -> None:
    """Writes `rows` with the union of their keys as columns, in the order they appear."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_directory(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a new directory beside `path`, then renames it to `path`."""
    aside = path.with_name(f".aside-{os.getpid()}-{path.name}")
    remove(aside)
    aside.mkdir(parents=True)
    try:
        write(aside)
        for file in aside.iterdir():
            flush(file)
        remove(path)
        os.rename(aside, path)
    finally:
        remove(aside)


def remove(path: Path) -> None:
    """Deletes a file, a directory with all it holds, or a link, but not what a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(directory: Path) -> None:
    """Removes what a killed process was writing aside below `directory`."""
    for folder, subfolders, names in os.walk(directory):
        for name in (*subfolders, *names):
            if name.startswith(".aside-"):
                remove(Path(folder, name))
        subfolders[:] = [name for name in subfolders if not name.startswith(".aside-")]


def reserve(directory: Path, size: int) -> None:
    """Makes sure that `size` bytes can be written below `directory`.

    HDF5 ends the process with a segmentation fault when the disk is full, so nothing may be
    written by it before the room is known to be there. Taking it and giving it back respects
    quotas, which the number of free blocks does not.

    Raises:
        OSError: there is no room.
    """
    if not hasattr(os, "posix_fallocate"):
        if shutil.disk_usage(directory).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))
        return
    path = directory / f".aside-{os.getpid()}-room"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, max(1, size))
    finally:
        os.close(descriptor)
        path.unlink()


def sha256(path: Path) -> str:
    """Returns the file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
