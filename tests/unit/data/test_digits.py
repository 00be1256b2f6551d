import os
import shutil

import numpy as np
import pytest
from sklearn.datasets import load_digits

from vae_tf import data
from vae_tf.data import embedded
from vae_tf.data.digits import Digits
from vae_tf.errors import DataError


@pytest.fixture(scope="module")
def loaded(own_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TFDS_DATA_DIR", raising=False)
        yield data.load("digits")


def parts(loaded):
    return loaded.train, loaded.validation, loaded.test


def test_sizes(loaded):
    assert [part.num_examples for part in parts(loaded)] == [1297, 200, 300]
    assert loaded.shape == (8, 8, 1)
    assert not loaded.carved
    assert loaded.label_names == tuple("0123456789")


def test_the_images_are_scikit_learn_s_with_their_labels(loaded):
    original = load_digits()
    scaled = np.concatenate([part.array() for part in parts(loaded)]) * 16
    assert np.abs(scaled - scaled.round()).max() < 16 / 255  # 0..16 survives 0..255
    ours = [
        (image.tobytes(), label)
        for image, label in zip(
            scaled.round().astype(np.uint8),
            np.concatenate([part.labels for part in parts(loaded)]),
            strict=True,
        )
    ]
    theirs = [
        (image.astype(np.uint8).tobytes(), label)
        for image, label in zip(original.images, original.target, strict=True)
    ]
    assert sorted(ours) == sorted(theirs)


def test_every_digit_is_in_every_split(loaded):
    for part in parts(loaded):
        shares = np.bincount(part.labels, minlength=10) / part.num_examples
        assert shares.min() > 0.04
        assert shares.max() < 0.17


def test_nothing_changes_in_the_shipped_splits(loaded):
    golden = "sha256:0841fbd1de8327c10f61892bbab4249f45f9bf9eec5c6e2fd91467f97e4cd5c5"
    assert loaded.fingerprint == golden  # another one would make all numbers on digits incomparable


def test_they_are_prepared_once_and_never_in_the_data_directory(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "_prepare", lambda *_: pytest.fail("prepared twice"))
    again = data.load("digits", data_dir=tmp_path)
    assert again.fingerprint == loaded.fingerprint
    assert not any(tmp_path.iterdir())


def test_they_are_read_from_the_data_directory_if_there(loaded, tmp_path, monkeypatch):
    shutil.copytree(embedded.cache_directory() / "tfds", tmp_path / "sets")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "sets"))
    assert data.load("digits").fingerprint == loaded.fingerprint
    assert not (tmp_path / "empty").exists()


def test_whoever_comes_second_takes_what_the_first_prepared(loaded, tmp_path, monkeypatch):
    finished = embedded.cache_directory() / "tfds" / "digits"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    rename = os.rename

    def overtaken(source, target):
        if str(target).startswith(str(tmp_path)) and str(target).endswith("digits/1.0.0"):
            shutil.copytree(finished, tmp_path / "vae_tf" / "tfds" / "digits", dirs_exist_ok=True)
        rename(source, target)

    monkeypatch.setattr(embedded.os, "rename", overtaken)
    assert data.load("digits").fingerprint == loaded.fingerprint
    assert os.listdir(tmp_path / "vae_tf" / "tfds") == ["digits"]  # nothing left aside


def test_a_disk_without_room_is_a_clear_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(embedded, "_prepare", full)
    with pytest.raises(DataError, match=r"digits must be written.*No space left.*XDG_CACHE_HOME"):
        embedded.prepared(Digits, None)


def test_preparing_is_silent(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    embedded.prepared(Digits, None)
    assert capfd.readouterr().out == ""
