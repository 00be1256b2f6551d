"""A decoder of texts as a SavedModel that returns strings, and in LiteRT a step at a time."""

import dataclasses
import os
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from vae_tf.checks import instance, whole
from vae_tf.data.sequences.texts import Texts
from vae_tf.errors import ExportError
from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import cpp_loader, saved_model
from vae_tf.models.sequences import SequenceVAE
from vae_tf.signatures import texts as signatures
from vae_tf.signatures.endpoint import Arrays, Endpoint

ROWS, TOLERANCE = 3, 1e-4


def export_texts(
    vae: SequenceVAE, texts: Texts, directory: str | Path, *, version: int = 1
) -> Path:
    """Returns the directory, having written a decoder of texts and proven it in its runtimes.

    `decoder/<version>/` is a SavedModel with the signatures `generate_text(seed, temperature)` and
    `decode_text(z, seed, temperature)`, which return strings, and `step(z, x, position)`, which
    returns log p of each next token. `step.tflite` has `step` alone, `vocabulary.json` tells what
    its tokens are.

    Args:
        vae: a trained model.
        texts: how its texts became numbers.
        directory: where it goes; it must not hold the version yet.
        version: TF Serving's version number.

    Raises:
        ExportError: the version exists, or a file disagrees with the model.
    """
    instance("vae", vae, SequenceVAE)
    instance("texts", texts, Texts)
    home, number = Path(directory), str(whole("version", version))
    target = home / "decoder" / number
    if target.exists():
        raise ExportError("A version must be new", str(target), f"Pass version={version + 1}.")
    endpoints = signatures.endpoints(vae.parts, texts)
    (step,) = (e for e in endpoints if e.litert)
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".staging-") as stage:
        written = Path(stage) / "decoder"
        saved_model.write(endpoints, written)
        probes = {e.name: _probe(e, texts) for e in endpoints}
        calls = [cpp_loader.Call(written, name, [batch]) for name, batch in probes.items()]
        for endpoint, (found,) in zip(endpoints, cpp_loader.run(calls), strict=True):
            _compare(endpoint, probes[endpoint.name], found, "TensorFlow's C++ loader")
        parts = dataclasses.replace(vae.parts, decoder=signatures.unrolled(vae.decoder))
        plain = [e for e in signatures.endpoints(parts, texts) if e.litert]
        saved_model.write(plain, Path(stage) / "unrolled")
        content = litert.convert(Path(stage) / "unrolled", [step.name])
        batch = probes[step.name]
        _compare(step, batch, litert.run(content, step.name, [batch])[0], "LiteRT")
        (Path(stage) / "step.tflite").write_bytes(content)
        texts.save(Path(stage) / "vocabulary.json")
        for name in ("step.tflite", "vocabulary.json"):
            os.replace(Path(stage) / name, home / name)
        target.parent.mkdir(exist_ok=True)
        os.rename(written, target)
    return home


def _probe(endpoint: Endpoint, texts: Texts) -> Arrays:
    """Returns a batch of inputs."""
    rng = np.random.default_rng(0)
    length = texts.max_length
    values = {
        "seed": np.arange(ROWS, dtype="int32"),
        "temperature": np.array([1.0, 0.5, 0.0], "float32"),
        "x": rng.integers(0, texts.num_tokens, (ROWS, length)).astype("float32"),
        "position": np.array([0, length // 2, length - 1], "int32"),
    }
    sizes = {i.name: i.shape for i in endpoint.inputs}
    if "z" in sizes:
        values["z"] = rng.normal(size=(ROWS, *sizes["z"])).astype("float32")
    return {name: values[name] for name in sizes}


def _compare(endpoint: Endpoint, batch: Arrays, found: Arrays, runtime: str) -> None:
    expected = endpoint.function(*(tf.constant(batch[i.name]) for i in endpoint.inputs))
    for name, value in expected.items():
        want, got = np.asarray(value), np.asarray(found[name])
        if want.dtype.kind in "OS":
            same = want.tolist() == got.tolist()
        else:
            same = want.shape == got.shape and np.allclose(want, got, TOLERANCE, TOLERANCE)
        if not same:
            received = f"another {name}"
            fix = "Report the model's networks."
            raise ExportError(f"{endpoint.name} must be the model's in {runtime}", received, fix)
