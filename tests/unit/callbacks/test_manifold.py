"""The animation of a 2-D latent space."""

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

import vae_tf
from vae_tf.callbacks import ManifoldFrames, write_animation

SIDE = 5


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Those of a model whose image is the prior's probability below z_1 and below z_2."""
    z = keras.Input((2,))
    logits = keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(np.eye(2)))(z)
    decoder = keras.Model(z, {"logits": keras.layers.Reshape((1, 2, 1))(logits)})
    vae = vae_tf.VAE(vae_tf.networks.mlp_encoder((1, 2, 1), 2, (3,)), decoder)
    vae.compile(keras.optimizers.SGD(0.0))
    path = tmp_path_factory.mktemp("run") / "frames"
    x = np.zeros((8, 1, 2, 1), "float32")
    for start, epochs in ((0, 2), (2, 3)):  # the second goes on
        frames = ManifoldFrames(path, epochs, SIDE)
        vae.fit(x, initial_epoch=start, epochs=epochs, callbacks=[frames], verbose=0)
    return path


def test_frames_show_equal_steps_of_probability(frames):
    quantiles = norm.ppf(np.linspace(0.03, 0.97, SIDE))
    expected = 1 / (1 + np.exp(-quantiles))
    with Image.open(frames / "epoch-00000.png") as picture:
        page = np.asarray(picture) / 255
    # An image has two pixels, and there is one white pixel between two images. z_1 goes from
    # left to right, z_2 from the bottom to the top. The quantiles are those of 100,000 draws,
    # those of 0.03 with a standard error of 0.008, and levels are rounded by up to 0.002.
    np.testing.assert_allclose(page[0, ::3], expected, atol=0.01)
    np.testing.assert_allclose(page[::2, 1], expected[::-1], atol=0.01)


def test_a_frame_is_kept_before_training_and_after_every_epoch(frames, tmp_path):
    assert [p.stem for p in sorted(frames.iterdir())] == [f"epoch-0000{i}" for i in range(4)]
    write_animation(frames, tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as gif:
        assert gif.n_frames == 4


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_long_training_has_a_short_animation_in_the_same_colours(mode, tmp_path):
    (tmp_path / "frames").mkdir()
    shape = (400, 300) if mode == "L" else (400, 300, 3)
    for epoch in range(101):  # ever brighter
        page = np.full(shape, round(2.55 * epoch), "uint8")
        Image.fromarray(page).save(tmp_path / f"frames/epoch-{epoch:05}.png")
    write_animation(tmp_path / "frames", tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as gif:
        assert 30 <= gif.n_frames <= 36
        assert max(gif.size) < 400
        found = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            found.append(np.asarray(gif.convert("L"), int)[100, 100])
    if mode == "L":  # 16 levels, half of one step off at most
        expected = 255 * np.linspace(0, 1, 36) ** 2
        np.testing.assert_allclose(sorted(set(found)), np.arange(16) * 17)
        assert abs(found[0] - expected[0]) <= 9
        assert abs(found[-1] - expected[-1]) <= 9
