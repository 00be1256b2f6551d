"""What the explorer's page gets of a bundle: `.tflite` files of fixed batch, and model.json."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.exporting import fixed_batch, manifest, saved_model

NAME = "model.json"
FORMAT_VERSION = 1
ROWS = 16  # of a batch for the pictures behind the pad
DRAWS = 512
TAIL = 0.005  # of the prior's draws that lie beyond either end of a slider

# role in the page -> (file of a bundle's litert/<version>/, half, signatures, batch)
MODELS = {
    "decoder": ("decoder-float32-batch1", "decoder", ("decode", "generate"), 1),
    "grid": (f"decoder-float32-batch{ROWS}", "decoder", ("decode",), ROWS),
    "encoder": ("encoder-float32-batch1", "encoder", ("encode",), 1),
    "int8": ("decoder-int8-batch1", "decoder", ("decode",), 1),
}


def write(
    bundle: Path, facts: Mapping[str, Any], directory: Path, numbers: Mapping[str, str]
) -> None:
    """Writes `directory` with the models of the page and NAME.

    Raises:
        ExportError: if a model does not convert.
    """
    directory.mkdir()
    models = {}
    for role, (name, half, signatures, batch) in MODELS.items():
        offered = [s for s in signatures if facts["signatures"].get(s, {}).get("litert")]
        path = directory / f"{name}.tflite"
        made = bundle / "litert" / str(facts["version"]) / path.name
        if made.is_file():
            shutil.copyfile(made, path)
        elif role == "int8":
            continue
        else:
            saved = bundle / half / str(facts["version"])
            path.write_bytes(fixed_batch.fixed_batch(saved, offered, batch))
        size = path.stat().st_size
        models[role] = {"file": path.name, "bytes": size, "batch": batch, "signatures": offered}
    shape = facts["signatures"]["encode"]["inputs"]["image"]["shape"][1:]
    draws = _draws(bundle, facts)
    low, centre, high = np.quantile(draws, [TAIL, 0.5, 1 - TAIL], axis=0)
    content = {
        "format_version": FORMAT_VERSION,
        "name": facts["provenance"].get("data", {}).get("name", "a VAE"),
        "version": facts["version"],
        "image": {
            "shape": shape,
            "range": facts["preprocessing"].get("value_range", [0.0, 1.0]),
        },
        "latent": {
            "low": low,
            "high": high,
            "centre": centre,
            "order": _by_influence(bundle, facts, low, centre, high),
        },
        "generate": facts["generate"],
        "models": models,
        "facts": [{"name": name, "value": value} for name, value in _facts(facts, models, numbers)],
    }
    manifest.write_json(directory / NAME, content)


def _draws(bundle: Path, facts: Mapping[str, Any]) -> np.ndarray:
    """Returns draws of the prior, [N, L]; of N(0, I) where the bundle cannot generate."""
    if "generate" not in facts["signatures"]:
        latent = facts["signatures"]["decode"]["inputs"]["z"]["shape"][1]
        return np.random.default_rng(0).standard_normal((DRAWS, latent))
    seed: np.ndarray = np.arange(DRAWS, dtype=np.int32)
    batch = {"seed": seed, "temperature": np.ones(DRAWS, np.float32)}
    decoder = bundle / "decoder" / str(facts["version"])
    return saved_model.run(decoder, "generate", [batch])[0]["z"]


def _by_influence(
    bundle: Path, facts: Mapping[str, Any], low: np.ndarray, centre: np.ndarray, high: np.ndarray
) -> list[int]:
    """Returns the latents' indices, first the one whose two ends make images differ most."""
    latent = len(centre)
    ends = np.tile(centre, (2, latent, 1)).astype(np.float32)
    every = np.arange(latent)
    ends[0, every, every], ends[1, every, every] = low, high
    decoder = bundle / "decoder" / str(facts["version"])
    outputs = saved_model.run(decoder, "decode", [{"z": z} for z in ends])
    first, second = (output["image"].reshape(latent, -1) for output in outputs)
    return [int(i) for i in np.argsort(-np.abs(first - second).mean(1), kind="stable")]


def _facts(
    facts: Mapping[str, Any], models: Mapping[str, Any], numbers: Mapping[str, str]
) -> list[tuple[str, str]]:
    data = facts["provenance"].get("data", {})
    image = facts["signatures"]["encode"]["inputs"]["image"]["shape"][1:]
    latent = facts["signatures"]["decode"]["inputs"]["z"]["shape"][1]
    errors = [runtimes.get("litert", 0.0) for runtimes in _errors(facts).values()]
    sizes = {role: f"{model['bytes']:,} bytes" for role, model in models.items()}
    rows = [
        ("Data", data.get("source")),
        ("Image", " × ".join(map(str, image))),
        ("Preprocessing", facts["preprocessing"].get("preprocessing")),
        ("Latent variables", str(latent)),
        *((name.capitalize(), facts[name]["class_name"]) for name in CONCEPTS),
        *numbers.items(),
        ("Decoder", sizes["decoder"] + (f", int8 {sizes['int8']}" if "int8" in sizes else "")),
        ("Encoder", sizes["encoder"]),
        ("LiteRT against Keras", f"within {max(errors):.1e} of the largest output"),
        ("Exported", f"version {facts['version']}, {facts['created_at'][:10]}"),
        ("Made with", f"vae_tf {facts['packages']['vae_tf']}"),
    ]
    return [(name, value) for name, value in rows if value]


CONCEPTS = ("prior", "posterior", "likelihood")


def _errors(facts: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    return facts["parity"]["max_relative_error"]
