"""What the data decide where `auto` leaves it open."""

import dataclasses

import numpy as np
import pytest

from vae_tf import data
from vae_tf.recipes import RECIPES
from vae_tf.runs.build import build_model, kind_of
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.images import Images, grey_share
from vae_tf.runs.suited import suited


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
    found = grey_share(kind_of(config(images(0.4))).data)
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
    kind = kind_of(asked)
    chosen, words = suited(asked, kind)
    assert chosen.likelihood == likelihood
    assert kind.data.is_binary == binary
    assert f"--likelihood {likelihood} as" in words
    assert set(np.unique(kind.data.train.array(50)) % 1) == {0.0} or not binary
    again = kind_of(chosen).data
    assert again.fingerprint == kind.data.fingerprint
    assert again.describe() == kind.data.describe()
    assert suited(chosen, kind) == (chosen, "")


def test_a_binarization_that_is_asked_for_decides(config):
    for binarization, likelihood in {
        "none": "gaussian-learned",
        "static": "bernoulli",
        "dynamic": "bernoulli",
    }.items():
        asked = config(images(0.1), binarization=binarization)
        kind = kind_of(asked)
        assert kind.data.binarization == binarization
        assert suited(asked, kind)[0].likelihood == likelihood


def test_images_drawn_later_are_those_drawn_when_loaded(config):
    name = config(images(0.3)).dataset
    later, once = data.load(name).drawn(), data.load(name, binarization="dynamic")
    assert later.describe() == once.describe()
    for split in ("train", "validation", "test"):
        a, b = (getattr(part, split).array() for part in (later, once))
        np.testing.assert_array_equal(a, b)


def suited_to(config, number, **settings):
    """The settings for so many images, and what is said of them."""
    asked = config(images(0.0, 20), **settings)
    loaded = kind_of(asked).data
    train = dataclasses.replace(loaded.train, rows=np.zeros(number, int))
    return suited(asked, Images(dataclasses.replace(loaded, train=train)))


