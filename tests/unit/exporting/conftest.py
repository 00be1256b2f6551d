"""A small VAE's parts, and one bundle of them for all tests that only look."""

from types import SimpleNamespace

import keras
import pytest

from vae_tf import distributions, networks
from vae_tf.exporting import cpp_loader, saved_model, write_bundle

SHAPE, LATENT = (6, 5, 1), 3


def small_parts(**replacements):
    """Returns keyword arguments of `write_bundle`, all but the directory."""
    likelihood = replacements.get("likelihood", distributions.Bernoulli())
    parts = {
        "encoder": networks.mlp_encoder(SHAPE, LATENT, hidden=(200, 100)),
        "decoder": networks.mlp_decoder(
            LATENT, likelihood.parameter_shapes(SHAPE), hidden=(100, 200)
        ),
        "prior": distributions.StandardNormal(LATENT),
        "posterior": distributions.DiagonalNormal(),
        "likelihood": likelihood,
    }
    return parts | replacements


@pytest.fixture
def parts():
    return small_parts()


@pytest.fixture
def make_parts():
    return small_parts


@pytest.fixture
def decoder_with():
    """Returns a function: layer on logits [B, 6, 5, 1] -> decoder that ends in it."""

    def make(layer):
        z = keras.Input((LATENT,), name="z")
        h = keras.layers.Dense(30)(z)
        return keras.Model(z, layer(keras.layers.Reshape(SHAPE)(h)), name="decoder")

    return make


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A bundle nobody may change, and the parts it was written from."""
    parts = small_parts()
    directory = tmp_path_factory.mktemp("exported") / "bundle"
    words = {"preprocessing": {"scale": "divide by 255"}, "provenance": {"run": "runs/7"}}
    bundle = write_bundle(**parts, directory=directory, **words)
    return SimpleNamespace(parts=parts, bundle=bundle)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Returns a function: endpoints -> a function that runs one of them, written once.

    `run(signature, runtime="cpp", **inputs)` returns the outputs for one batch; of lists of
    batches, the list of theirs.
    """

    def write(endpoints):
        directory = tmp_path_factory.mktemp("served") / "1"
        saved_model.write(endpoints, directory)

        def run(signature, *batches, runtime="cpp", **inputs):
            batches = batches or (inputs,)
            if runtime == "python":
                results = saved_model.run(directory, signature, batches)
            else:
                (results,) = cpp_loader.run([cpp_loader.Call(directory, signature, batches)])
            return results[0] if inputs else results

        run.directory = directory
        return run

    return write
