import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vae_tf import data
from vae_tf.data.binarization import RULES
from vae_tf.errors import ConfigError, DataError


def test_describe_is_json_and_tells_all(save, grey):
    described = data.load(save(grey), binarization="dynamic", image_size=(4, 4), seed=5).describe()
    assert json.loads(json.dumps(described)) == described
    fingerprint = described.pop("fingerprint")
    assert fingerprint.startswith("sha256:")
    assert len(fingerprint) == 7 + 64
    name = described.pop("name")
    assert name.startswith("array:")
    assert described == {
        "source": "NumPy file with array",
        "shape": [4, 4, 1],
        "examples": {"train": 320, "validation": 40, "test": 40},
        "splits": dict.fromkeys(
            ("train", "validation", "test"), "drawn from the source's train split with seed 5"
        )
        | {"train": "the source's own, less what was drawn"},
        "preprocessing": "x = value / 255",
        "scale": 1 / 255,
        "value_range": [0.0, 1.0],
        "resize": {
            "height": 4,
            "width": 4,
            "method": "bilinear with antialiasing, aspect ratio not kept; uint8 values rounded",
        },
        "binarization": {"kind": "dynamic", "rule": RULES["dynamic"], "seed": 5},
        "label_names": None,
    }


def test_the_fingerprint_is_of_the_content(save, grey):
    name = save(grey)
    one = data.load(name)
    assert data.load(name).fingerprint == one.fingerprint
    assert data.load(name, binarization="dynamic").fingerprint == one.fingerprint
    changed = grey.copy()
    changed[77, 3, 3] ^= 1
    others = {
        data.load(name, seed=1).fingerprint,
        data.load(name, binarization="static").fingerprint,
        data.load(name, image_size=(3, 3)).fingerprint,
        data.load(save(changed)).fingerprint,
        data.load(save(grey.reshape(400, 7, 5, 1))).fingerprint,
        data.load(save(grey / np.float32(255))).fingerprint,
    }
    assert len(others | {one.fingerprint}) == 7


def test_binarizations_feed_what_they_say(save, grey):
    name = save(grey)
    none, static, dynamic = (data.load(name, binarization=kind) for kind in data.BINARIZATIONS)
    assert not none.is_binary
    assert static.is_binary
    assert dynamic.is_binary
    assert len(np.unique(none.test.array())) > 2
    # Evaluation is comparable between the two ways of binarizing.
    np.testing.assert_array_equal(static.test.array(), dynamic.test.array())
    first, second = (
        list(data_.train.training_batches(320, 0).take(2)) for data_ in (static, dynamic)
    )
    rows = [{image.tobytes() for image in batch.numpy()} for batch in (*first, *second)]
    assert rows[0] == rows[1]
    assert rows[2] != rows[3]
    # Drawn from the right images: black stays black and white white.
    x, drawn = none.train.array(), static.train.array()
    assert (drawn[x == 0] == 0).all()
    assert (drawn[x == 1] == 1).all()


def test_zeros_and_ones_are_not_drawn_again(save, grey):
    name = save(grey > 127)
    for kind in data.BINARIZATIONS:
        loaded = data.load(name, binarization=kind)
        assert loaded.is_binary
        assert not loaded.train.binarize
        assert loaded.train.array().mean() == pytest.approx(0.5, abs=0.02)
        assert loaded.describe()["binarization"]["kind"] == kind


@pytest.mark.parametrize("shape", [(40, 1, 1), (40, 3, 2, 1), (40, 2, 9, 5)])
def test_any_height_width_and_channels(save, shape):
    images = np.random.default_rng(0).random(shape).astype(np.float32)
    loaded = data.load(save(images))
    assert loaded.shape == (*shape, 1)[1:4]
    fed = np.concatenate([s.array() for s in (loaded.train, loaded.validation, loaded.test)])
    assert sorted(fed.ravel()) == sorted(images.ravel())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binarization": "dynamik"}, "`binarization` must be .* Did you mean dynamic"),
        ({"image_size": (0, 8)}, "`image_size` must be"),
        ({"seed": -1}, "`seed` must be an integer from 0"),
        ({"seed": 1.5}, "`seed` must be an integer from 0"),
        ({"validation_fraction": 1.0}, "`validation_fraction` must lie between 0 and 1"),
        ({"test_fraction": 0}, "`test_fraction` must lie between 0 and 1"),
        ({"memory_limit": -1}, "`memory_limit` must not be negative"),
    ],
)
def test_settings_are_checked_before_anything_is_read(options, message):
    with pytest.raises(ConfigError, match=message):
        data.load("array:nowhere.npy", **options)


@pytest.mark.parametrize("name", ["", " ", None, 3])
def test_a_set_must_be_named(name):
    with pytest.raises(ConfigError, match="A data set must be named"):
        data.load(name)


def test_a_bare_path_is_told_what_to_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name, scheme in [("photos", "folder"), ("people.CSV", "table"), ("a.parquet", "table")]:
        with pytest.raises(DataError, match=f"Pass '{scheme}:{name}'"):
            data.load(name)
    with pytest.raises(DataError, match=f"Pass 'folder:{tmp_path}'"):
        data.load(str(tmp_path))
    with pytest.raises(DataError, match=r"Pass 'array:x\.npz'"):
        data.load("x.npz")


def test_too_few_images_are_refused(save):
    with pytest.raises(
        DataError, match=r"enough images.*2 in train, of which 2 would go elsewhere"
    ):
        data.load(save(np.zeros((2, 4, 4), np.uint8)))


@pytest.mark.slow
def test_importing_does_not_pay_for_tfds():
    code = "import sys, vae_tf.data; sys.exit('tensorflow_datasets' in sys.modules)"
    root = Path(data.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_errors_are_one_line(tmp_path):
    for name in ("mnits", f"folder:{tmp_path}", "array:x.npy"):
        with pytest.raises(DataError) as error:
            data.load(name)
        assert "\n" not in str(error.value)
