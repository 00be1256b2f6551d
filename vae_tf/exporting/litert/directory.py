"""`litert/<version>/`: each half in several precisions and batch sizes, judged before kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.exporting import manifest
from vae_tf.exporting.litert import choice, judgement, variants
from vae_tf.exporting.litert.nll import HeldOut
from vae_tf.exporting.options import Options
from vae_tf.exporting.parts import Parts
from vae_tf.exporting.signatures.endpoint import Arrays, Endpoint
from vae_tf.exporting.signatures.preprocessing import Preprocessing

REPRESENTATIVE, JUDGED = 256, 256  # images
DRAWS = 4  # of each that is judged; differences between files hardly depend on it
NO_TRAINING_IMAGES = "int8: No training images were given to take its ranges from."


def write(
    stage: Path,
    version: int,
    endpoints: Sequence[Endpoint],
    parts: Parts,
    preprocessing: Preprocessing,
    *,
    options: Options,
    images: Arrays,
    metadata: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the manifest's `litert` after writing the files, and report.json beside them.

    Args:
        stage: where `encoder/<version>/` and `decoder/<version>/` are.
        version: of the bundle.
        endpoints: of both halves.
        parts: the model, float32.
        preprocessing: what images are.
        options: which files to make.
        images: of the splits, as the encoder takes them.
        metadata: what each file says of itself.
    """
    precisions = [p for p in options.precisions if p != "int8" or "train" in images]
    dropped = len(precisions) < len(options.precisions)
    held_out = _held_out(parts, preprocessing, images.get("test"), JUDGED)
    typical = _held_out(parts, preprocessing, images.get("train"), REPRESENTATIVE)
    representative: dict[str, dict[str, np.ndarray]] = {"encoder": {}, "decoder": {}}
    if typical.image is not None and typical.z is not None:
        representative["encoder"] = {"image": typical.image}
        representative["decoder"] = {"z": typical.z[: len(typical.image)]}
    files: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    for half, samples in representative.items():
        made, impossible = variants.make_variants(
            stage / half / str(version),
            half,
            precisions=precisions,
            batches=options.batches,
            representative=samples,
            metadata=metadata,
        )
        files, refused = files | made, refused | impossible
    known = {name for half in representative for name in variants.SIGNATURES[half]}
    report = judgement.judge(files, [e for e in endpoints if e.name in known], held_out)
    directory = stage / "litert" / str(version)
    directory.mkdir(parents=True)
    for entry in report:
        if not entry["refused"]:
            (directory / entry["file"]).write_bytes(files[entry["file"]])
    summary = {
        "recommended": choice.choose(report),
        "refused": refused | {e["file"]: e["refused"] for e in report if e["refused"]},
        "remarks": [NO_TRAINING_IMAGES] if dropped else [],
        "files": [_summary(e) for e in report if not e["refused"]],
    }
    manifest.write_json(directory / "report.json", {**summary, "files": report})
    return summary


def _held_out(
    parts: Parts, preprocessing: Preprocessing, x: np.ndarray | None, count: int
) -> HeldOut:
    if x is not None:
        x = x[np.random.default_rng(0).permutation(len(x))[:count]]
    encoder, decoder, *concepts = parts
    named = dict(zip(("prior", "posterior", "likelihood"), concepts, strict=True))
    return HeldOut(encoder, decoder, **named, x=x, preprocessing=preprocessing, num_samples=DRAWS)


def _summary(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the manifest has of a file's entry in the report."""
    first = entry["max_error"]["encode" if entry["half"] == "encoder" else "decode"]
    kept = ("file", "half", "precision", "batch", "signatures", "bytes", "recommended")
    return {
        **{key: entry[key] for key in kept},
        "max_error": {name: error["max_abs_error"] for name, error in first.items()},
        **{k: entry[k] for k in ("delta_nll", "delta_nll_stderr", "latency_us")},
    }
