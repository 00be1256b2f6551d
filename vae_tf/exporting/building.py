"""The parts of a bundle, built and verified in a staging area."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.errors import ExportError
from vae_tf.exporting import litert, manifest, parity, publication, saved_model
from vae_tf.exporting.signatures import Endpoint, describe


def build(stage: Path, endpoints: Sequence[Endpoint], facts: Mapping[str, Any]) -> None:
    """Writes and verifies everything below `stage`, the manifest last.

    Args:
        stage: an empty directory; names in it are those of `publication.entries`.
        endpoints: of both halves, under float32; the first of each is what servers default to.
        facts: the manifest's part that does not depend on files, `version` among it, and
            `generate`: in a sentence what that signature lacks, or None.

    Raises:
        ExportError: if a half cannot be converted, or a runtime disagrees with Keras.
    """
    version = facts["version"]
    # Keras first: a model whose own numbers are wrong needs no further work.
    expected = {e.name: parity.reference(e, parity.probes(e)) for e in endpoints}
    described: dict[str, dict[str, Any]] = {}
    remark = facts["generate"]
    for half in dict.fromkeys(e.half for e in endpoints):
        group = [e for e in endpoints if e.half == half]
        path, file = stage / half / str(version), f"{half}.tflite"
        saved_model.write(group, path)
        flatbuffer, refusal = _convert(path, group)
        remark = remark or refusal
        (stage / file).write_bytes(flatbuffer)
        within = litert.signatures(flatbuffer)
        for endpoint in group:
            described[endpoint.name] = {
                "saved_model": f"{half}/{version}",
                "litert": file if endpoint.name in within else None,
                "litert_operators": litert.operators(flatbuffer),
                **describe(endpoint, expected[endpoint.name][0]),
            }
    content_of_prior = _write_prior(stage / "decoder" / str(version), facts["prior"])
    report = parity.report(stage, version, endpoints, expected)
    manifest.write_json(stage / "parity.json", report)
    content = {
        "format_version": manifest.FORMAT_VERSION,
        "created_at": manifest.created_at(),
        "signatures": described,
        **facts,
        "generate": {
            "available": "generate" in described,
            "litert": described.get("generate", {}).get("litert") is not None,
            "reason": remark,
        },
        "prior_parameters": content_of_prior and f"decoder/{version}/{content_of_prior}",
        "packages": manifest.packages(),
        "parity": {
            "tolerance": report["tolerance"],
            "max_relative_error": parity.summary(report),
        },
        "files": manifest.digests(stage, publication.entries(version)[:-1]),
    }
    manifest.write_json(stage / manifest.NAME, content)


def _convert(saved_model: Path, group: Sequence[Endpoint]) -> tuple[bytes, str | None]:
    """Returns the `.tflite` file of a half, and why all but its first signature are not in it."""
    names = [e.name for e in group if e.litert]
    try:
        return litert.convert(saved_model, names), None
    except ExportError as error:
        if names == [group[0].name]:
            raise
        return litert.convert(saved_model, names[:1]), f"LiteRT has no generate: {error}"


def _write_prior(decoder: Path, prior: Any) -> str | None:
    """Returns the file, below `decoder`, that holds p(z) as a mixture; None if it is none.

    Without it nobody could draw from a prior that was learned. TF Serving leaves
    `assets.extra` alone, and the file comes and goes with the decoder's version.
    """
    mixture = prior.mixture() if hasattr(prior, "mixture") else None
    if mixture is None:
        return None
    path = decoder / "assets.extra" / "prior.npz"
    path.parent.mkdir()
    np.savez(path, **mixture)
    return path.relative_to(decoder).as_posix()
