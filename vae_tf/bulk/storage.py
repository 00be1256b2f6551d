"""Files wherever Beam can reach them: on disks, and in the clouds whose clients are installed."""

import contextlib
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable
from typing import Any, BinaryIO

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from vae_tf.errors import BulkError

join = FileSystems.join
exists = FileSystems.exists
RAW = CompressionTypes.UNCOMPRESSED
FAILURES = (BeamIOError, OSError)  # of a file system


def base_of(pattern: str) -> str:
    """Returns the directory that all files of a pattern lie below, with its last slash."""
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return fixed[: fixed.rfind("/") + 1] or "./"  # Beam finds nothing by a pattern alone


def found(pattern: str) -> dict[str, tuple[int, float]]:
    """Returns path -> bytes and time of writing of the files that a pattern matches, by path.

    Hidden ones are left out.
    """
    base = base_of(pattern)
    pattern = pattern if pattern.startswith(base) else base + pattern
    try:
        (matched,) = FileSystems.match([pattern])
    except FAILURES as error:
        said = " ".join(str(error).split())
        raise BulkError("The input must be readable", said, "Check --input.") from error
    files = {
        file.path: (file.size_in_bytes, file.last_updated_in_seconds)
        for file in matched.metadata_list
        if not re.search(r"(^|/)\.", file.path[len(base) :]) and not os.path.isdir(file.path)
    }
    return dict(sorted(files.items()))


def opened(path: str) -> BinaryIO:
    """Returns a file to read; one that is called .gz or the like is decompressed."""
    return FileSystems.open(path)


def write(path: str, fill: Callable[[BinaryIO], object], aside: str) -> dict[str, Any]:
    """Returns sha256 and size of a file that is either whole or absent.

    Args:
        path: of the file; one that is there is replaced.
        fill: writes it.
        aside: a directory on the same file system for what is not yet whole. Two workers may
            write the same file at once, so each has a name of its own there.
    """
    temporary = join(aside, f"unfinished-{uuid.uuid4().hex}")
    try:
        with FileSystems.create(temporary, compression_type=RAW) as stream:
            fill(stream)
        total, size = hashlib.sha256(), 0
        with FileSystems.open(temporary, compression_type=RAW) as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                total.update(block)
                size += len(block)
        FileSystems.rename([temporary], [path])
    except BaseException:
        with contextlib.suppress(*FAILURES):
            FileSystems.delete([temporary])
        raise
    return {"sha256": total.hexdigest(), "bytes": size}


def write_json(path: str, content: Any, aside: str) -> None:
    """Writes strict JSON, whole or not at all."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write(path, lambda stream: stream.write(text.encode()), aside)


def read_json(path: str) -> Any:
    """Returns what a JSON file says, None if there is none or it says nothing."""
    if not exists(path):
        return None
    with FileSystems.open(path) as stream, contextlib.suppress(ValueError):
        return json.loads(stream.read())
    return None


def entries(directory: str) -> list[str]:
    """Returns the names of all in a directory, of files below it at least; none if it is none."""
    if os.path.isdir(directory):
        return sorted(os.listdir(directory))
    with contextlib.suppress(*FAILURES):
        (matched,) = FileSystems.match([join(directory, "**")])
        paths = [file.path for file in matched.metadata_list]
        return sorted({path[len(directory.rstrip("/")) + 1 :].split("/")[0] for path in paths})
    return []


def delete(directory: str, names: list[str]) -> None:
    """Removes files, and directories with all in them."""
    if names:
        FileSystems.delete([join(directory, name) for name in names])
