import numpy as np
import pytest

from vae_tf import data
from vae_tf.data.shapes import FACTORS, all_factors, draw
from vae_tf.evaluation.disentanglement import mig


@pytest.fixture(scope="module")
def loaded(own_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TFDS_DATA_DIR", raising=False)
        yield data.load("shapes")


def parts(loaded):
    return loaded.train, loaded.validation, loaded.test


@pytest.mark.slow
def test_every_combination_is_one_image_that_no_other_equals(loaded):
    images = np.concatenate([part.array() for part in parts(loaded)])
    assert images.shape == (13_824, 32, 32, 1)
    assert set(np.unique(images)) == {0, 1}
    assert len(np.unique(np.packbits(images.astype(bool).reshape(len(images), -1), 1), axis=0)) == (
        len(images)
    )
    factors = np.concatenate([np.stack(list(p.factors.values()), 1) for p in parts(loaded)])
    assert np.array_equal(np.unique(factors, axis=0), all_factors())


@pytest.mark.slow
def test_splits_are_fixed_and_know_their_factors(loaded):
    assert [part.num_examples for part in parts(loaded)] == [11_059, 1383, 1382]
    for part in parts(loaded):
        assert list(part.factors) == list(FACTORS)
        assert np.array_equal(part.factors["shape"], part.labels)
        rows = np.stack(list(part.factors.values()), 1)[:50]
        assert np.array_equal(part.array(50), draw(rows))  # each image is that of its factors
    golden = "sha256:ccdcfa2cf7aa3765d2ddea7f8f2dc2847c2fa5809e3a76d47be8b46037bad156"
    assert loaded.fingerprint == golden  # another one would make all numbers incomparable
    assert loaded.label_names == ("square", "ellipse", "heart")
    assert not loaded.carved


@pytest.mark.slow
def test_a_part_of_a_split_and_fixed_draws_keep_the_factors(loaded):
    chosen = np.array([5, 2, 9])
    part = loaded.test.part(chosen)
    assert np.array_equal(part.factors["x"], loaded.test.factors["x"][chosen])
    static = data.load("shapes", binarization="static")
    assert np.array_equal(static.test.factors["x"], loaded.test.factors["x"])
    assert np.array_equal(static.test.array(), loaded.test.array())  # draws of 0 and 1


def test_geometry():
    """Centres and areas are those of the formulas."""
    rows, columns = np.mgrid[:32, :32] + 0.5
    middle = {"scale": 3, "orientation": 0, "x": 0, "y": 0}
    squares = np.array([[0, *{**middle, "x": x, "y": 11}.values()] for x in range(12)])
    images = draw(squares)[..., 0]
    area = images.sum((1, 2))
    assert np.allclose(area, (2 * 0.85 * 8) ** 2, rtol=0.1)  # to a pixel at each side
    across = (images * columns).sum((1, 2)) / area
    assert np.allclose(across, 10.7 + np.arange(12) * 10.6 / 11, atol=0.5)  # likewise
    assert np.allclose((images * rows).sum((1, 2)) / area, 21.3, atol=0.5)
    ellipse, heart = draw(np.array([[1, 3, 0, 6, 6], [2, 3, 0, 6, 6]]))[..., 0]
    assert ellipse.sum() == pytest.approx(np.pi * 1.2 / 2 * 64, rel=0.05)  # pi a b
    assert np.argmax(heart.sum(1)) < np.flatnonzero(heart.any(1)).mean()  # broad at the top


def test_the_factors_are_independent(loaded):
    factors = all_factors()
    assert mig(factors, factors) == pytest.approx(1, abs=1e-12)


def test_sets_without_factors_have_none(own_cache, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert data.load("digits").train.factors == {}
