"""Writes docs/exports.md from export_{parity,load,layers,time}.json.

python benchmarks/export_page.py
"""

import json
from pathlib import Path

import common

PAGE = Path(__file__).parents[1] / "docs/exports.md"
DETAILED = ("mixture", "conv")
HEAD = """# What was measured of the exports

`benchmarks/export_page.py` writes this page from
[export_parity.json](../benchmarks/results/export_parity.json) (`benchmarks/export_parity.py`) and
[export_load.json](../benchmarks/results/export_load.json) (`benchmarks/export_load.py`).
The models are small and were trained on binarized MNIST for a few epochs. They are MLPs of 500-500
with 40 latent variables, or convolutional networks. The error is the largest difference from Keras,
divided by the largest output. The [NLL](glossary.md#nll) is the importance-weighted one of 256 test
images, and its change is in nats. Each time is that of one row, or of the batch of the file. The
machine was shared with other work, so compare times within a column, not across days.
"""


def table(heading: list[str], rows: list[list[str]]) -> str:
    """Returns a Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def label(row: dict) -> str:
    """Returns runtime and variant."""
    plain = row["variant"] == "float32" and row["runtime"] != "LiteRT"
    return row["runtime"] if plain else f"{row['runtime']} {row['variant']}"


def overview(rows: list[dict]) -> str:
    """Returns the largest error of any signature, for each runtime and case."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    names = list(dict.fromkeys(label(row) for row in rows if row["runtime"] != "Keras"))
    lines = []
    for name in names:
        found = {
            case: [r["max_error"] for r in rows if (label(r), r["case"]) == (name, case)]
            for case in cases
        }
        lines.append([name, *(f"{max(e):.1e}" if e else "" for e in found.values())])
    of = {row["case"]: f"{row['network']}, {row['prior']}" for row in rows}
    return table(["", *(of[case] for case in cases)], lines)


def detail(rows: list[dict]) -> str:
    """Returns every row of one case."""
    lines = []
    for row in rows:
        change, time = row["delta_nll"], row["latency_us"]
        name = label(row)
        if row.get("recommended"):
            name = f"**{name}**"
        if row.get("refused"):
            name = f"{name} (left out)"
        lines.append(
            [
                name,
                f"`{row['signature']}`",
                f"{row['max_error']:.1e}",
                f"{row['bytes']:,}",
                "" if time is None else f"{time:,.0f}",
                "" if change is None else f"{change:+.3f}",
            ]
        )
    return table(["", "signature", "error", "bytes", "µs", "change of NLL"], lines)


def load(result: dict) -> str:
    """Returns the load's numbers."""
    of = result["signatures"]
    text = (
        f"{result['threads']} threads made {result['requests']:,} requests to all signatures, in "
        f"batches of {', '.join(map(str, result['batch_sizes']))}. There was no error. The loader "
        f"answered {result['requests_per_second']:,.0f} requests/s, and its memory went from "
        f"{result['resident_mib'][0]:.0f} to {result['resident_mib'][-1]:.0f} MiB.\n\n"
    )
    lines = [
        [
            f"`{name}`",
            f"{r['requests']:,}",
            f"{r['p50_us'] / 1000:.1f}",
            f"{r['p99_us'] / 1000:.1f}",
        ]
        for name, r in of.items()
    ]
    every = f"{result['p50_us'] / 1000:.1f}", f"{result['p99_us'] / 1000:.1f}"
    lines.append(["all", f"{result['requests']:,}", *every])
    return text + table(["signature", "requests", "p50, ms", "p99, ms"], lines)


LAYERS = """## Keras's layers

Each layer was exported alone, with its own weights (`benchmarks/export_layers.py`,
[export_layers.json](../benchmarks/results/export_layers.json)). The table has the largest error of
the SavedModel in TensorFlow's C++ loader, and of the float32 files in LiteRT, for any batch and for
one row. A layer that LiteRT lacks is still in the SavedModels. The export itself gives the remarks.
"""


def layers(entries: list[dict]) -> str:
    """Returns what SavedModels and LiteRT have of each layer."""

    def cell(error: float | None) -> str:
        return "none" if error is None else f"{error:.1e}"

    rows = [
        [f"`{e['layer']}`", cell(e["saved_model"]), cell(e["litert"]), e["remark"] or ""]
        for e in entries
    ]
    return table(["layer", "SavedModel", "LiteRT", "remark"], rows)


TIME = """## Time of an export

This is the time of everything that `vae_tf.export` makes and proves by default, with fresh weights
and 2,000 images of each split (`benchmarks/export_time.py`,
[export_time.json](../benchmarks/results/export_time.json)). The machine did nothing else meanwhile.
"""


def measured(entry: dict, commits: str) -> str:
    """Returns where and of what a section's numbers were taken."""
    machine = entry["machine"]
    return f"Measured at commit {commits} on {machine['cpu']}, {machine['cores']} cores.\n"


def time(entries: list[dict]) -> str:
    """Returns how long exports take."""
    rows = [
        [f"`{e['model']}`", f"{e['seconds']:.0f}", f"{e['processor_seconds']:.0f}"] for e in entries
    ]
    return table(["model", "seconds", "processor seconds"], rows)


def main() -> None:
    """Writes the page."""
    rows = json.loads((common.RESULTS / "export_parity.json").read_text())
    parts = [HEAD, "## Largest error of any signature\n", overview(rows)]
    for case in DETAILED:
        of = [row for row in rows if row["case"] == case]
        title = f"## {of[0]['network']}, prior {of[0]['prior']}\n"
        parts += [title, "The files in bold are those that the export recommends.\n", detail(of)]
    parts.append(measured(rows[0], ", ".join(sorted({row["commit"] for row in rows}))))
    parts += ["## Load on the C++ loader\n"]
    loaded = json.loads((common.RESULTS / "export_load.json").read_text())
    parts += [load(loaded), measured(loaded, loaded["commit"])]
    entries = json.loads((common.RESULTS / "export_layers.json").read_text())
    parts += [LAYERS, layers(entries), measured(entries[0], entries[0]["commit"])]
    timed = json.loads((common.RESULTS / "export_time.json").read_text())
    parts += [TIME, time(timed), measured(timed[0], timed[0]["commit"])]
    PAGE.write_text("\n".join(parts), "utf-8")


if __name__ == "__main__":
    main()
