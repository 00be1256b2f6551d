"""A ladder of latents in every signature: the shared way down is in both halves, and agrees."""

import numpy as np
import pytest
import tensorflow as tf

import vae_tf
from vae_tf import networks, posteriors, priors
from vae_tf.exporting import Options
from vae_tf.formats.litert import files as litert
from vae_tf.runs.bundle import export
from vae_tf.signatures import row_rng

pytestmark = pytest.mark.slow  # all signatures of three groups: half a minute

SHAPE, ROWS = (8, 8, 1), 5
OUTPUTS = {"logits": SHAPE}
SEEDS = np.array([0, 1, 7, -3, 2**31 - 1], np.int32)
KINDS = {
    "mlp": lambda: networks.mlp_ladder(SHAPE, (2, 3, 4), OUTPUTS, (12, 16, 20)),
    "resnet": lambda: networks.resnet_ladder(SHAPE, (3, 2), OUTPUTS, (4, 4), hidden=8),
}
TOPS = {"mlp": lambda: priors.MixtureOfNormals(2, 3), "resnet": lambda: priors.StandardNormal(3)}


@pytest.fixture(scope="module", params=KINDS)
def case(request, tmp_path_factory):
    """A model of shaken weights, and its bundle."""
    made = KINDS[request.param]()
    prior = priors.Hierarchy(TOPS[request.param](), made.prior)
    posterior = posteriors.Ladder(made.posterior)
    vae = vae_tf.VAE(made.encoder, made.decoder, prior=prior, posterior=posterior)
    rng = np.random.default_rng(0)
    for v in vae.trainable_variables:
        v.assign(v.numpy() + 0.1 * rng.normal(size=v.shape))
    directory = tmp_path_factory.mktemp("ladder") / "bundle"
    return vae, export(vae, directory, options=Options(whole=True, importance_samples=8))


def images():
    return (np.random.default_rng(1).random((ROWS, *SHAPE)) > 0.5).astype("float32")


def test_all_signatures_are_there_and_agree_in_every_runtime(case):
    _, bundle = case
    remarks = bundle.manifest["remarks"]
    assert not {"encoder.tflite", "decoder.tflite"} & set(remarks), remarks
    agreed = bundle.parity["signatures"]
    for name in ("encode", "decode", "generate", "prior_log_prob"):
        assert {"python_saved_model", "cpp_loader", "litert"} <= set(agreed[name]), name
    for name in ("sample", "reconstruct", "score"):
        assert {"python_saved_model", "cpp_loader"} <= set(agreed[name]), name


def test_litert_needs_builtin_operators_alone(case):
    _, bundle = case
    decoder = bundle.decoder_tflite.read_bytes()
    assert litert.signatures(decoder) == ["decode", "generate", "prior_log_prob"]
    for content in (decoder, bundle.encoder_tflite.read_bytes()):
        assert set(litert.operators(content)) <= set(litert.BUILTIN_NAMES.values()) - {"CUSTOM"}


def test_numbers_are_the_models(case):
    vae, bundle = case
    x, ones = images(), np.ones(ROWS, "float32")
    (told,) = litert.run(bundle.encoder_tflite.read_bytes(), "encode", [{"image": x}])
    statistics = vae.posterior.statistics(vae.parts.encoded(vae.door.parse(x).tensors()))
    for name in ("z_mean", "z_log_var"):
        np.testing.assert_allclose(told[name], statistics[name], atol=1e-4)
    decoder, size = bundle.decoder_tflite.read_bytes(), vae.prior.latent_dim
    (drawn,) = litert.run(decoder, "generate", [{"seed": SEEDS, "temperature": 0.7 * ones}])
    seeds = tf.constant(SEEDS)
    normal, uniform = row_rng.normals(seeds, size), row_rng.uniforms(seeds, 1)[:, 0]
    z = vae.prior.from_noise(0.7 * normal, uniform)
    np.testing.assert_allclose(drawn["z"], z, atol=1e-4)
    np.testing.assert_allclose(drawn["image"], vae.decode(z).mean(), atol=1e-4)
    (told,) = litert.run(decoder, "prior_log_prob", [{"z": z.numpy()}])
    exact = vae.prior.distribution().log_prob(z)
    np.testing.assert_allclose(told["log_prob"], exact, rtol=1e-4, atol=1e-3)
