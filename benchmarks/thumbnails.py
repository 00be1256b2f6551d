"""Draws the pictures of docs/gallery.md that are of no other page.

Three are made of results/lossless.json, export_parity.json and scale.json. The fourth trains the
model of series of docs/sequences.md, by the page's own code but for fewer epochs, and shows
its surprise at two of them.

python benchmarks/thumbnails.py [compression] [shipping] [scale] [series]
"""

import json
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import common
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
OURS, THEIRS, ODD = "tab:blue", "tab:gray", "tab:red"


def figure() -> tuple:
    """Returns a figure of a card's shape and its axes."""
    made = Figure((4.0, 4.0), layout="constrained")
    axes = made.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return made, axes


def read(name: str):
    """Returns a committed result."""
    return json.loads((common.RESULTS / f"{name}.json").read_text("utf-8"))


def compression() -> Figure:
    """Returns bars of the bits that each codec needs for a pixel of binarized MNIST."""
    found = {r["codec"]: r["bits_per_dim"] for r in read("lossless")}
    names = {
        "negative ELBO": "the bound",
        "vae_tf": "vae_tf",
        "bzip2, packed": "bzip2",
        "xz, packed": "xz",
        "WebP lossless, one sheet": "WebP",
        "gzip, packed": "gzip",
        "PNG, one sheet": "PNG",
    }
    made, axes = figure()
    bits = [found[name] for name in names]
    colours = [OURS if name == "vae_tf" else THEIRS for name in names]
    bars = axes.barh(list(names.values()), bits, color=colours)
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.set_xlim(0, 1.2 * max(bits))
    axes.invert_yaxis()
    axes.set_xlabel("bits per pixel")
    return made


def shipping() -> Figure:
    """Returns points: how far each runtime's images are from those of Keras, of one decoder."""
    names = {
        ("Python SavedModel", "float32"): "SavedModel",
        ("C++ program", "float32"): "C++ program",
        ("ONNX Runtime", "float32"): "ONNX",
        ("browser", "float32"): "browser",
        ("LiteRT float32, batch 1", None): "LiteRT float32",
        ("LiteRT float16, batch 1", None): "LiteRT float16",
        ("LiteRT int8, batch 1", None): "LiteRT int8",
    }
    found = {}
    for row in read("export_parity"):
        if (row["case"], row["network"], row["signature"]) == ("normal", "mlp", "decode"):
            found[row["runtime"], row["variant"]] = row["max_error"]
            found.setdefault((f"{row['runtime']} {row['variant']}", None), row["max_error"])
    made, axes = figure()
    axes.scatter([found[key] for key in names], list(names.values()), color=OURS, zorder=2)
    axes.set_xscale("log")
    axes.set_xlim(1e-8, 1)
    axes.grid(axis="y", alpha=0.3)
    axes.invert_yaxis()
    axes.set_xlabel("largest difference from Keras")
    return made


def scale() -> Figure:
    """Returns bars of the images per second of a conv VAE on one, two and four workers."""
    measured = read("scale")["rows"]
    rows = [row for row in measured if (row["network"], row["batch_size"]) == ("conv", 512)]
    made, axes = figure()
    bars = axes.bar([str(r["replicas"]) for r in rows], [r["images_per_second"] for r in rows])
    axes.bar_label(bars, [f"{r['ratio']:.2f} times" for r in rows], padding=3)
    axes.set_xlabel("workers, on two cores")
    axes.set_ylabel("images per second")
    return made


def series() -> Figure:
    """Returns two series with a step that is wrong, and the surprise of each step."""
    import keras
    import numpy as np

    import vae_tf

    keras.utils.set_random_seed(0)
    page = (ROOT / "docs/sequences.md").read_text("utf-8").partition("## Series with")[2]
    page = page.replace("epochs=60", "epochs=25")
    names = {"keras": keras, "np": np, "vae_tf": vae_tf}
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.S)), names)
    made = Figure((4.0, 4.0), layout="constrained")
    above, below = made.subplots(2, sharex=True)
    for row, colour in ((0, OURS), (1, THEIRS)):
        length = names["lengths"][row]
        values, surprise = names["broken"][row, :length, 0], names["surprisal"][row, :length]
        above.plot(values, color=colour)
        below.plot(surprise, color=colour)
        place = names["places"][row]
        above.plot(place, values[place], "o", color=ODD)
        below.plot(place, surprise[place], "o", color=ODD)
        # The page gives missing steps as 20, which is as wrong where the series is elsewhere
        gaps = np.flatnonzero(np.isnan(names["x"][row, :length, 0]))
        above.plot(gaps, values[gaps], "o", mfc="none", color=ODD)
        below.plot(gaps, surprise[gaps], "o", mfc="none", color=ODD)
    above.set_ylabel("series")
    below.set_ylabel("-log p of a step")
    below.set_xlabel("step; dot: wrong by 6, ring: a gap given as 20")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return made


DRAWN = {"compression": compression, "shipping": shipping, "scale": scale, "series": series}

if __name__ == "__main__":
    for name in sys.argv[1:] or DRAWN:
        DRAWN[name]().savefig(ROOT / f"docs/images/card_{name}.png", dpi=100)
