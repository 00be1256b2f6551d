"""The files of examples/skeletons answer the questions, so that copies of them begin well."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_tf

from .asking import COMPILERS, FAST, ask
from .parts import LATENT_DIM, SHAPE

SKELETONS = Path(__file__).parents[2] / "examples/skeletons"
PARTS = {"prior": "HeavyTailed", "likelihood": "Laplace", "objective": "CombinedBound"}


def skeleton(name):
    spec = importlib.util.spec_from_file_location(f"skeleton_{name}", SKELETONS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def part(name):
    made = getattr(skeleton(name), PARTS[name])
    return {name: made(LATENT_DIM) if name == "prior" else made()}


def test_all_are_short_and_asked():
    files = {path.stem: path for path in SKELETONS.glob("*.py")}
    assert set(files) == {*PARTS, "family"}
    for path in files.values():
        assert len(path.read_text("utf-8").splitlines()) < 60


@pytest.mark.slow_but(2)
@pytest.mark.parametrize("name", PARTS)
def test_part(name):
    ask(["configuration", "density", "draws", "save"], **part(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_part_in_all(name):
    ask(FAST, **part(name))


@pytest.mark.long
@pytest.mark.parametrize("name", PARTS)
def test_part_in_compilers(name):
    ask(COMPILERS, **part(name))


def test_the_combined_bound_lies_between_its_ends():
    log_w = tf.constant(np.random.default_rng(0).normal(size=(7, 4)).astype("float32"))
    combined = skeleton("objective").CombinedBound
    elbo, iwae = np.mean(log_w, 0), np.log(np.mean(np.exp(log_w), 0))
    for share in (0.0, 0.25, 1.0):
        expected = share * elbo + (1 - share) * iwae
        np.testing.assert_allclose(combined(7, share).bound(log_w), expected, rtol=1e-5)


def test_family(tmp_path):
    """The loss has the divergence of the two descriptions; all else is a VAE's."""
    x = np.random.default_rng(0).integers(0, 2, (96, *SHAPE)).astype("float32")
    likelihood = vae_tf.likelihoods.Bernoulli()
    encoder = vae_tf.networks.mlp_encoder(SHAPE, LATENT_DIM, (8,))
    outputs = likelihood.parameter_shapes(SHAPE)
    decoder = vae_tf.networks.mlp_decoder(LATENT_DIM, outputs, (8,))
    family = skeleton("family").ConsistentVAE
    vae = family(encoder, decoder, likelihood=likelihood, strength=2.0)
    vae.compile(keras.optimizers.Adam(1e-2))
    vae.fit(x, batch_size=32, epochs=2, verbose=0)

    a, b = (vae.encode(images) for images in (x[:, :, ::-1], x))
    variances = a.variance() / b.variance()
    distance = tf.square(a.mean() - b.mean()) / b.variance()
    kl = 0.5 * tf.reduce_sum(variances + distance - 1 - tf.math.log(variances), 1)
    found = vae.evaluate(x, verbose=0, return_dict=True)
    assert found["regularization"] == pytest.approx(2 * np.mean(kl), rel=1e-4)
    total = found["nll"] + found["kl"] + found["regularization"]
    assert found["loss"] == pytest.approx(total, rel=1e-5)

    vae.save(tmp_path / "family.keras")
    loaded = keras.models.load_model(tmp_path / "family.keras")
    assert loaded.strength == 2.0
    np.testing.assert_array_equal(loaded.reconstruct(x), vae.reconstruct(x))
