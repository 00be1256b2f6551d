"""Golden vectors: inputs of every signature and what Keras made of them, kept in the bundle.

One `.npz` a signature, with the arrays `inputs/<name>` and `outputs/<name>`; NumPy alone reads
them. Strings, which NumPy would pickle or cut at a zero byte, lie in two arrays: `<name>:bytes`,
all rows behind one another, and `<name>:lengths`.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vae_tf.errors import ExportError
from vae_tf.signatures.endpoint import Arrays

BYTES, LENGTHS = ":bytes", ":lengths"


def write(path: Path, inputs: Arrays, outputs: Arrays) -> None:
    """Writes one batch of `inputs` and its `outputs` to `path`."""
    sides = {"inputs": inputs, "outputs": outputs}
    arrays: dict[str, np.ndarray] = {}
    for side, values in sides.items():
        for name, value in values.items():
            arrays |= _packed(f"{side}/{name}", np.asarray(value))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the inputs and the outputs in `path`.

    Raises:
        ExportError: if it is no such file.
    """
    try:
        # From memory: of a damaged file NumPy would leave the handle open
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = _unpacked({name: file[name] for name in file.files})
    except Exception as error:  # NumPy passes on whatever zipfile and its own parser raise
        raise ExportError(
            f"{path} must hold golden inputs and outputs",
            f"{type(error).__name__}: {error}",
            "Copy the bundle again.",
        ) from error
    inputs, outputs = (
        {name.partition("/")[2]: a for name, a in arrays.items() if name.startswith(f"{side}/")}
        for side in ("inputs", "outputs")
    )
    return inputs, outputs


def _packed(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Returns one array without objects: strings become their bytes and lengths."""
    if value.dtype.kind not in "OS":
        return {name: value}
    rows = [bytes(row) for row in value.tolist()]
    return {
        name + BYTES: np.frombuffer(b"".join(rows), np.uint8),
        name + LENGTHS: np.array([len(row) for row in rows], np.int64),
    }


def _unpacked(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays as they were before `_packed`."""
    result = {}
    for name, value in arrays.items():
        if name.endswith(LENGTHS):
            key = name.removesuffix(LENGTHS)
            ends = np.cumsum(value)
            content = arrays[key + BYTES].tobytes()
            rows = [content[end - n : end] for end, n in zip(ends, value, strict=True)]
            result[key] = np.array([*rows, None], object)[:-1]  # of objects, however long
        elif not name.endswith(BYTES):
            result[name] = value
    return result
