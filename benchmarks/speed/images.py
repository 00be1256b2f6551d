"""MNIST's training images for every contender: one file, no framework needed to read it.

`python -m benchmarks.speed.images FILE` writes it.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.speed.runner import ROOT

SHAPE, COUNT = (28, 28, 1), 50_000


def prepare(scratch: Path) -> str:
    """Writes the file and returns what the images are; the work is done in another process."""
    path = scratch / "images.npy"
    command = [sys.executable, "-m", "benchmarks.speed.images", str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def load(scratch: Path) -> np.ndarray:
    """Returns the images [N, 28, 28, 1], float32 in [0, 1]."""
    return np.load(scratch / "images.npy").astype(np.float32) / 255


def main(path: str) -> None:
    """Writes MNIST as TFDS has it, or noise of its shape, which takes as long."""
    from vae_tf import data
    from vae_tf.errors import VAEError

    try:
        split = data.load("mnist").train
        pixels, what = split.stored[split.rows], "MNIST"
    except VAEError:
        pixels = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), np.uint8)
        what = "noise of MNIST's shape"
    np.save(path, pixels)
    print(f"{what}, {len(pixels):,} images")


if __name__ == "__main__":
    main(sys.argv[1])
