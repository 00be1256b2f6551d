"""The manifest: what a bundle holds, in words and hashes, for readers without Python."""

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.environment import versions
from vae_tf.errors import ExportError
from vae_tf.exporting.reading import AGAIN, check_manifest, parsed, shown, version_of
from vae_tf.formats.plain import plain, write_json

NAME = "manifest.json"
FORMAT_VERSION = 2
READABLE = (1, 2)
END = "\n}\n"


def packages() -> dict[str, str]:
    """Returns the versions that took part in an export."""
    parts = ("tensorflow", "keras", "tensorflow-probability", "ai-edge-litert")
    return {name.replace("-", "_"): version for name, version in versions(parts).items()}


def fingerprint(parts: Iterable[Any], settings: Any) -> str:
    """Returns the sha256 over the weights of all `parts` in order, and over JSON `settings`."""
    total = hashlib.sha256(json.dumps(plain(settings), sort_keys=True).encode())
    for part in parts:
        for weight in getattr(part, "weights", ()):
            value = weight.numpy()
            total.update(f"{value.shape} {value.dtype}".encode())
            total.update(np.ascontiguousarray(value).tobytes())
    return total.hexdigest()


def digest(path: Path) -> dict[str, Any]:
    """Returns `{sha256, bytes}` of a file."""
    total = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            total.update(block)
    return {"sha256": total.hexdigest(), "bytes": path.stat().st_size}


def digests(root: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Returns relative POSIX path -> digest of each file named, or below a directory named."""
    paths = [p for name in names for p in (root / name, *sorted((root / name).rglob("*")))]
    return {p.relative_to(root).as_posix(): digest(p) for p in paths if p.is_file()}


def other_versions(directory: Path, version: int) -> dict[str, dict[str, Any]]:
    """Returns version -> digests of what was published under earlier versions and is in place."""
    try:
        before = read(directory)
    except ExportError:
        return {}
    found = dict(before.get("other_versions", {}))
    key = str(before["version"])
    found[key] = {n: d for n, d in before["files"].items() if version_of(n)}
    found.pop(str(version), None)
    return {key: files for key, files in found.items() if any(directory.glob(f"[!.]*/{key}"))}


def single_files(directory: Path) -> list[str]:
    """Returns the files of the version exported last that the next one replaces, or removes."""
    try:
        return [name for name in read(directory)["files"] if not version_of(name)]
    except ExportError:
        return []


def created_at() -> str:
    """Returns the present time, UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def write(directory: Path, content: Mapping[str, Any]) -> None:
    """Writes the manifest of `directory`; its last entry is the sha256 of all before it."""
    path = directory / NAME
    write_json(path, content)
    text = path.read_text("utf-8")
    path.write_text(text.removesuffix(END) + _last_entry(text), "utf-8")


def read(directory: Path) -> dict[str, Any]:
    """Returns the manifest in `directory`.

    Raises:
        ExportError: if there is none, it was changed, or this version cannot read it.
    """
    path = directory / NAME
    try:
        if not path.is_file():
            raise FileNotFoundError("no such file")
        text = path.read_text("utf-8")
        content = parsed(text)
        known = type(content["format_version"]) is int and content["format_version"] in READABLE
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{path} must be the manifest of an exported bundle",
            f"{type(error).__name__}: {error}",
            "Name the directory that was given to the export.",
        ) from error
    if not known:
        raise ExportError(
            f"{path} must have a format_version among {READABLE}",
            shown(content["format_version"]),
            "Read it with the vae_tf version named in it.",
        )
    if content["format_version"] > 1:  # the first format had no hash of its own
        last = f',\n  "sha256": "{content.get("sha256")}"{END}'
        if not text.endswith(last) or _last_entry(text.removesuffix(last) + END) != last:
            expected = f"{path} must be as it was written"
            raise ExportError(expected, "another sha256 than its own", AGAIN)
    check_manifest(content)
    return content


def _last_entry(text: str) -> str:
    """Returns the end of a manifest: the digest of all the text before it."""
    return f',\n  "sha256": "{hashlib.sha256(text.encode()).hexdigest()}"{END}'
