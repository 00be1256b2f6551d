"""The part of a bundle that is ONNX: a file for each signature, in agreement with Keras."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.formats.onnx import conversion as onnx_conversion
from vae_tf.formats.onnx import files as onnx_files
from vae_tf.signatures.endpoint import Arrays, Endpoint, describe
from vae_tf.signatures.probes import probes


def write(
    directory: Path,
    version: int,
    endpoints: Sequence[Endpoint],
    expected: Mapping[str, Sequence[Arrays]],
) -> dict[str, dict[str, Any]]:
    """Returns signature -> `{file, operators, errors, reason}` after writing the files.

    Each is `onnx/<version>/<half>-<signature>.onnx` below `directory`, beside the SavedModels
    it is made of. `errors` is what `parity.compare` returns for ONNX Runtime. Where ONNX cannot
    express a signature, or its runtime computes something else, `file` is None and `reason` a
    sentence.

    Args:
        directory: holds `<half>/<version>/` of every endpoint.
        version: of those SavedModels.
        endpoints: of all halves.
        expected: signature -> outputs of the reference for `probes(endpoint)`.

    Raises:
        ExportError: if the extra is missing.
    """
    for module in ("onnx", "onnxruntime", "tf2onnx"):
        onnx_files.extra(module)
    entries: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        name = endpoint.name
        entry = entries[name] = {"file": None, "operators": [], "errors": {}, "reason": None}
        try:
            described = describe(endpoint, expected[name][0])
            path = directory / endpoint.half / str(version)
            content = onnx_conversion.convert(path, name, described)
            received = onnx_files.run(content, probes(endpoint))
            entry["errors"] = parity.compare("onnxruntime", name, expected[name], received)
        except ExportError as error:
            entry["reason"] = str(error)
            continue
        entry["operators"] = onnx_files.operators(content)
        entry["file"] = f"onnx/{version}/{endpoint.half}-{name}.onnx"
        (directory / entry["file"]).parent.mkdir(parents=True, exist_ok=True)
        (directory / entry["file"]).write_bytes(content)
    return entries
