"""The parts of a bundle, built and verified in a staging area."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.data.batch import Batch
from vae_tf.exporting import calibration, manifest, model_card, publication
from vae_tf.exporting.options import Options
from vae_tf.exporting.serving import files as serving_files
from vae_tf.exporting.serving import warmup
from vae_tf.formats import golden, parity, plain
from vae_tf.formats.litert import agreeing
from vae_tf.formats.litert import directory as litert_directory
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.ends import statistics_endpoint
from vae_tf.formats.litert.metadata import labelled
from vae_tf.formats.onnx import directory as onnx_directory
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures.endpoint import Arrays, Endpoint, describe
from vae_tf.signatures.halves import Halves
from vae_tf.signatures.probes import probes

GOLDEN_ROWS = 5
TOLD_IN_FILES = ("version", "fingerprint", "prior", "posterior", "likelihood", "preprocessing")
HALVES_ON_DEVICES = ("encoder", "decoder")


def build(
    stage: Path,
    endpoints: Sequence[Endpoint],
    facts: Mapping[str, Any],
    halves: Halves,
    *,
    options: Options,
    images: Mapping[str, Batch],
    pictures: Mapping[str, bytes],
) -> None:
    """Writes and verifies everything below `stage`, the manifest last.

    Args:
        stage: an empty directory; names in it are those it will have in the bundle.
        endpoints: of all parts, under float32; the first of each is what servers default to.
        facts: the manifest's part that does not depend on files, `version` among it, and
            `remarks`: signature -> in a sentence what it lacks.
        halves: what the endpoints were made of.
        options: what the bundle is to hold.
        images: examples of the splits train, validation and test, each optional.
        pictures: PNGs for the model card, by name.

    Raises:
        ExportError: if a SavedModel cannot be written, or disagrees with Keras in a runtime.
    """
    version = str(facts["version"])
    # Keras first: a model whose own numbers are wrong needs no further work.
    golden_inputs = {e.name: _golden_inputs(e, halves, images) for e in endpoints}
    expected = {e.name: parity.reference(e, [*probes(e), golden_inputs[e.name]]) for e in endpoints}
    golden_outputs = {name: outputs.pop() for name, outputs in expected.items()}
    endpoints = [e.limited(options.max_rows) for e in endpoints]
    signatures = {
        e.name: {"saved_model": f"{e.half}/{version}", "litert": None, "litert_operators": []}
        | {"litert_order": None}
        | describe(e, expected[e.name][0])
        for e in endpoints
    }
    told = {key: facts[key] for key in TOLD_IN_FILES}
    remarks = dict(facts["remarks"])
    by_litert: agreeing.Errors = {}
    networks = halves.parts.encoder, halves.parts.decoder
    for half in dict.fromkeys(e.half for e in endpoints):
        group = [e for e in endpoints if e.half == half]
        saved_model.write(group, stage / half / version, networks)
        warmup.write_warmup(stage / half / version, signatures)
        if half in HALVES_ON_DEVICES and not options.only:
            file = stage / f"{half}.tflite"
            of_file: dict[str, Any] = {"half": half, "precision": "float32", "batch": None}
            label = functools.partial(labelled, **of_file, metadata=told, signatures=signatures)
            by_steps = half == "decoder" and halves.stepwise
            errors, lacking = agreeing.write(
                file,
                stage / half / version,
                group,
                expected,
                label,
                # A decoder that makes steps puts log p out, whatever the likelihood
                None if by_steps else statistics_endpoint(halves, half),
            )
            by_litert |= errors
            remarks |= lacking
            for name in errors:
                signatures[name] |= {
                    "litert": file.name,
                    "litert_operators": litert.operators(file.read_bytes()),
                    "litert_order": {s: list(signatures[name][s]) for s in ("inputs", "outputs")},
                }
    prior = _write_prior(stage / "decoder" / version, halves.parts.prior)
    report = parity.report(stage, facts["version"], endpoints, expected, by_litert)
    plain.write_json(stage / "parity.json", report)
    for endpoint in endpoints:
        path = stage / "golden" / version / f"{endpoint.name}.npz"
        golden.write(path, golden_inputs[endpoint.name], golden_outputs[endpoint.name])
    files = None
    if options.precisions:
        files = litert_directory.write(
            stage,
            facts["version"],
            endpoints,
            halves,
            expected,
            precisions=options.precisions,
            batches=options.batches,
            images=images,
            metadata=told,
            signatures=signatures,
            remarks=remarks,
        )
    anomaly, held_out = None, images.get("validation")
    if "score" in signatures:
        given, rate = held_out and halves.request(held_out), options.false_alarm_rate
        anomaly = calibration.anomaly_threshold(stage / "vae" / version, given, rate)
        if anomaly is None:
            remarks["anomaly"] = calibration.lacking(given, rate)
    onnx = None
    if options.onnx:
        onnx = onnx_directory.write(stage, facts["version"], endpoints, expected)
        reasons = {e.name: onnx[e.name]["reason"] for e in endpoints if e.litert}
        remarks |= {f"{name} in ONNX": reason for name, reason in reasons.items() if reason}
    content = plain.plain(
        {
            "format_version": manifest.FORMAT_VERSION,
            "created_at": manifest.created_at(),
            "signatures": signatures,
            **facts,
            "remarks": remarks,
            "generate": {
                "available": "generate" in signatures,
                "litert": signatures.get("generate", {}).get("litert") is not None,
                "reason": remarks.get("generate", remarks.get("decoder.tflite")),
            },
            "litert": files,
            "onnx": onnx,
            "anomaly": anomaly,
            "prior_parameters": prior and f"decoder/{version}/{prior}",
            "packages": manifest.packages(),
            "parity": {
                "tolerance": report["tolerance"],
                "max_relative_error": parity.summary(report),
            },
        }
    )
    _write_around(stage, version, content, pictures)
    files = manifest.digests(stage, publication.entries(stage, facts["version"])[:-1])
    manifest.write(stage, {**content, "files": files})


def _write_around(
    stage: Path, version: str, content: Mapping[str, Any], pictures: Mapping[str, bytes]
) -> None:
    """Writes what a server's operator and a reader want: configuration, clients, model card."""
    for name, text in serving_files.serving_files(content).items():
        path = stage / "serving" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    paths = []
    for name, png in pictures.items():
        paths.append(f"pictures/{version}/{name}.png")
        (stage / paths[-1]).parent.mkdir(parents=True, exist_ok=True)
        (stage / paths[-1]).write_bytes(png)
    (stage / "README.md").write_text(model_card.model_card(content, paths), "utf-8")


def _golden_inputs(endpoint: Endpoint, halves: Halves, images: Mapping[str, Batch]) -> Arrays:
    """Returns one batch, of test images where there are some."""
    batch = next(b for b in probes(endpoint) if len(next(iter(b.values()))) == GOLDEN_ROWS)
    given = batch.get("image")
    if given is None or given.dtype != np.float32 or "test" not in images:
        return batch
    test = halves.request(images["test"])
    own = {name: values[:GOLDEN_ROWS] for name, values in test.items() if name in batch}
    return batch if len(test["image"]) < GOLDEN_ROWS else {**batch, **own}


def _write_prior(decoder: Path, prior: Any) -> str | None:
    """Returns the file, below `decoder`, that holds p(z) as a mixture; None if it is none.

    Without it nobody could draw from a prior that was learned. TF Serving leaves
    `assets.extra` alone, and the file comes and goes with the decoder's version.
    """
    mixture = prior.mixture() if hasattr(prior, "mixture") else None
    if mixture is None:
        return None
    path = decoder / "assets.extra" / "prior.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **mixture)
    return path.relative_to(decoder).as_posix()
