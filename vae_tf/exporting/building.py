"""The parts of a bundle, built and verified in a staging area."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_tf.exporting import litert, manifest, parity, publication, saved_model
from vae_tf.exporting.signatures import Endpoint, describe


def build(stage: Path, endpoints: Sequence[Endpoint], facts: Mapping[str, Any]) -> None:
    """Writes and verifies everything below `stage`, the manifest last.

    Args:
        stage: an empty directory; names in it are those of `publication.entries`.
        endpoints: one per half, under float32.
        facts: the manifest's part that does not depend on files, `version` among it.

    Raises:
        ExportError: if a half cannot be converted, or a runtime disagrees with Keras.
    """
    version = facts["version"]
    # Keras first: a model whose own numbers are wrong needs no further work.
    expected = {e.name: parity.reference(e, parity.probes(e)) for e in endpoints}
    described = {}
    for endpoint in endpoints:
        path = stage / endpoint.half / str(version)
        saved_model.write(endpoint, path)
        flatbuffer = litert.convert(path, endpoint.name)
        (stage / f"{endpoint.half}.tflite").write_bytes(flatbuffer)
        described[endpoint.name] = {
            "saved_model": f"{endpoint.half}/{version}",
            "litert": f"{endpoint.half}.tflite",
            "litert_operators": litert.operators(flatbuffer),
            **describe(endpoint, expected[endpoint.name][0]),
        }
    report = parity.report(stage, version, endpoints, expected)
    manifest.write_json(stage / "parity.json", report)
    content = {
        "format_version": manifest.FORMAT_VERSION,
        "created_at": manifest.created_at(),
        "signatures": described,
        **facts,
        "packages": manifest.packages(),
        "parity": {
            "tolerance": report["tolerance"],
            "max_relative_error": parity.summary(report),
        },
        "files": manifest.digests(stage, publication.entries(version)[:-1]),
    }
    manifest.write_json(stage / manifest.NAME, content)
