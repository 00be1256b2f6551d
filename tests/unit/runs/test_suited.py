"""What the data decide where `auto` leaves it open."""

import dataclasses

import numpy as np
import pytest

from vae_tf import data
from vae_tf.recipes import RECIPES
from vae_tf.runs.build import load_data
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.suited import caution, grey_share, suited


def images(share, n=1100, channels=1, levels=256):
    """Images of which the given share of pixels is grey, the others black and white, uint8."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (n, 4, 5, channels)) * 255
    grey = rng.integers(20, 236, x.shape)
    return np.where(rng.random(x.shape) < share, grey, x).astype("uint8")


@pytest.fixture
def config(tmp_path):
    """A function: images, settings -> a configuration for them."""

    def make(x, **settings):
        np.save(tmp_path / "x.npy", x)
        return TrainConfig(dataset=f"array:{tmp_path / 'x.npy'}", **settings)

    return make


def test_the_share_of_grey_is_measured(config):
    found = grey_share(load_data(config(images(0.4))))
    assert found == pytest.approx(0.4, abs=4 * np.sqrt(0.4 * 0.6 / 20_000))


@pytest.mark.parametrize(
    ("x", "likelihood", "binary"),
    [
        (images(0.0), "bernoulli", True),
        (images(0.0) // 255, "bernoulli", True),
        (images(0.1), "bernoulli", True),  # as MNIST
        (images(0.45), "gaussian-learned", False),
        (images(1.0, channels=3), "gaussian-learned", False),
        (images(1.0) / 255.0, "gaussian-learned", False),
    ],
)
def test_the_likelihood_follows_the_data(config, x, likelihood, binary):
    asked = config(x)
    loaded = load_data(asked)
    chosen, words = suited(asked, loaded)
    assert chosen.likelihood == likelihood
    assert loaded.is_binary == binary
    assert f"--likelihood {likelihood} as" in words
    assert set(np.unique(loaded.train.array(50)) % 1) == {0.0} or not binary
    assert load_data(chosen).fingerprint == loaded.fingerprint
    assert load_data(chosen).describe() == loaded.describe()
    assert suited(chosen, loaded) == (chosen, "")


def test_a_binarization_that_is_asked_for_decides(config):
    for binarization, likelihood in {
        "none": "gaussian-learned",
        "static": "bernoulli",
        "dynamic": "bernoulli",
    }.items():
        asked = config(images(0.1), binarization=binarization)
        loaded = load_data(asked)
        assert loaded.binarization == binarization
        assert suited(asked, loaded)[0].likelihood == likelihood


def test_images_drawn_later_are_those_drawn_when_loaded(config):
    name = config(images(0.3)).dataset
    later, once = data.load(name).drawn(), data.load(name, binarization="dynamic")
    assert later.describe() == once.describe()
    for split in ("train", "validation", "test"):
        a, b = (getattr(part, split).array() for part in (later, once))
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("number", "batch", "decay"),
    [(20, 32, 0.0), (1600, 40, 0.0), (9_999, 249, 0.0), (10_000, 250, 0.2), (50_000, 250, 0.2)],
)
def test_batches_and_decay_follow_the_number_of_examples(config, number, batch, decay):
    asked = config(images(0.0, 20))
    loaded = load_data(asked)
    train = dataclasses.replace(loaded.train, rows=np.zeros(number, int))
    chosen, words = suited(asked, dataclasses.replace(loaded, train=train))
    assert (chosen.batch_size, chosen.weight_decay) == (batch, decay)
    assert f"--batch-size {batch} for {number:,} training images" in words


def test_what_is_asked_for_stays(config):
    asked = config(images(1.0), likelihood="gaussian", batch_size=7, weight_decay=0.1)
    assert suited(asked, load_data(asked)) == (asked, "")


def test_bernoulli_on_grey_warns_in_one_line(config):
    asked = config(images(1.0), likelihood="bernoulli")
    text = caution(asked, load_data(asked))
    assert text.startswith("100% of the pixels are between black and white")
    assert "--likelihood gaussian-learned" in text
    assert "\n" not in text
    for x, settings in (
        (images(0.1), {}),
        (images(1.0), {"binarization": "dynamic"}),  # then it is meant
        (images(1.0), {"likelihood": "gaussian"}),
    ):
        asked = config(x, **{"likelihood": "bernoulli", **settings})
        assert caution(asked, load_data(asked)) == ""


def test_the_recipes_of_mnist_leave_nothing_to_choose_but_what_was_always_so():
    for name in ("demo", "manifold"):
        chosen = RECIPES[name]
        assert chosen.likelihood == "bernoulli"
        assert "auto" not in (chosen.batch_size, chosen.weight_decay)
    assert (RECIPES["demo"].batch_size, RECIPES["demo"].weight_decay) == (100, 0.2)
    assert (RECIPES["manifold"].batch_size, RECIPES["manifold"].weight_decay) == (250, 0.0)
