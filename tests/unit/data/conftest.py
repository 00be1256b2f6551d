"""A cache of the tests' own, and the sets that may be at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[4] / "shared" / "tfds"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keeps the digits, and sets made here, out of the user's directories."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def prepared():
    """Returns a function from a TFDS name to the directory that holds it prepared, or skips."""

    def find(name):
        for directory in filter(None, (os.environ.get("TFDS_DATA_DIR"), SHARED)):
            if Path(directory, name).is_dir():
                return str(directory)
        pytest.skip(f"{name} is prepared neither in TFDS_DATA_DIR nor in {SHARED}")

    return find


@pytest.fixture
def save(tmp_path):
    """Returns a function that saves arrays and returns the name that `load` takes."""

    def write(*single, **arrays):
        if single:
            np.save(tmp_path / "images.npy", *single)
            return f"array:{tmp_path / 'images.npy'}"
        np.savez(tmp_path / "images.npz", **arrays)
        return f"array:{tmp_path / 'images.npz'}"

    return write


@pytest.fixture(scope="session")
def grey():
    """Grey values uint8 [400, 5, 7, 1] that use the whole range."""
    images = np.random.default_rng(0).integers(0, 256, (400, 5, 7, 1), np.uint8)
    images[0, 0, 0], images[1, 0, 0] = 0, 255
    return images