@pytest.mark.parametrize(
    ("number", "batch", "decay", "components", "epochs"),
    [
        (20, 32, 0.02, 1, 1000),
        (240, 32, 0.02, 8, 750),
        (1600, 40, 0.02, 53, 150),
        (9_999, 249, 0.02, 333, 150),
        (10_000, 250, 0.2, 500, 150),
        (50_000, 250, 0.2, 500, 150),  # as measured on binarized MNIST
        (1_000_000, 250, 0.2, 500, 25),
    ],
)
def test_training_follows_the_number_of_examples(config, number, batch, decay, components, epochs):
    chosen, words = suited_to(config, number)
    assert (chosen.batch_size, chosen.weight_decay) == (batch, decay)
    assert (chosen.prior_components, chosen.epochs) == (components, epochs)
    assert chosen.patience == max(20, epochs // 3)
    assert f"for {number:,} training images" in words
    assert f"--batch-size {batch} " in words
    assert f"--epochs {epochs} " in words


@pytest.mark.parametrize(
    ("number", "warmup"), [(20, 200), (36, 100), (240, 25), (1600, 5), (25_000, 2), (50_000, 1)]
)
def test_the_step_size_rises_over_two_hundred_steps_or_an_epoch(config, number, warmup):
    chosen, words = suited_to(config, number)
    assert chosen.lr_warmup_epochs == warmup
    assert f"--lr-warmup-epochs {warmup} for {number:,} training images" in words
    assert suited_to(config, number, lr_warmup_epochs=0)[0].lr_warmup_epochs == 0


def test_what_is_given_decides_what_is_not(config):
    chosen, words = suited_to(config, 1600, batch_size=800, prior="normal")
    assert chosen.epochs == 1000  # of two steps
    assert "components" not in words
    chosen, _ = suited_to(config, 1600, epochs=90)
    assert chosen.patience == 30


@pytest.mark.parametrize(
    ("shape", "network", "rate"),
    [
        ((28, 28, 1), "mlp", 2e-3),
        ((32, 32, 1), "mlp", 2e-3),
        ((32, 32, 3), "conv", 2e-3),
        ((64, 64, 1), "conv", 2e-3),
    ],
)
def test_networks_follow_the_size_of_the_images(config, shape, network, rate):
    x = np.zeros((20, *shape), "uint8")
    x[::2] = 255
    chosen, words = suited(asked := config(x), kind_of(asked))
    assert (chosen.network, chosen.learning_rate) == (network, rate)
    assert f"--network {network} --learning-rate 0.002 for images of {shape[0]} x" in words


@pytest.mark.parametrize(
    ("number", "side", "network"),
    [(1600, 8, "mlp"), (1600, 20, "conv"), (60_000, 20, "mlp"), (60_000, 40, "conv")],
)
def test_few_grey_images_take_convolutions(config, number, side, network):
    x = np.random.default_rng(0).integers(0, 256, (20, side, side)).astype("uint8")
    loaded = kind_of(asked := config(x)).data
    train = dataclasses.replace(loaded.train, rows=np.zeros(number, int))
    chosen, _ = suited(asked, Images(dataclasses.replace(loaded, train=train)))
    assert chosen.network == network


@pytest.mark.parametrize("settings", [{"network": "mlp"}, {"input_dropout": 0.1}])
def test_an_mlp_takes_smaller_steps_on_large_images(config, settings):
    x = np.zeros((20, 64, 64, 3), "uint8")
    x[::2] = 255
    chosen, _ = suited(asked := config(x, **settings), kind_of(asked))
    assert chosen.network == "mlp"
    assert chosen.learning_rate == pytest.approx(2e-3 * 1024 / (64 * 64 * 3))


def test_a_learned_scale_starts_from_the_spread_of_the_pixels(config):
    x = np.clip(np.random.default_rng(0).normal(120, 40, (200, 6, 6)), 0, 255).astype("uint8")
    chosen, words = suited(asked := config(x), kind_of(asked))
    assert chosen.scale == pytest.approx(40 / 255, abs=0.01)  # of 160 images of 36 pixels
    assert f"--scale {chosen.scale:g} to start from the spread of the pixels" in words
    fixed = config(x, likelihood="gaussian")
    assert suited(fixed, kind_of(fixed))[0].scale == 0.1


def test_what_is_asked_for_stays(config):
    given = {"batch_size": 7, "weight_decay": 0.1, "epochs": 3, "patience": 0, "scale": 0.3}
    asked = config(
        images(1.0),
        likelihood="gaussian",
        prior_components=9,
        latent_dim=7,
        hidden=(8,),
        network="mlp",
        learning_rate=0.1,
        lr_warmup_epochs=0,
        **given,
    )
    assert suited(asked, kind_of(asked)) == (asked, "")


@pytest.mark.parametrize(
    ("rows", "columns", "latents", "hidden"),
    [(200, 1, 2, (128,)), (200, 13, 13, (128,)), (1400, 60, 32, (128, 128))],
)
def test_networks_of_a_table_follow_its_size(tmp_path, rows, columns, latents, hidden):
    values = np.random.default_rng(0).normal(size=(rows, columns))
    names = ",".join(f"c{i}" for i in range(columns))
    np.savetxt(tmp_path / "t.csv", values, delimiter=",", header=names, comments="")
    asked = dataclasses.replace(RECIPES["table"], dataset=f"table:{tmp_path / 't.csv'}")
    chosen, words = suited(asked, kind := kind_of(asked))
    assert (chosen.latent_dim, chosen.hidden, chosen.shortcut) == (latents, hidden, True)
    assert f"--latent-dim {latents} for {columns} columns" in words
    assert f"--hidden {' '.join(map(str, hidden))} --batch-size " in words
    assert build_model(asked, kind).prior.latent_dim == latents


def test_bernoulli_on_grey_warns_in_one_line(config):
    asked = config(images(1.0), likelihood="bernoulli")
    text = kind_of(asked).caution(asked)
    assert text.startswith("100% of the pixels are between black and white")
    assert "--likelihood gaussian-learned" in text
    assert "\n" not in text
    for x, settings in (
        (images(0.1), {}),
        (images(1.0), {"binarization": "dynamic"}),  # then it is meant
        (images(1.0), {"likelihood": "gaussian"}),
    ):
        asked = config(x, **{"likelihood": "bernoulli", **settings})
        assert kind_of(asked).caution(asked) == ""


def test_the_recipes_of_mnist_leave_nothing_to_choose_but_what_was_always_so():
    for name in ("demo", "manifold"):
        chosen = RECIPES[name]
        assert chosen.likelihood == "bernoulli"
        assert "auto" not in (chosen.batch_size, chosen.weight_decay, chosen.epochs)
        assert chosen.patience == 50
    assert (RECIPES["demo"].batch_size, RECIPES["demo"].weight_decay) == (100, 0.2)
    assert (RECIPES["manifold"].batch_size, RECIPES["manifold"].weight_decay) == (250, 0.0)
