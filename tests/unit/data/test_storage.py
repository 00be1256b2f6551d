import os

import numpy as np
import pytest
import tensorflow as tf

from vae_tf import data
from vae_tf.data.storage import (
    Storage,
    as_tensor,
    available_memory,
    cache_directory,
    chunks,
    copied,
)
from vae_tf.errors import ConfigError, DataError


@pytest.mark.parametrize("limit", [0, 10**6, None])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_are_zeros_that_can_be_written(limit, dtype):
    array = Storage(limit).empty((3, 5, 7, 2), dtype)
    assert array.dtype == dtype
    assert not array.any()
    array[1, 2, 3, 1] = 9
    assert array.sum() == 9


@pytest.mark.parametrize("limit", [0, 10**6])
def test_a_tensor_shares_the_memory_of_a_stored_array(limit):
    array = Storage(limit).empty((3, 5), np.uint8)
    tensor = as_tensor(array)
    array[2, 4] = 7
    assert tensor.numpy()[2, 4] == 7


def test_a_tensor_outlives_its_array():
    tensor = as_tensor(Storage(0).empty((1000, 1000), np.uint8))
    assert tf.reduce_max(tensor).numpy() == 0


def test_an_array_that_cannot_be_shared_is_copied():
    array = np.arange(12, dtype=np.uint8)[1:]
    np.testing.assert_array_equal(as_tensor(array), array)
    np.testing.assert_array_equal(as_tensor(array.reshape(11, 1).T), array.reshape(11, 1).T)


@pytest.mark.parametrize("rows", [3, 9_000], ids=["small", "large"])
@pytest.mark.parametrize(
    ("held", "wanted"), [("float64", "float32"), (">f4", "float32"), ("bool", "bool"), ("i2", "i2")]
)
def test_a_copy_is_a_copy(rows, held, wanted):
    array = (np.arange(rows * 1000) % 251).reshape(rows, 1000).astype(held)[:, ::-1]
    expected = array.astype(wanted)
    tensor = copied(array, np.dtype(wanted))
    array[:] = 0
    assert tensor.dtype.as_numpy_dtype == np.dtype(wanted)
    np.testing.assert_array_equal(tensor, expected)


def test_data_on_disk_are_the_data_in_memory(save, grey):
    name = save(grey)
    memory, disk = (data.load(name, binarization="static", memory_limit=m) for m in (None, 0))
    assert memory.fingerprint == disk.fingerprint
    fed = [list(loaded.train.training_batches(64, 0).take(9)) for loaded in (memory, disk)]
    for a, b in zip(*fed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_full_disk_is_a_clear_error(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"0\.50 GiB in .*No space left on device\. Make room"):
        Storage(0).empty((2**29,), np.uint8)


def test_a_negative_limit_is_refused():
    with pytest.raises(ConfigError, match=r"`memory_limit` must not be negative\. Received: -1"):
        Storage(-1)


def test_a_cache_that_cannot_be_made_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"must be writable.*file/vae_tf\. Set XDG_CACHE_HOME"):
        cache_directory()


def test_chunks_cover_all_rows_once(monkeypatch):
    monkeypatch.setattr("vae_tf.data.storage._CHUNK_BYTES", 100)
    array = np.zeros((23, 30), np.uint8)
    assert [part.stop - part.start for part in chunks(array)] == [3] * 7 + [2]


def test_available_memory_is_of_this_machine():
    assert 2**20 < available_memory() < 2**50
