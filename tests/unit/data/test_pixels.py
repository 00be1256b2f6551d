import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.data.pixels import check_image_size, resize, standardize, white_level
from vae_tf.data.storage import Storage
from vae_tf.errors import ConfigError, DataError


def standard(image_size=None, **raw):
    return standardize(raw, image_size, Storage(10**6))


def one(values, dtype):
    return np.array(values, dtype).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("raw", "stored", "white"),
    [
        (one([0, 255], np.uint8), np.uint8, 255),
        (one([0, 1], np.uint8), np.uint8, 1),  # 0/1 data, not near-black images
        (one([False, True], np.bool_), np.uint8, 1),
        (one([0, 255], np.int64), np.uint8, 255),
        (one([0, 1], np.int32), np.uint8, 1),
        (one([0, 255], np.float64), np.uint8, 255),
        (one([0, 0.5, 1], np.float64), np.float32, 1),
        (one([0, 0.5, 1], np.float16), np.float32, 1),
    ],
)
def test_every_kind_of_values_has_one_meaning(raw, stored, white):
    array = standard(x=raw)["x"]
    assert array.dtype == stored
    assert white_level([array]) == white
    np.testing.assert_array_equal(array, raw[..., np.newaxis].astype(np.float64))


def test_dark_test_images_mean_what_bright_train_images_mean():
    arrays = standard(train=one([0, 255], np.uint8), test=one([0, 1], np.uint8))
    assert white_level(arrays.values()) == 255


def test_float_splits_are_judged_together():
    arrays = standard(train=one([0.0, 200], np.float32), test=one([0.0, 1], np.float32))
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.uint8)}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (np.zeros((4, 784)), r"`x` must be images .*\[N, H, W, C\].*shape \(4, 784\).*Reshape"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.zeros((1, 2, 3, 4, 5)), r"shape \(1, 2, 3, 4, 5\)"),
        (np.zeros((0, 8, 8)), r"at least one image.*shape \(0, 8, 8\)"),
        (np.zeros((3, 0, 8)), r"at least one pixel.*shape \(3, 0, 8\)"),
        (np.zeros((3, 8, 8), np.complex64), "dtype complex64"),
        (np.full((3, 8, 8), "a"), "dtype <U1"),
        (np.zeros((3, 8, 8), "datetime64[s]"), "dtype datetime64"),
        (np.zeros((3, 8, 8), [("r", "u1")]), r"dtype \[\('r', 'u1'\)\]"),
        (one([-1, 1], np.float32), r"floats in \[0, 1\].*from -1 to 1\. Save \(x \+ 1\) / 2"),
        (one([0, 254.5], np.float32), r"from 0 to 254\.5\. Save x / 255"),
        (one([0, 65535], np.uint16), r"from 0 to 65535\. Save x / 65535"),
        (one([-3, 700], np.int32), r"from -3 to 700\. Save \(x - x\.min\(\)\)"),
    ],
)
def test_what_are_no_images_is_refused_with_advice(raw, message):
    with pytest.raises(DataError, match=message):
        standard(x=raw)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(bad):
    raw = np.zeros((3, 4, 5), np.float32)
    raw[2, 1, 3] = bad
    with pytest.raises(DataError, match=rf"`x` must be finite.*{bad} at index \(2, 1, 3, 0\)"):
        standard(x=raw)


def test_splits_that_are_not_alike_are_refused():
    with pytest.raises(DataError, match=r"`a` and `b`.*\(2, 8, 8, 1\) uint8 and \(2, 9, 8, 1\)"):
        standard(a=np.zeros((2, 8, 8), np.uint8), b=np.zeros((2, 9, 8), np.uint8))
    with pytest.raises(DataError, match=r"kind of dtype.*uint8.*float32"):
        standard(a=np.zeros((2, 8, 8), np.uint8), b=np.zeros((2, 8, 8), np.float32))


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, 9)] * 4), st.tuples(st.integers(1, 9), st.integers(1, 9)), st.data()
)
def test_resizing_keeps_dtype_range_and_constants(shape, size, data):
    level = data.draw(st.integers(0, 255))
    resized = resize(np.full(shape, level, np.uint8), size)
    assert resized.dtype == np.uint8
    assert resized.shape == (shape[0], *size, shape[3])
    assert np.unique(resized).tolist() == [level]


def test_halving_takes_the_weighted_mean_of_neighbours():
    # The triangle filter of width 4 on a step: weights 1/8 and 3/8 beside 3/8 and 1/8 (inside).
    step = np.repeat([0, 0, 0, 0, 240, 240, 240, 240], 8).reshape(1, 8, 8, 1).astype(np.uint8)
    assert resize(step, (4, 4))[0, :, 2, 0].tolist() == [0, 30, 210, 240]


def test_zeros_and_ones_stay_so_when_resized():
    raw = np.random.default_rng(0).integers(0, 2, (20, 9, 9), np.uint8)
    assert set(np.unique(standard((4, 5), x=raw)["x"])) == {0, 1}


def test_floats_stay_in_range_when_resized():
    raw = np.random.default_rng(0).random((20, 9, 9, 3)).astype(np.float32).round()
    resized = standard((17, 4), x=raw)["x"]
    assert resized.dtype == np.float32
    assert resized.min() >= 0
    assert resized.max() <= 1
    want = tf.image.resize(raw, (17, 4), antialias=True).numpy()
    np.testing.assert_allclose(resized, want, atol=1e-6)


@pytest.mark.parametrize("size", [(0, 3), (3, -1), (3,), 32, "ab", (1.5, 2), (1, 2, 3)])
def test_image_size_must_be_two_positive_integers(size):
    with pytest.raises(ConfigError, match=r"`image_size` must be \(height, width\)"):
        check_image_size(size)
