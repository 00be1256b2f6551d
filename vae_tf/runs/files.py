"""Text, tables and directories that are either whole or absent."""

import csv
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
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        write(aside)
        for file in aside.iterdir():
            flush(file)
        if path.exists():
            shutil.rmtree(path)
        os.rename(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(directory: Path) -> None:
    """Removes what a killed process was writing aside below `directory`."""
    for aside in list(directory.rglob(".aside-*")):
        shutil.rmtree(aside) if aside.is_dir() else aside.unlink()


def sha256(path: Path) -> str:
    """Returns the file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
