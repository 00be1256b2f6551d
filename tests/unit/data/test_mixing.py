"""Batches of labelled and unlabelled examples: their ratio, their order, what cannot be mixed."""

import itertools

import numpy as np
import pytest

from vae_tf.data import mixed
from vae_tf.errors import ConfigError, DataError

N, KNOWN = 50, 7
X = np.arange(N, dtype="float32")[:, None]
Y = np.full(N, -1)
Y[::8] = np.arange(KNOWN) % 3


def epochs(count, steps, batches):
    found = list(itertools.islice(batches.as_numpy_iterator(), count * steps))
    return [found[i * steps : (i + 1) * steps] for i in range(count)]


def test_every_batch_has_the_ratio_and_an_epoch_every_unlabelled_example_once():
    batches, steps = mixed(X, Y, batch_size=10, labelled=0.3, seed=2)
    assert steps == -(-(N - KNOWN) // 7)
    for epoch in epochs(2, steps, batches):
        for x, y in epoch[:-1]:
            assert np.sum(y >= 0) == 3
            assert np.sum(y < 0) == 7
            np.testing.assert_array_equal(Y[x[:, 0].astype(int)], y)
        unknown = np.concatenate([x[y < 0, 0] for x, y in epoch])
        np.testing.assert_array_equal(np.sort(unknown), np.flatnonzero(Y < 0))
        known = np.concatenate([x[y >= 0, 0] for x, y in epoch])
        for start in range(0, len(known) - KNOWN + 1, KNOWN):  # each once before any comes again
            np.testing.assert_array_equal(np.sort(known[start:][:KNOWN]), np.flatnonzero(Y >= 0))


def test_it_goes_on_where_it_was():
    batches, steps = mixed(X, Y, batch_size=10, labelled=0.5, seed=1)
    whole = epochs(3, steps, batches)
    later = epochs(2, steps, mixed(X, Y, batch_size=10, labelled=0.5, seed=1, start_epoch=1)[0])
    for a, b in zip(itertools.chain(*whole[1:]), itertools.chain(*later), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    assert not np.array_equal(whole[0][0][0], whole[1][0][0])
    other = epochs(1, steps, mixed(X, Y, batch_size=10, labelled=0.5, seed=3)[0])
    assert not np.array_equal(whole[0][0][0], other[0][0][0])


def test_what_cannot_be_mixed_is_said():
    with pytest.raises(DataError, match="need labelled examples"):
        mixed(X, np.full(N, -1))
    with pytest.raises(DataError, match="need unlabelled examples"):
        mixed(X, np.zeros(N))
    with pytest.raises(DataError, match="a label for each"):
        mixed(X, Y[1:])
    for share in (0, 1, 1.5):
        with pytest.raises(ConfigError, match="labelled"):
            mixed(X, Y, labelled=share)
    with pytest.raises(ConfigError, match="batch_size"):
        mixed(X, Y, batch_size=1)
