"""Golden vectors as a file, and bundles of earlier formats that must stay readable."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from vae_tf.errors import ExportError
from vae_tf.exporting import verify_bundle
from vae_tf.formats import golden

BUNDLES = Path(__file__).parents[2] / "golden"


def test_arrays_and_strings_come_back(tmp_path):
    rows = np.array([b"\x89PNG\x00\x00", b"", b"a"], object)  # NumPy's own strings lose the zeros
    inputs = {"seed": np.array([0, -1, 2], "int32"), "image_bytes": rows}
    outputs = {"image": np.arange(6, dtype="float32").reshape(3, 2)}
    golden.write(tmp_path / "a" / "x.npz", inputs, outputs)
    back, out = golden.read(tmp_path / "a" / "x.npz")
    assert list(back["image_bytes"]) == list(rows)
    assert back["seed"].dtype == np.int32
    np.testing.assert_array_equal(back["seed"], inputs["seed"])
    np.testing.assert_array_equal(out["image"], outputs["image"])


def test_rows_of_one_length_stay_rows(tmp_path):
    rows = np.array([b"ab", b"cd"], object)
    golden.write(tmp_path / "x.npz", {"image_bytes": rows}, {})
    back, _ = golden.read(tmp_path / "x.npz")
    assert back["image_bytes"].shape == (2,)
    assert list(back["image_bytes"]) == [b"ab", b"cd"]


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ExportError, match="must hold golden inputs and outputs"):
        golden.read(tmp_path / "x.npz")


@pytest.mark.parametrize("name", sorted(path.name for path in BUNDLES.glob("format_*")))
def test_bundles_of_earlier_formats_verify(name, tmp_path):
    shutil.copytree(BUNDLES / name, tmp_path / "bundle")
    bundle = verify_bundle(tmp_path / "bundle")
    assert bundle.manifest["format_version"] == int(name.removeprefix("format_"))
    assert bundle.decoder.is_dir()
