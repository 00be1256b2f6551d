"""JSON that may have been damaged or forged: read strictly, and refused in one line."""

import json
import math
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from vae_tf.errors import ExportError

AGAIN = "Copy the bundle again."
RANGES = {
    "float32": (-3.4e38, 3.4e38),
    "float64": (-1.7e308, 1.7e308),
    "int32": (-(2**31), 2**31 - 1),
    "uint8": (0, 255),
    "string": (0, 0),
}
LARGEST_VERSION, LARGEST_ROW = 2**63 - 1, 2**26  # elements
HEXADECIMAL = set("0123456789abcdef")


def parsed(text: str) -> Any:
    """Returns what JSON text says.

    Raises:
        ValueError: it is no JSON, is too deep, repeats a key or has numbers that are not finite.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key that is there twice")
        return found

    def finite(number: str) -> float:
        if not math.isfinite(value := float(number)):
            raise ValueError(f"a number that is not finite, {number[:20]}")
        return value

    try:
        return json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=finite)
    except RecursionError:
        raise ValueError("brackets too deep to read") from None


def check_manifest(facts: Any) -> None:
    """Refuses what is no manifest of a bundle, whatever else it may be.

    After this, programs may take for granted the form of `version`, `files`, `other_versions` and
    `signatures`, that all files they name are listed, and that no name leads out of the bundle.

    Raises:
        ExportError: naming the first entry that is wrong.
    """
    version = _the(facts, "version")
    if type(version) is not int or not 0 < version <= LARGEST_VERSION:
        _refuse("version", "a positive integer", version)
    files = files_of(_the(facts, "files"), "files")
    _check_versions(files, "files", version)
    if "parity.json" not in files:
        _refuse("files", "a list with parity.json in it", sorted(files))
    for key, listed in _object(_the(facts, "other_versions"), "other_versions").items():
        where = f"other_versions, {shown(key)},"
        number = int(key) if key.isascii() and key.isdecimal() and len(key) < 20 else 0
        if not number or str(number) != key or number == version:
            _refuse("other_versions", "numbers of other versions", key)
        _check_versions(files_of(listed, where), where, number, versioned=True)
    signatures = _object(_the(facts, "signatures"), "signatures", least=1)
    for name, signature in signatures.items():
        if not (name.isascii() and name.isidentifier()):
            _refuse("signatures", "names of letters, digits and _", name)
        _check_signature(name, signature, facts)


def files_of(listed: Any, where: str) -> dict[str, Any]:
    """Returns name -> digest if that is what is listed, of some files and none of them elsewhere.

    Raises:
        ExportError: naming the first entry that is wrong, of what stands `where`.
    """
    for name, digest in _object(listed, where, least=1).items():
        parts = name.split("/")
        outside = not all(parts) or {".", ".."} & set(parts) or "\\" in name
        if outside or not name.isprintable():
            _refuse(where, "names of files within the bundle", name)
        sha = _the(digest, "sha256", f"{where} {shown(name)},")
        if not (isinstance(sha, str) and len(sha) == 64 and set(sha) <= HEXADECIMAL):
            _refuse(f"{where} {shown(name)},", "a sha256 of 64 digits", sha)
    return listed


def shown(value: Any) -> str:
    """Returns a value of a file that nobody vouches for in one short line."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 200
    if isinstance(value, str) and value.isprintable() and len(value) <= short.maxstring:
        return value
    return short.repr(value)


def _check_signature(name: str, signature: Any, facts: Mapping[str, Any]) -> None:
    """Refuses a signature without its files, or with tensors that cannot be."""
    where = f"signatures, {shown(name)},"
    litert = _the(signature, "litert", where)
    needed = [f"{_the(signature, 'saved_model', where)}/saved_model.pb"]
    needed += [] if litert is None else [litert]
    needed += [f"golden/{facts['version']}/{name}.npz"] if facts["format_version"] > 1 else []
    for file in needed:
        if not isinstance(file, str) or file not in facts["files"]:
            _refuse(where, "a signature of files that are listed", file)
    for side in ("inputs", "outputs"):
        entries = _object(_the(signature, side, where), f"{where} {side}", least=1)
        for key, entry in entries.items():
            _check_tensor(entry, f"{where} {side}, {shown(key)},")


def _check_tensor(entry: Any, where: str) -> None:
    """Refuses a tensor of unknown dtype, or of a shape or limits that cannot be."""
    dtype, shape = _the(entry, "dtype", where), _the(entry, "shape", where)
    if not isinstance(dtype, str) or dtype not in RANGES:
        _refuse(where, f"a dtype among {', '.join(RANGES)}", dtype)
    sides = shape[1:] if isinstance(shape, list) and shape[:1] == [None] else [None]
    if not all(type(side) is int and side >= 0 for side in sides) or not (
        math.prod(sides) <= LARGEST_ROW
    ):
        _refuse(where, "a shape [null, ...] of a row that can be", shape)
    low, high = RANGES[dtype]
    bounds, only = entry.get("range", [low, high]), entry.get("only", low)
    numbers = [*bounds, only] if isinstance(bounds, list) else [bounds]
    if len(numbers) != 3 or not all(
        isinstance(n, int | float) and not isinstance(n, bool) and low <= n <= high for n in numbers
    ):
        _refuse(where, f"a range of two numbers, or one number alone, of {dtype}", numbers)


def _check_versions(names: Iterable[str], where: str, version: int, versioned=False) -> None:
    """Refuses file names of another version than that of the bundle."""
    for name in names:
        number = version_of(name)
        if number != str(version) and (versioned or number is not None):
            _refuse(where, f"files of version {version}", name)


def version_of(name: str) -> str | None:
    """Returns the number of the version that a file lies under, `<part>/<number>/...`, or None."""
    parts = name.split("/")
    return parts[1] if len(parts) > 2 and parts[1].isdecimal() else None


def _object(value: Any, where: str, least: int = 0) -> dict[str, Any]:
    """Returns a value that must be a dict of at least so many entries."""
    if not isinstance(value, dict) or len(value) < least:
        _refuse(where, "an object with entries" if least else "an object", value)
    return value


def _the(value: Any, key: str, where: str = "it") -> Any:
    """Returns the entry of a dict that must have it."""
    if not isinstance(value, dict) or key not in value:
        _refuse(where, f"an object with {key!r}", value)
    return value[key]


def _refuse(where: str, expected: str, received: Any) -> NoReturn:
    """Raises the error that says which part of the manifest is wrong."""
    said = f"the manifest must be that of a bundle: {where.rstrip(',')} must be {expected}"
    raise ExportError(said, shown(received), AGAIN)
