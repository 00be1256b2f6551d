"""`litert/<version>/`: each half in several precisions and batch sizes, judged before kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.data.batch import Batch
from vae_tf.formats.litert import choice, judgement, variants
from vae_tf.formats.litert.nll import HeldOut
from vae_tf.formats.plain import write_json
from vae_tf.signatures.endpoint import Arrays, Endpoint
from vae_tf.signatures.halves import Halves

REPRESENTATIVE, JUDGED = 256, 256  # images
DRAWS = 4  # of each that is judged; differences between files hardly depend on it
NO_TRAINING_IMAGES = "int8: No training images were given to take its ranges from."


def write(
    stage: Path,
    version: int,
    endpoints: Sequence[Endpoint],
    halves: Halves,
    expected: Mapping[str, Sequence[Arrays]],
    *,
    precisions: Sequence[str],
    batches: Sequence[int | None],
    images: Mapping[str, Batch],
    metadata: Mapping[str, Any],
    signatures: Mapping[str, Any],
    remarks: Mapping[str, str],
) -> dict[str, Any]:
    """Returns the manifest's `litert` after writing the files, and report.json beside them.

    Args:
        stage: where `encoder/<version>/` and `encoder.tflite` are, and likewise the decoder's.
        version: of the bundle.
        endpoints: of both halves.
        halves: the model, float32.
        expected: signature -> what Keras makes of its probes.
        precisions: of the files to make.
        batches: theirs; None is any.
        images: examples of the splits.
        metadata: what each file says of itself.
        signatures: the manifest's.
        remarks: `<half>.tflite` -> why it is not there.
    """
    possible = [p for p in precisions if p != "int8" or "train" in images]
    dropped = len(possible) < len(precisions)
    held_out = _held_out(halves, images.get("test"), JUDGED)
    typical = _held_out(halves, images.get("train"), REPRESENTATIVE)
    representative = {
        half: {name: values[:REPRESENTATIVE] for name, values in typical.inputs[half].items()}
        for half in ("encoder", "decoder")
    }
    files: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    there = [e for e in endpoints if signatures[e.name]["litert"]]
    for half, samples in representative.items():
        whole = stage / f"{half}.tflite"
        if not whole.exists():
            names = [variants.file_name(half, p, b) for p in possible for b in batches]
            refused |= dict.fromkeys(names, remarks[whole.name])
            continue
        made, impossible = variants.make_variants(
            whole.read_bytes(),
            stage / half / str(version),
            [e for e in there if e.half == half],
            precisions=possible,
            batches=batches,
            representative=samples,
            metadata=metadata,
            signatures=signatures,
        )
        files, refused = files | made, refused | impossible
    report = judgement.judge(files, there, held_out, expected)
    directory = stage / "litert" / str(version)
    directory.mkdir(parents=True)
    for entry in report:
        if not entry["refused"]:
            (directory / entry["file"]).write_bytes(files[entry["file"]])
    summary = {
        "recommended": choice.choose(report),
        "signatures": choice.holders(report),
        "refused": refused | {e["file"]: e["refused"] for e in report if e["refused"]},
        "remarks": [NO_TRAINING_IMAGES] if dropped else [],
        "files": [_summary(e) for e in report if not e["refused"]],
    }
    write_json(directory / "report.json", {**summary, "files": report})
    return summary


def _held_out(halves: Halves, examples: Batch | None, count: int) -> HeldOut:
    """Returns at most `count` of the examples, to measure the loss of precision by."""
    if examples is not None:
        some = np.random.default_rng(0).permutation(len(examples.x))[:count]
        condition = {name: values[some] for name, values in examples.condition.items()}
        examples = Batch(examples.x[some], condition=condition)
    return HeldOut(halves, examples, num_samples=DRAWS)


def _summary(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the manifest has of a file's entry in the report."""
    first = entry["max_error"][entry["signatures"][0]]
    kept = ("file", "half", "precision", "batch", "signatures", "bytes", "recommended")
    return {
        **{key: entry[key] for key in kept},
        "max_error": {name: error["max_abs_error"] for name, error in first.items()},
        **{k: entry[k] for k in ("delta_nll", "delta_nll_stderr", "latency_us")},
    }
