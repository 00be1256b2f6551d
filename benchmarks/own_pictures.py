"""Draws the pictures of docs/own_data.md: a folder, an array and a table, by train.py.

python benchmarks/own_pictures.py [folder] [array] [table]
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import defaults
import numpy as np
from sklearn import datasets

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs/own_pictures"
IMAGES = ROOT / "docs/images"


def main(*names: str) -> None:
    """Trains those that are named, or all, for a few minutes each, and keeps a picture of each."""
    RUNS.mkdir(parents=True, exist_ok=True)
    array = RUNS / "digits.npy"
    np.save(array, (datasets.load_digits().images * 255 / 16).round().astype("uint8"))
    cases = {
        "folder": (defaults.dataset("photos", None), "reconstructions", ["--epochs", "120"]),
        "array": (f"array:{array}", "samples", []),
        "table": (defaults.dataset("wine", None), "marginals", []),
    }
    for name in names or cases:
        source, picture, flags = cases[name]
        run = RUNS / name
        command = [sys.executable, str(ROOT / "train.py"), "--dataset", source, *flags]
        own = ["--importance-samples", "0", "--run-dir", str(run), "--resume"]
        subprocess.run([*command, *own], check=True, cwd=ROOT)
        shutil.copy(run / "pictures" / f"{picture}.png", IMAGES / f"own_{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
