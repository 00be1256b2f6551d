"""Whether a bundle still is what was published, and still runs: years later, on another machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_tf.errors import ExportError
from vae_tf.exporting import contents
from vae_tf.exporting.reading import AGAIN
from vae_tf.formats import golden, parity
from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import cpp_loader
from vae_tf.signatures import probes
from vae_tf.signatures.endpoint import Arrays


def verify(directory: Path) -> dict[str, Any]:
    """Returns the manifest of `directory` after checking its files and running every signature.

    Keras is not asked. The C++ loader and LiteRT must give the golden outputs; in a bundle from
    before there were any (format 1), the outputs of one another.

    Raises:
        ExportError: if a file is missing, changed or not listed, or a signature does not run as
            it did.
    """
    facts = contents.check(directory)
    signatures = facts["signatures"]
    wanted = {name: _golden(directory, facts, name) for name in signatures}
    calls = [
        cpp_loader.Call(directory / signatures[name]["saved_model"], name, [inputs])
        for name, (inputs, _) in wanted.items()
    ]
    opened: dict[str, bytes] = {}
    for (name, (inputs, expected)), (served,) in zip(
        wanted.items(), cpp_loader.run(calls), strict=True
    ):
        limits = signatures[name]["outputs"]
        parity.compare("cpp_loader", name, [expected or served], [served], limits)
        file = signatures[name]["litert"]
        if file is not None:
            content = opened.setdefault(file, (directory / file).read_bytes())
            parity.compare(
                "litert", name, [expected or served], litert.run(content, name, [inputs])
            )
    return facts


def _golden(directory: Path, facts: Mapping[str, Any], name: str) -> tuple[Arrays, Arrays]:
    """Returns a batch of inputs and its outputs, of which there are none in format 1."""
    if facts["format_version"] == 1:
        return probes.specimens(facts["signatures"][name]["inputs"])[1], {}
    path = directory / "golden" / str(facts["version"]) / f"{name}.npz"
    batch = golden.read(path)
    for side, arrays in zip(("inputs", "outputs"), batch, strict=True):
        wanted = sorted(facts["signatures"][name][side])
        if sorted(arrays) != wanted:
            raise ExportError(f"{path} must hold the {side} {wanted}", sorted(arrays), AGAIN)
    return batch
