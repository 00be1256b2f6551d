"""The model card: README.md of a bundle, for a reader who has nothing else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vae_tf.exporting.snippets import python_lines, snippets

CAPTIONS = {
    "samples": "Images that the decoder makes from draws of the prior.",
    "reconstructions": "Test images, each row above its reconstruction.",
    "label_swap": "Test images, and the style of each one under every label.",
    "interpolations": "Images along straight lines between two test images in latent space.",
    "manifold": "The two-dimensional latent space.",
    "codes": "The codes of the test images in the latent space.",
    "marginals": "Each column, in the training rows and in samples.",
    "pairs": "Pairs of columns, in the training rows and in samples.",
}
NUMBERS = {  # key in the run's report -> what it is; nats per image
    "elbo": "ELBO",
    "nll": "reconstruction, -log p(x\\|z)",
    "kl": "KL(q(z\\|x) \\|\\| p(z))",
    "importance_weighted_nll": "negative log-likelihood, importance weighted",
}


def model_card(manifest: Mapping[str, Any], pictures: Sequence[str] = ()) -> str:
    """Returns the text of README.md, Markdown.

    Args:
        manifest: what manifest.json will hold, less the hashes.
        pictures: paths of PNGs, relative to the bundle.
    """
    sections = [
        ("", _head(manifest, pictures)),
        ("Data", _data(manifest)),
        ("Numbers", _numbers(manifest)),
        ("Signatures", _signatures(manifest["signatures"])),
        ("LiteRT files", _litert(manifest)),
        ("In Python", python_lines(manifest)),
        ("On a phone", snippets(manifest)),
        ("Agreement", _agreement(manifest)),
        ("Limits", _limits(manifest)),
        ("Use", _use(manifest)),
    ]
    parts = [f"## {title}\n\n{body}" if title else body for title, body in sections if body]
    return "\n\n".join([_metadata(manifest), *parts]) + "\n"


def _metadata(manifest: Mapping[str, Any]) -> str:
    """Returns the block of YAML by which a model hub finds and lists the model."""
    data = (manifest["provenance"].get("data") or {}).get("name")
    test = (manifest["provenance"].get("report") or {}).get("test") or {}
    tags = ["variational-autoencoder", "tensorflow", "saved-model"]
    if (manifest.get("litert") or {}).get("files"):
        tags.append("litert")
    lines = ["---", "library_name: vae_tf", "tags:", *(f"- {tag}" for tag in tags)]
    metrics = [
        {"type": key, "name": f"{meaning}, nats", "value": test[key]}
        for key, meaning in NUMBERS.items()
        if test.get(key) is not None
    ]
    if data and metrics:
        result = {
            "task": {"type": "density-estimation", "name": "Density estimation"},
            "dataset": {"type": data, "name": data, "split": "test"},
            "metrics": metrics,
        }
        # JSON is YAML
        index = [{"name": f"vae_tf {manifest['version']}", "results": [result]}]
        lines.append(f"model-index: {json.dumps(index)}")
    return "\n".join([*lines, "---"])


def _head(manifest: Mapping[str, Any], pictures: Sequence[str]) -> str:
    """Returns title, summary and pictures."""
    data = manifest["provenance"].get("data") or {}
    kinds = {k: manifest[k]["class_name"] for k in ("prior", "posterior", "likelihood")}
    encode, decode = (_first(manifest["signatures"], half) for half in ("encoder", "decoder"))
    shape = next(iter(encode["inputs"].values()))["shape"][1:]
    (latent,) = {**decode["inputs"], **decode["outputs"]}["z"]["shape"][1:]
    of = f" of `{data['name']}`" if data.get("name") else ""
    lines = [
        f"# A variational autoencoder{of}, version {manifest['version']}",
        "",
        f"The encoder and the decoder translate between data of shape {_shape(shape)} and {latent} "
        f"latent variables. The prior is `{kinds['prior']}`, the posterior "
        f"`{kinds['posterior']}` and the likelihood `{kinds['likelihood']}`. vae_tf "
        f"{manifest['packages']['vae_tf']} exported the model on {manifest['created_at']}; "
        "you do not need vae_tf to run these files.",
    ]
    inputs = {k: v for s in manifest["signatures"].values() for k, v in s["inputs"].items()}
    conditions = [f"`{name}`" for name, spec in inputs.items() if spec.get("role") == "condition"]
    if conditions:
        lines += ["", f"Everything is conditional on {' and '.join(conditions)}."]
    for path in pictures:
        name = path.rpartition("/")[2].removesuffix(".png")
        caption = CAPTIONS.get(name, name.replace("_", " "))
        lines += ["", f"![{caption}]({path})", "", f"*{caption}*"]
    return "\n".join(lines)


def _first(signatures: Mapping[str, Any], half: str) -> Mapping[str, Any]:
    """Returns the signature that a server takes for the half if none is named."""
    return next(s for s in signatures.values() if s["saved_model"].startswith(f"{half}/"))


def _data(manifest: Mapping[str, Any]) -> str:
    """Returns the table of what the model was trained on."""
    data = manifest["provenance"].get("data") or {}
    rows = []
    if data.get("source"):
        rows.append(("source", data["source"]))
    for name, count in (data.get("examples") or {}).items():
        rows.append((f"{name} images", f"{count}, {data['splits'][name]}"))
    if data.get("fingerprint"):
        rows.append(("fingerprint", f"`{data['fingerprint']}`"))
    for name, value in manifest["preprocessing"].items():
        if value is not None:
            rows.append((name.replace("_", " "), _words(value)))
    rows.append(("image inputs are", manifest["image_dtype"]))
    return _table(("", ""), rows)


def _numbers(manifest: Mapping[str, Any]) -> str:
    """Returns the table of test results, and the threshold of unusual images."""
    test = (manifest["provenance"].get("report") or {}).get("test") or {}
    rows = []
    for key, meaning in NUMBERS.items():
        if test.get(key) is not None:
            error = test.get(f"{key}_stderr")
            rows.append((meaning, f"{test[key]:.2f}" + (f" ± {error:.2f}" if error else "")))
    text = ""
    if rows:
        text = "Mean over the test images, in nats per image.\n\n" + _table(("", "nats"), rows)
    anomaly = manifest.get("anomaly")
    if anomaly:
        text += (
            f"\n\nAn image counts as unusual if `score` gives it an `nll` above "
            f"**{anomaly['threshold']:.2f} nats**. This threshold was calibrated on "
            f"{anomaly['examples']} held-out images. Of images like these, on average at most "
            f"{anomaly['false_alarm_rate']:.0%} are above it."
        )
    return text.strip()


def _signatures(signatures: Mapping[str, Any]) -> str:
    """Returns the table of signatures with their inputs and outputs."""

    def side(values: Mapping[str, Any]) -> str:
        return "; ".join(
            f"`{name}` {v['dtype']} {_shape(v['shape'])}, {v['meaning']} ({v['unit']})".replace(
                "|", "\\|"
            )
            for name, v in values.items()
        )

    def cells(name: str, s: Mapping[str, Any]) -> tuple[str, ...]:
        return f"`{name}`", f"`{s['saved_model']}`", f"{s['max_rows']:,}"

    rows = [
        (*cells(name, s), side(s["inputs"]), side(s["outputs"])) for name, s in signatures.items()
    ]
    text = (
        "B is the batch size. Each signature has a limit for the rows of a request; LiteRT files "
        "have none.\n\n"
    )
    return text + _table(("signature", "SavedModel", "most rows", "inputs", "outputs"), rows)


def _change(mean: float | None, stderr: float | None) -> str:
    """Returns a mean and its standard error, which that of one image lacks."""
    if mean is None:
        return ""
    return f"{mean:+.3f}" + ("" if stderr is None else f" ± {stderr:.3f}")


def _litert(manifest: Mapping[str, Any]) -> str:
    """Returns the table of LiteRT files and what was left out; nothing without files."""
    litert = manifest.get("litert") or {}
    rows = []
    for row in litert.get("files", ()):
        rows.append(
            (
                f"**`{row['file']}`**" if row["recommended"] else f"`{row['file']}`",
                f"{row['bytes']:,}",
                f"{max(row['max_error'].values()):.1e}",
                _change(row["delta_nll"], row["delta_nll_stderr"]),
                f"{row['latency_us']:,.0f}",
            )
        )
    if not rows:
        return ""
    heading = ("file", "bytes", "largest error", "NLL, change in nats", "µs a call")
    text = "The recommended file is in bold. The times were measured on the exporting machine.\n\n"
    text += _table(heading, rows)
    taken = [f"`{name}`: `{file}`" for name, file in litert["signatures"].items()]
    text += "\n\nThe file to take for each signature:\n\n" + _listed(taken)
    left_out = [f"`{file}`: {reason}" for file, reason in litert["refused"].items()]
    left_out += litert["remarks"]
    return text + ("\n\nLeft out:\n\n" + _listed(left_out) if left_out else "")


def _agreement(manifest: Mapping[str, Any]) -> str:
    """Returns the table of differences from Keras by signature and runtime."""
    errors = manifest["parity"]["max_relative_error"]
    runtimes = list(dict.fromkeys(runtime for row in errors.values() for runtime in row))
    rows = [
        [f"`{signature}`", *(f"{row[r]:.1e}" if r in row else "" for r in runtimes)]
        for signature, row in errors.items()
    ]
    text = "Largest difference from Keras, divided by the largest output (`parity.json`).\n\n"
    return text + _table(["signature", *(r.replace("_", " ") for r in runtimes)], rows)


def _limits(manifest: Mapping[str, Any]) -> str:
    """Returns the list of what the model cannot do."""
    outputs = {name for s in manifest["signatures"].values() for name in s["outputs"]}
    means = ["An `image` is a mean, E[x|z], not a sample of p(x|z)."] if "image" in outputs else []
    limits = [
        "The model knows only images like those it was trained on. For other images, its "
        "reconstructions and likelihoods mean little. A low likelihood does not prove that an "
        "image is unusual, and a high one does not prove that it is not.",
        *means,
        *(f"`{name}`: {text}" for name, text in manifest["remarks"].items()),
    ]
    return _listed(limits)


def _use(manifest: Mapping[str, Any]) -> str:
    """Returns what the other files of the bundle are for."""
    return (
        "`serving/` holds the configuration of TF Serving, a compose file and three clients. "
        "`manifest.json` has everything on this page in a form for programs, and `golden/` the "
        "inputs of every signature with the outputs that Keras computed. To check that the bundle "
        "is unchanged, run\n\n"
        "```\npython -m export --verify DIR  # or: vae-tf-export --verify DIR\n```"
    )


def _listed(items: Iterable[str]) -> str:
    """Returns a list in Markdown."""
    return "\n".join(f"- {text}" for text in items)


def _shape(shape: Iterable[int | None]) -> str:
    """Returns a shape in brackets, with B for the batch."""
    return "[" + ", ".join("B" if side is None else str(side) for side in shape) + "]"


def _words(value: Any) -> str:
    """Returns a value of the preprocessing in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    return str(value)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
