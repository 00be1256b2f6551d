import keras
import numpy as np
import pytest

import vae_tf
from vae_tf import plots
from vae_tf.errors import DataError
from vae_tf.evaluation import attribute_direction, linear, spherical, traversals

D, L = 6, 3
RNG = np.random.default_rng(0)
W, B = RNG.normal(size=(L, D)).astype("float32"), RNG.normal(size=D).astype("float32")


@pytest.fixture(scope="module")
def vae():
    """A VAE whose E[x|z] is z W + b."""
    x = keras.Input((D,))
    encoder = keras.Model(
        x, {"z_mean": keras.layers.Dense(L)(x), "z_log_var": keras.layers.Dense(L)(x)}
    )
    z = keras.Input((L,))
    layer = keras.layers.Dense(D)
    decoder = keras.Model(z, {"loc": layer(z)})
    layer.set_weights([W, B])
    return vae_tf.VAE(encoder, decoder, likelihood=vae_tf.likelihoods.Gaussian(scale=1.0))


def test_a_straight_line():
    a, b = RNG.normal(size=(2, 4, L))
    path = linear(a, b, 5)
    assert path.shape == (4, 5, L)
    assert np.allclose(path[:, 0], a)
    assert np.allclose(path[:, 4], b)
    assert np.allclose(np.diff(path, axis=1), ((b - a) / 4)[:, None])


def test_an_arc_in_the_plane_is_that_of_complex_numbers():
    start, end = 0.3, 2.1  # angles
    a, b = (2 * np.array([np.cos(w), np.sin(w)]) for w in (start, end))
    path = spherical(a, b, 7)
    angles = start + (end - start) * np.arange(7) / 6
    assert np.allclose(path[:, 0] + 1j * path[:, 1], 2 * np.exp(1j * angles))


def test_an_arc_keeps_length_and_ends():
    a, b = RNG.normal(size=(2, 4, 40))
    b *= (np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))[:, None]
    path = spherical(a, b, 9)
    assert np.allclose(np.linalg.norm(path, axis=-1), np.linalg.norm(a, axis=1)[:, None])
    assert np.allclose(path[:, [0, -1]], np.stack([a, b], 1))
    assert np.linalg.norm(linear(a, b, 9)[:, 4], axis=1).max() < np.linalg.norm(a, axis=1).min()


def test_an_arc_between_one_direction_is_a_line():
    a = RNG.normal(size=L)
    assert np.allclose(spherical(a, 3 * a, 5), linear(a, 3 * a, 5))
    assert np.allclose(spherical(0 * a, a, 5), linear(0 * a, a, 5))


def test_what_has_no_path_is_refused():
    a = RNG.normal(size=L)
    with pytest.raises(DataError, match=r"must not be opposite.*straight line"):
        spherical(a, -2 * a)
    with pytest.raises(DataError, match=r"codes of one shape\. Received: \(3,\) and \(2,\)"):
        linear(a, a[:2])
    with pytest.raises(DataError, match="must be finite"):
        spherical(a, a * np.nan)


def test_traversals_of_a_linear_decoder(vae):
    z, values = RNG.normal(size=L).astype("float32"), (-1.0, 0.0, 2.0)
    images = traversals(vae, z, values)
    assert images.shape == (L, 3, D)
    for latent in range(L):
        for place, value in enumerate(values):
            # Only its own row of W counts
            expected = z @ W + B + (value - z[latent]) * W[latent]
            assert np.allclose(images[latent, place], expected, atol=1e-5)
    assert np.array_equal(traversals(vae, z, values, latents=[2, 0]), images[[2, 0]])


def test_traversals_are_drawn(vae):
    images = traversals(vae, np.zeros(L), (-1, 1)).reshape(L, 2, 3, 2, 1)
    assert plots.traversals(images).get_axes()


def test_traversals_refuse_other_codes(vae):
    with pytest.raises(DataError, match=r"starts at a code \[3\]"):
        traversals(vae, np.zeros((1, L)))
    with pytest.raises(DataError, match="`latents` must be from 0 to 2"):
        traversals(vae, np.zeros(L), latents=[3])


def test_an_attribute_of_a_linear_decoder(vae):
    codes, has = RNG.normal(size=(50, L)), np.arange(50) < 20
    direction = attribute_direction(codes, has)
    images = codes @ W + B
    gain = images[has].mean(0) - images[~has].mean(0)  # E is linear
    z = codes[:4].astype("float32")
    moved = vae.decode(z + direction).mean().numpy()
    assert np.allclose(moved - vae.decode(z).mean().numpy(), gain, atol=1e-5)


def test_an_attribute_needs_examples_with_and_without_it():
    codes = RNG.normal(size=(5, L))
    with pytest.raises(DataError, match=r"Some examples must have.*Received: 5 of 5"):
        attribute_direction(codes, np.ones(5))
    with pytest.raises(DataError, match="Each code must have one attribute"):
        attribute_direction(codes, np.ones(4))
