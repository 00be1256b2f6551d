import numpy as np
import pytest

from vae_tf.data.carving import carve, check_fractions
from vae_tf.errors import ConfigError, DataError


def carved(name="set", fraction=None, test_fraction=0.1, seed=0, **sizes):
    return carve(name, sizes, fraction, test_fraction, seed)


def counts(rows):
    return tuple(len(rows[split]) for split in ("train", "validation", "test"))


@pytest.mark.parametrize(
    ("name", "sizes", "fraction", "expected"),
    [
        ("set", {"train": 1000}, None, (800, 100, 100)),
        ("set", {"train": 1000}, 0.25, (650, 250, 100)),
        ("set", {"train": 1000, "test": 7}, None, (900, 100, 7)),
        ("set", {"train": 1000, "validation": 9}, 0.5, (900, 9, 100)),
        ("set", {"train": 10, "validation": 9, "test": 7}, None, (10, 9, 7)),
        ("set", {"train": 3}, None, (1, 1, 1)),
        ("mnist", {"train": 60_000, "test": 10_000}, None, (50_000, 10_000, 10_000)),
        ("fashion_mnist:3.0.1", {"train": 60_000, "test": 10_000}, None, (50_000, 10_000, 10_000)),
        ("mnist", {"train": 60_000, "test": 10_000}, 0.1, (54_000, 6_000, 10_000)),
        ("cifar10", {"train": 50_000, "test": 10_000}, None, (45_000, 5_000, 10_000)),
    ],
)
def test_sizes(name, sizes, fraction, expected):
    assert counts(carved(name, fraction, **sizes)) == expected


def test_what_is_carved_is_a_partition_of_train():
    rows = carved(train=1000)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(1000))
    assert all((np.diff(part) > 0).all() for part in rows.values())


def test_a_carve_is_a_function_of_its_seed():
    once, again, other = (carved(train=1000, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(once["validation"], again["validation"])
    assert set(once["validation"]) != set(other["validation"])
    # Drawn, not cut off: of the first half, about half.
    assert 30 < (once["validation"] < 500).sum() < 70


@pytest.mark.parametrize("sizes", [{"train": 2}, {"train": 1, "test": 5}])
def test_too_few_images_are_refused(sizes):
    with pytest.raises(DataError, match=r"`set` must have enough images for train and for"):
        carved(**sizes)


def test_the_literature_s_size_needs_enough_images():
    with pytest.raises(DataError, match="500 in train, of which 10000 would go elsewhere"):
        carved("mnist", train=500, test=10)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 2])
def test_fractions_lie_between_0_and_1(fraction):
    with pytest.raises(ConfigError, match="`validation_fraction` must lie between"):
        check_fractions(fraction, 0.1)
    with pytest.raises(ConfigError, match="`test_fraction` must lie between"):
        check_fractions(None, fraction)


def test_fractions_must_leave_something():
    with pytest.raises(ConfigError, match=r"leave images for train\. Received: 0\.5 \+ 0\.5"):
        check_fractions(0.5, 0.5)
