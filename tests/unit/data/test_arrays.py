import pickle

import numpy as np
import pytest

from vae_tf import data
from vae_tf.data import arrays
from vae_tf.errors import DataError


def numbered(n, start=0):
    """Images [n, 2, 3] uint8 whose pixels are their number, from `start`."""
    return np.broadcast_to(np.arange(start, start + n, dtype=np.uint8)[:, None, None], (n, 2, 3))


@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),
        ("train", "train_labels", "validation", "validation_labels", "test", "test_labels"),
        ("train_images", "train_labels", "valid", "y_valid", "test_images", "y_test"),
        ("X_train", "Y_train", "X_validation", "Y_validation", "X_test", "Y_test"),
    ],
)
def test_splits_and_labels_are_found_by_their_keys(save, keys):
    parts = (numbered(9), numbered(4, 50), numbered(3, 90))
    arrays = [array for part in parts for array in (part, part[:, 0, 0])]
    loaded = data.load(save(**dict(zip(keys, arrays, strict=True))))
    for split, part in zip((loaded.train, loaded.validation, loaded.test), parts, strict=True):
        np.testing.assert_array_equal(split.array(), part[..., None] / np.float32(255))
        np.testing.assert_array_equal(split.labels, part[:, 0, 0])
    assert loaded.shape == (2, 3, 1)
    assert loaded.describe()["splits"] == dict.fromkeys(
        ("train", "validation", "test"), "the source's own"
    )


def test_one_array_is_split_and_keeps_its_labels(save):
    images = numbered(100, 20)
    loaded = data.load(save(anything=images, labels=images[:, :1, 0]))
    seen = np.concatenate([s.labels for s in (loaded.train, loaded.validation, loaded.test)])
    assert sorted(seen) == list(range(20, 120))
    np.testing.assert_array_equal(
        np.rint(loaded.test.array()[:, 0, 0, 0] * 255), loaded.test.labels
    )


def test_npy_and_npz_of_the_same_images_are_the_same_data(save, grey):
    assert data.load(save(grey)).fingerprint == data.load(save(images=grey)).fingerprint


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": 9, "x_tset": 3}, r"keys x_train, x_tset\. Did you mean .*x_test.* for x_tset"),
        ({"a": 9, "b": 3}, r"keys a, b\. Name them x_train"),
        ({"x_test": 9}, r"keys x_test\. Name them"),
        ({"x_train": 9, "train": 9}, "keys x_train, train"),
        ({}, "keys none"),
    ],
)
def test_keys_that_leave_doubt_are_refused(save, arrays, message):
    name = save(**{key: numbered(n) for key, n in arrays.items()})
    with pytest.raises(DataError, match=message):
        data.load(name)


def test_labels_must_fit_the_images(save):
    name = save(x_train=numbered(9), y_train=np.zeros((8,)))
    with pytest.raises(DataError, match=r"`y_train`.*each of 9 images.*shape \(8,\)"):
        data.load(name)


def test_an_error_names_the_array_it_is_about(save):
    name = save(x_train=numbered(9), x_test=np.zeros((3, 4)))
    with pytest.raises(DataError, match=r"`x_test` must be images of shape"):
        data.load(name)


def test_pickles_are_never_opened(tmp_path, save):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("a pickle was opened",)

    bomb = np.empty((2,), object)
    bomb[:] = Bomb()
    np.save(tmp_path / "bomb.npy", bomb, allow_pickle=True)
    (tmp_path / "raw.npz").write_bytes(pickle.dumps({"a": 1}))
    np.savez(tmp_path / "bomb.npz", x_train=bomb)
    for file in ("bomb.npy", "raw.npz", "bomb.npz"):
        with pytest.raises(DataError, match=rf"without pickle\. Received: .*{file}"):
            data.load(f"array:{tmp_path / file}")


@pytest.mark.parametrize("keep", [0, 5, 100, 400])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_truncated_file_is_named(tmp_path, save, grey, keep, suffix):
    save(grey) if suffix == "npy" else save(x=grey)
    file = tmp_path / f"images.{suffix}"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=rf"must be readable.*images\.{suffix}"):
        data.load(f"array:{file}")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"`array:FILE` must name a file.*nowhere\.npy"):
        data.load(f"array:{tmp_path}/nowhere.npy")


def test_file_endings_in_capitals(tmp_path, save, grey):
    save(grey)
    expected = data.load(f"array:{tmp_path / 'images.npy'}").fingerprint
    (tmp_path / "images.npy").rename(tmp_path / "IMAGES.NPY")
    assert data.load(f"array:{tmp_path / 'IMAGES.NPY'}").fingerprint == expected
    with pytest.raises(DataError, match="Pass 'array:"):
        data.load(str(tmp_path / "IMAGES.NPY"))


def test_an_archive_that_swells_beyond_memory_is_refused_unread(tmp_path, save, grey, monkeypatch):
    save(x=grey)
    monkeypatch.setattr(arrays, "available_memory", lambda: grey.nbytes - 1)
    with pytest.raises(DataError, match=r"images\.npz.*GiB of memory are free"):
        data.load(f"array:{tmp_path / 'images.npz'}")
    monkeypatch.setattr(arrays, "available_memory", lambda: grey.nbytes + 1000)
    data.load(f"array:{tmp_path / 'images.npz'}")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_before_height_and_width_are_refused(save, channels):
    images = np.random.default_rng(0).integers(0, 256, (9, channels, 8, 6), np.uint8)
    with pytest.raises(DataError, match=r"channels last.*transpose\(0, 2, 3, 1\)"):
        data.load(save(images))
    assert data.load(save(images.transpose(0, 2, 3, 1))).shape == (8, 6, channels)
