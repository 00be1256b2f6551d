import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.data.split import Split, binarized
from vae_tf.data.storage import Storage
from vae_tf.errors import ConfigError


def numbered(n, binarize=False):
    """A split of `n` images [1, 1, 1] out of twice as many; each is its row number as a float."""
    stored = np.arange(2 * n, dtype=np.float32).reshape(-1, 1, 1, 1)
    return Split("train", stored, np.arange(0, 2 * n, 2), None, 1, binarize, seed=0)


def shaded(grey, binarize=True, seed=0, name="train"):
    return Split(name, grey, np.arange(len(grey)), None, 255, binarize, seed)


def epochs(split, batch_size, seed, count, start=0):
    """The batches of `count` epochs, a list of arrays for each."""
    steps = split.steps_per_epoch(batch_size)
    batches = split.training_batches(batch_size, seed, start).take(count * steps)
    flat = list(batches.as_numpy_iterator())
    return [flat[i : i + steps] for i in range(0, len(flat), steps)]


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 2**63 - 1))
def test_every_epoch_is_a_permutation(n, batch_size, seed):
    split = numbered(n)
    for batches in epochs(split, batch_size, seed, 2):
        assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
        assert 1 <= len(batches[-1]) <= batch_size
        assert sorted(np.concatenate(batches).ravel()) == list(range(0, 2 * n, 2))


def test_orders_differ_between_epochs_and_seeds():
    orders = [
        tuple(np.concatenate(batches).ravel())
        for seed in (0, 1)
        for batches in epochs(numbered(50), 16, seed, 3)
    ]
    assert len(set(orders)) == 6


def test_orders_are_uniform():
    first = [batches[0][0].item() / 2 for batches in epochs(numbered(5), 5, 0, 500)]
    counts = np.bincount(np.array(first, int), minlength=5)
    assert ((counts - 100) ** 2 / 100).sum() < 18.5  # chi-squared, 4 degrees: p < 0.001


@pytest.mark.parametrize("binarize", [False, True])
def test_a_resumed_run_sees_what_the_uninterrupted_one_saw(grey, binarize):
    split = shaded(grey, binarize)
    whole, resumed = epochs(split, 150, 7, 5), epochs(split, 150, 7, 2, start=3)
    for one, other in zip(whole[3:], resumed, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_fit_sees_the_epochs_in_turn(grey):
    class Watcher(keras.Model):
        def __init__(self):
            super().__init__()
            self.seen = []

        def train_step(self, x):
            self.seen.append(x.numpy())
            return {"mean": keras.ops.mean(x)}

    split = shaded(grey)
    steps = split.steps_per_epoch(150)
    seen = []
    for start, stop in ((0, 2), (2, 3)):  # interrupted and resumed
        model = Watcher()
        model.compile(run_eagerly=True)
        batches = split.training_batches(150, 3, start_epoch=start)
        model.fit(
            batches,
            epochs=stop,
            initial_epoch=start,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
        )
        seen += model.seen
    expected = list(itertools.chain(*epochs(split, 150, 3, 3)))
    assert len(seen) == len(expected) == 3 * steps
    for a, b in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=10, deadline=None)
@given(
    batch_size=st.integers(1, 500),
    limit=st.none() | st.integers(0, 500),
    binarize=st.booleans(),
)
def test_batches_and_array_are_the_same_whatever_the_batch_size(grey, batch_size, limit, binarize):
    split = shaded(grey, binarize)
    fed = list(split.batches(batch_size).as_numpy_iterator())
    assert len(fed) == split.steps_per_epoch(batch_size) == len(split.batches(batch_size))
    whole = np.concatenate(fed)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(
        split.array(limit), whole[: len(grey) if limit is None else limit]
    )


def test_grey_values_are_divided_exactly(grey):
    np.testing.assert_array_equal(shaded(grey, False).array(), grey / np.float32(255))


def test_all_that_is_fed_has_the_shape_known_to_keras(grey):
    split = shaded(grey)
    for batches in (split.batches(9), split.training_batches(9, 0)):
        assert batches.element_spec.shape.as_list() == [None, 5, 7, 1]
        assert batches.element_spec.dtype == "float32"


def test_the_mean_of_dynamic_draws_is_the_grey_value():
    # One image of all grey values; 4,000 draws of it in 10 epochs.
    ramp = np.tile(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), (400, 1, 1, 1))
    draws = np.concatenate(list(itertools.chain(*epochs(shaded(ramp), 64, 0, 10))))
    assert set(np.unique(draws)) == {0, 1}
    p = ramp[0] / 255
    error = np.sqrt(p * (1 - p) / len(draws))
    assert (np.abs(draws.mean(0) - p) <= 4.5 * error).all()  # black and white without error
    assert np.abs(draws.var(0, ddof=1) - p * (1 - p)).max() < 0.02


def test_draws_of_different_places_are_independent():
    half = np.full((300, 8, 8, 1), 128, np.uint8)
    split = shaded(half)
    (first, *_), (second, *_) = epochs(split, 300, 0, 2)
    other_seed = epochs(split, 300, 1, 1)[0][0]
    fixed, validation = split.array(), shaded(half, name="validation").array()
    fixed_1 = shaded(half, seed=1).array()
    draws = [first, second, other_seed, fixed, validation, fixed_1]
    flat = np.stack([draw.ravel() for draw in draws])
    correlation = np.corrcoef(flat) - np.eye(len(flat))
    assert np.abs(correlation).max() < 5 / np.sqrt(flat.shape[1])
    for draw in draws:  # one image's pixels say nothing of another's, in its block or the next
        examples = np.corrcoef(draw.reshape(300, -1)) - np.eye(300)
        assert np.abs(examples).max() < 6 / np.sqrt(64)


def test_static_draws_are_equal_in_all_epochs_and_to_the_fixed_draw(grey):
    static = binarized(shaded(grey), Storage(10**6))
    fixed = shaded(grey).array()
    np.testing.assert_array_equal(static.array(), fixed)
    rows = {image.tobytes() for image in fixed}
    for batches in epochs(static, 64, 5, 3):
        assert {image.tobytes() for image in np.concatenate(batches)} == rows


def test_a_split_reads_no_other_split_s_rows(grey):
    rows = np.array([3, 5, 399])
    split = Split("test", grey, rows, None, 255, False, 0)
    np.testing.assert_array_equal(split.array(), grey[rows] / np.float32(255))
    assert repr(split) == "Split('test', num_examples=3)"


@pytest.mark.parametrize("bad", [0, -1, 1.5, None, "8"])
def test_arguments_out_of_range_are_refused(bad):
    split = numbered(9)
    for use in (split.batches, split.steps_per_epoch, lambda b: split.training_batches(b, 0)):
        with pytest.raises(ConfigError, match="`batch_size` must be a whole number of at least 1"):
            use(bad)
    if bad != 0:
        with pytest.raises(ConfigError, match="`start_epoch` must be a whole number of at least 0"):
            split.training_batches(3, 0, start_epoch=bad)
    if bad not in (0, None):
        with pytest.raises(ConfigError, match="`limit`"):
            split.array(bad)
        with pytest.raises(ConfigError, match="`seed` must be an integer from 0"):
            split.training_batches(3, bad)
