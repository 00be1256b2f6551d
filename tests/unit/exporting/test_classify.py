"""`classify`, the signature of a model with a classifier, in every runtime."""

import keras
import numpy as np
import pytest

import vae_tf
from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import cpp_loader
from vae_tf.runs.bundle import export

pytestmark = pytest.mark.slow  # a whole export

SHAPE, K = (4, 3, 1), 3


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    x = keras.Input(SHAPE, name="x")
    start = keras.initializers.RandomNormal(stddev=1.0, seed=0)
    logits = keras.layers.Dense(K, kernel_initializer=start)(keras.layers.Flatten()(x))
    likelihood = vae_tf.likelihoods.Bernoulli()
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder(SHAPE, 2, (8,), condition=K),
        vae_tf.networks.mlp_decoder(2, likelihood.parameter_shapes(SHAPE), (8,), condition=K),
        likelihood=likelihood,
        objective=vae_tf.objectives.SemiSupervised(keras.Model(x, logits)),
    )
    return vae, export(vae, tmp_path_factory.mktemp("bundle") / "model")


def test_it_says_what_the_model_says(exported):
    vae, bundle = exported
    images = np.random.default_rng(0).integers(0, 2, (5, *SHAPE)).astype("float32")
    expected = vae.classify(images)
    call = cpp_loader.Call(bundle.encoder, "classify", [{"image": images}])
    ((answer,),) = cpp_loader.run([call])
    np.testing.assert_allclose(answer["probs"], expected, rtol=1e-5)
    content = bundle.encoder_tflite.read_bytes()
    (answer,) = litert.run(content, "classify", [{"image": images}])
    np.testing.assert_allclose(answer["probs"], expected, rtol=1e-4, atol=1e-6)


def test_the_manifest_knows_it(exported):
    _, bundle = exported
    entry = bundle.manifest["signatures"]["classify"]
    assert list(entry["inputs"]) == ["image"]
    assert entry["outputs"]["probs"]["shape"] == [None, K]
