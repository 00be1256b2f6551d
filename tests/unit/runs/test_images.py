"""The images that a run's pictures show."""

import numpy as np
import pytest

from vae_tf import data
from vae_tf.runs.images import shown

N = 60


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    x = np.random.default_rng(0).integers(0, 256, (N, 4, 5, 1)).astype("uint8")
    file = tmp_path_factory.mktemp("images") / "x.npz"
    np.savez(file, x=x, y=np.arange(N) % 3)
    return file


def test_binarized_images_come_with_the_grey_ones_they_were_drawn_from(path):
    grey, drawn = (
        data.load(f"array:{path}", binarization=b, test_fraction=0.5) for b in ("none", "dynamic")
    )
    plain, binary = shown(grey), shown(drawn)
    assert plain.grey is None
    np.testing.assert_array_equal(plain.known, plain.x)
    assert set(np.unique(binary.x)) == {0.0, 1.0}
    np.testing.assert_allclose(binary.known, plain.x, atol=1e-6)  # the same images, in that order
    np.testing.assert_array_equal(binary.labels, plain.labels)
    # drawn with the grey value as probability: 30 images of 20 pixels, each at most 1/2 wide
    assert np.mean(binary.x - binary.grey) == pytest.approx(0, abs=5 * 0.5 / np.sqrt(binary.x.size))
    assert np.all((binary.grey > 0) | (binary.x == 0))


def test_zeros_and_ones_are_shown_as_they_are(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(4, dtype="uint8")[None].repeat(N, 0)[..., None])
    assert shown(data.load(f"array:{tmp_path / 'x.npy'}", binarization="dynamic")).grey is None
