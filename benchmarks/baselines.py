"""Explicit densities beside a VAE, by `python -m vae_tf.compare` with its own settings.

python benchmarks/baselines.py [DATASET]...    results/baselines.json, images/baselines_*.png
python benchmarks/baselines.py page            the table of docs/results.md, of the results
"""

import json
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import common

from vae_tf.cli import compare

DATASETS = ("heights", "houses", "digits")
ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results.md"


def main(*names: str) -> None:
    """Writes the results after each data set."""
    path = common.RESULTS / "baselines.json"
    for name in names or DATASETS:
        output = ROOT / "runs/compare" / name
        if compare.main(["--dataset", name, "--output", str(output)]):
            sys.exit(1)
        found = json.loads((output / "compare.json").read_text())["rows"]
        for row in found:
            row["machine"], row["commit"] = common.machine(), common.commit()
        kept = json.loads(path.read_text()) if path.exists() else []
        kept = [row for row in kept if row["data"] != name]
        path.write_text(json.dumps([*kept, *found], indent=2) + "\n")
        shutil.copy(output / "samples.png", ROOT / f"docs/images/baselines_{name}.png")


def page() -> None:
    """Writes the table into docs/results.md."""
    rows = json.loads((common.RESULTS / "baselines.json").read_text())
    text = "| data | model | test value | below the truth | parameters | seconds |\n"
    text += "|---|---|---|---|---|---|\n"
    for row in rows:
        gap = "" if row["gap"] is None else f"{row['gap']:.3f} ± {row['gap_stderr']:.3f}"
        learned = row["parameters"] is not None
        numbers = f"{row['parameters']:,} | {row['seconds']:.1f}" if learned else " | "
        value = f"{row['value']:.3f} ± {row['stderr']:.3f}"
        text += f"| {row['data']} | {row['model']} | {value} | {gap} | {numbers} |\n"
    common.write_table("baselines", text, PAGE)


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        page()
    else:
        main(*sys.argv[1:])
