"""Labels beside images: each image keeps its own, whatever order and batches they come in."""

import numpy as np
import pytest

from vae_tf import data
from vae_tf.errors import DataError

N, K = 60, 4
LABELS = np.random.default_rng(0).integers(0, K, N)
# The first pixel tells the label, the second one the image
IMAGES = np.zeros((N, 2, 2, 1), np.uint8)
IMAGES[:, 0, 0, 0], IMAGES[:, 0, 1, 0] = 50 * LABELS, np.arange(N)
IMAGES[0, 1, 1] = 255


@pytest.fixture
def loaded(save):
    return data.load(save(x=IMAGES, y=LABELS))


def told(x):
    return np.rint(x[:, 0, 0, 0] * 255 / 50).astype(int)


def pairs_of(batches):
    return list(batches.as_numpy_iterator())


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_every_image_comes_with_its_own_label(loaded, batch_size):
    for split in (loaded.train, loaded.validation, loaded.test):
        steps = split.steps_per_epoch(batch_size)
        training = split.training_batches(batch_size, 3, labels=True).take(2 * steps)
        pairs = [*pairs_of(split.batches(batch_size, labels=True)), *pairs_of(training)]
        for x, labels in pairs:
            assert labels.dtype == np.int32
            np.testing.assert_array_equal(labels, told(x))
        assert sum(len(labels) for _, labels in pairs) == 3 * split.num_examples


def test_the_images_are_those_that_come_without_labels(loaded):
    for binarization in ("none", "dynamic"):
        images = data.load(loaded.name, binarization=binarization)
        for alone, paired in (
            (images.train.training_batches(9, 1, 2), images.train.training_batches(9, 1, 2, True)),
            (images.test.batches(4), images.test.batches(4, True)),
        ):
            for x, (same, _) in zip(alone.take(8), paired.take(8), strict=True):
                np.testing.assert_array_equal(x, same)


def test_the_shapes_are_known_to_keras(loaded):
    for batches in (loaded.test.batches(9, True), loaded.train.training_batches(9, 0, 0, True)):
        x, labels = batches.element_spec
        assert x.shape.as_list() == [None, 2, 2, 1]
        assert labels.shape.as_list() == [None]


def test_a_part_keeps_its_labels(loaded):
    part = loaded.train.part(np.array([5, 3, 11]))
    np.testing.assert_array_equal(part.array(), loaded.train.array()[[5, 3, 11]])
    np.testing.assert_array_equal(part.labels, loaded.train.labels[[5, 3, 11]])
    np.testing.assert_array_equal(told(part.array()), part.labels)


def test_classes_are_counted(loaded):
    assert loaded.num_classes == K
    assert data.load("digits").num_classes == 10


def test_named_classes_count_even_where_none_is_seen(loaded, monkeypatch):
    monkeypatch.setitem(vars(loaded), "label_names", tuple("abcdef"))
    assert loaded.num_classes == 6


def test_labels_that_are_no_classes_are_refused(save):
    wrong = {
        "a label for every image": {"x": IMAGES},
        "<U4": {"x": IMAGES, "y": np.array(["some"] * N)},
        "the label -1": {"x": IMAGES, "y": LABELS - 1},
        "the label [0-9].5": {"x": IMAGES, "y": LABELS + 0.5},
    }
    for words, arrays in wrong.items():
        with pytest.raises(DataError, match=words):
            _ = data.load(save(**arrays)).num_classes
    with pytest.raises(DataError, match="train split must have labels"):
        data.load(save(x=IMAGES)).train.training_batches(4, 0, labels=True)


def test_labels_are_part_of_the_data_where_they_matter(loaded, save):
    described = loaded.describe(labels=True)
    assert described["num_classes"] == K
    changed = LABELS.copy()
    changed[7] = (changed[7] + 1) % K
    other = data.load(save(x=IMAGES, y=changed)).describe(labels=True)
    assert other["labels_fingerprint"] != described["labels_fingerprint"]
    assert other["fingerprint"] == described["fingerprint"]
    assert "labels_fingerprint" not in loaded.describe()
