"""What the explorer's page gets of a bundle: `.tflite` files of fixed batch, and model.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.errors import ExportError
from vae_tf.exporting.web import conditions
from vae_tf.formats import plain
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.fixing import fixed
from vae_tf.formats.litert.variants import file_name
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures.endpoint import Arrays

NAME = "model.json"
FORMAT_VERSION = 2
ROWS = 16  # of a batch for the pictures behind the pad
LARGE = 8_000_000  # bytes of a decoder that a phone should not load twice; ROWS is then 1
DRAWS = 1000
REACH = 2.6  # standard deviations of the prior's draws from the middle of a slider to its ends

# role in the page -> half, precision, batch
MODELS: dict[str, tuple[str, str, int]] = {
    "decoder": ("decoder", "float32", 1),
    "grid": ("decoder", "float32", ROWS),
    "encoder": ("encoder", "float32", 1),
    "int8": ("decoder", "int8", 1),
}
OF_TABLES = ("decoder", "grid")


def write(bundle: Path, facts: Mapping[str, Any], directory: Path) -> None:
    """Writes `directory` with the models of the page and NAME.

    Raises:
        ExportError: if a model does not convert, decodes to neither images nor rows of a table,
            or has a condition of too many numbers.
    """
    shape, table = _decoded(facts), facts.get("table")
    if table is None and len(shape) != 3:
        what = "the page shows images [H, W, C] and rows of a table"
        raise ExportError(what, f"a decoder of {shape}", "Export without the page.")
    asked = conditions.among(facts, *(n for n, s in facts["signatures"].items() if s["litert"]))
    directory.mkdir()
    models = _write_models(bundle, facts, directory)
    decoder = bundle / "decoder" / str(facts["version"])
    draws = _draws(decoder, facts)
    centre, reach = draws.mean(0), REACH * draws.std(0)
    low, high = centre - reach, centre + reach
    rows = _facts(facts, models)
    given = conditions.example(facts, "decode", len(centre))
    content = {
        "format_version": FORMAT_VERSION,
        "name": _name(facts),
        "version": facts["version"],
        "image": {
            "shape": shape,
            "range": facts["preprocessing"].get("value_range", [0.0, 1.0]),
            "dtype": facts["image_dtype"],
        },
        "latent": {
            "low": low,
            "high": high,
            "centre": centre,
            "order": _by_influence(decoder, centre, reach, given),
        },
        "conditions": asked,
        "columns": table and table["columns"],
        "generate": facts["generate"],
        "models": models,
        "facts": [{"name": name, "value": value} for name, value in rows if value],
    }
    plain.write_json(directory / NAME, content)


def _name(facts: Mapping[str, Any]) -> str:
    """Returns what the data are called; of files, not where they lie."""
    name = facts["provenance"].get("data", {}).get("name", "a VAE")
    return Path(name).stem if ":" in name else name


def _decoded(facts: Mapping[str, Any]) -> list[int]:
    """Returns the shape of what `decode` makes of one z."""
    return facts["signatures"]["decode"]["outputs"]["image"]["shape"][1:]


def _write_models(bundle: Path, facts: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Returns role -> file, bytes, batch and signatures of what it has written.

    Signatures are name -> names of the conditions that it takes.
    """
    models = {}
    version = str(facts["version"])
    for role in OF_TABLES if "table" in facts else MODELS:
        half, precision, batch = MODELS[role]
        file = file_name(half, precision, batch)
        there = bundle / "litert" / version / file
        if there.is_file():
            content = there.read_bytes()
        elif precision == "float32":  # a bundle without variants
            free = bundle / f"{half}.tflite"
            if not free.exists():
                lacking = facts["remarks"].get(free.name, "it is not there")
                fix = "Change the model, or export without the page."
                raise ExportError(f"the page needs {file}", lacking, fix)
            content = litert.packed(fixed(free.read_bytes(), batch))
        else:
            continue
        if role == "grid" and len(content) > LARGE:
            continue
        (directory / file).write_bytes(content)
        models[role] = {
            "file": file,
            "bytes": len(content),
            "batch": batch,
            "signatures": {
                name: [condition["name"] for condition in conditions.among(facts, name)]
                for name in litert.signatures(content)
            },
        }
    return models


def _draws(decoder: Path, facts: Mapping[str, Any]) -> np.ndarray:
    """Returns draws of the prior, [N, L]; of N(0, I) where the bundle cannot generate."""
    if "generate" not in facts["signatures"]:
        latent = facts["signatures"]["decode"]["inputs"]["z"]["shape"][1]
        return np.random.default_rng(0).standard_normal((DRAWS, latent))
    batch: Arrays = {
        "seed": np.arange(DRAWS, dtype=np.int32),
        "temperature": np.ones(DRAWS, np.float32),
        **conditions.example(facts, "generate", DRAWS),
    }
    return saved_model.run(decoder, "generate", [batch])[0]["z"]


def _by_influence(decoder: Path, centre: np.ndarray, reach: np.ndarray, given: Arrays) -> list[int]:
    """Returns the latents' indices, first the one whose two ends make images differ most."""
    ends = [(centre + sign * np.diag(reach)).astype(np.float32) for sign in (-1, 1)]
    outputs = saved_model.run(decoder, "decode", [{"z": z, **given} for z in ends])
    low, high = (output["image"].reshape(len(centre), -1) for output in outputs)
    return np.argsort(-np.abs(high - low).mean(1), kind="stable").tolist()


def _facts(facts: Mapping[str, Any], models: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Returns what the page tells of the model, in order; None where it is not known."""
    signatures, data = facts["signatures"], facts["provenance"].get("data", {})
    sizes = {role: f"{model['bytes'] / 1000:,.0f} kB" for role, model in models.items()}
    errors = [of.get("litert", 0.0) for of in facts["parity"]["max_relative_error"].values()]
    return [
        ("Data", data.get("source")),
        ("Columns" if "table" in facts else "Image", " x ".join(map(str, _decoded(facts)))),
        ("Preprocessing", facts["preprocessing"].get("preprocessing")),
        ("Latent variables", str(signatures["decode"]["inputs"]["z"]["shape"][1])),
        ("Prior", facts["prior"]["class_name"]),
        ("Posterior", facts["posterior"]["class_name"]),
        ("Likelihood", facts["likelihood"]["class_name"]),
        ("Test ELBO, higher is better", _nats(facts, "elbo")),
        ("Test NLL, lower is better", _nats(facts, "importance_weighted_nll")),
        ("Files", ", ".join(f"{role} {sizes[role]}" for role in sizes if role != "grid")),
        ("LiteRT against Keras", f"within {max(errors):.1e} of the largest output"),
        ("Exported", f"version {facts['version']}, {facts['created_at'][:10]}"),
        ("Made with", f"vae_tf {facts['packages']['vae_tf']}"),
    ]


def _nats(facts: Mapping[str, Any], key: str) -> str | None:
    """Returns a number of the run's report in words; None where there is no such number."""
    test = (facts["provenance"].get("report") or {}).get("test", {})
    return None if test.get(key) is None else f"{test[key]:.2f} nats (1 nat is 1.44 bits)"
