"""The child process computes the same last bits whatever its parent was told."""

import numpy as np
import pytest

import vae_tf
from vae_tf import networks
from vae_tf.codec.networks import Networks
from vae_tf.codec.subject import alphabet_of, fingerprint
from vae_tf.errors import CodecError

SHAPE, LATENT = (28, 28, 1), 10


@pytest.fixture(scope="module")
def vae():
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(300,), seed=0)
    decoder = networks.mlp_decoder(LATENT, {"logits": SHAPE}, hidden=(300,), seed=1)
    return vae_tf.VAE(encoder, decoder, prior=vae_tf.priors.MixtureOfNormals(LATENT, 7))


def answers(vae, x, z):
    with Networks(vae, alphabet_of(vae)) as child:
        return child.encode(x) | child.decode(z)


@pytest.mark.slow
def test_same_bits_under_other_settings(vae, monkeypatch):
    rng = np.random.default_rng(0)
    x, z = rng.random((5, *SHAPE)), rng.normal(size=(5, LATENT))
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    first = answers(vae, x, z)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=2")
    second = answers(vae, x, z)
    assert set(first) == {"loc", "scale", "logits", "component"}
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value)


def test_answers_are_the_model_s(vae):
    rng = np.random.default_rng(0)
    x, z = rng.random((4, *SHAPE), "float32"), rng.normal(size=(4, LATENT)).astype("float32")
    found = answers(vae, x, z)
    qz = vae.encode(x)
    np.testing.assert_allclose(found["loc"], qz.mean(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["scale"], qz.stddev(), rtol=1e-4)
    logits = vae.decode(z).distribution.logits
    np.testing.assert_allclose(found["logits"], np.reshape(logits, (4, -1)), rtol=1e-3, atol=1e-4)
    # p(k|z) p(z) = p(k) p(z|k)
    pz = vae.prior.distribution()
    each = pz.components_distribution.log_prob(z[:, None]).numpy()
    expected = np.exp(each - pz.log_prob(z).numpy()[:, None]) / 7
    np.testing.assert_allclose(found["component"][:, 0], expected, rtol=1e-3, atol=1e-6)


def test_a_child_that_died_says_so_in_a_sentence(vae):
    with Networks(vae, alphabet_of(vae)) as child:
        child._child.kill()
        with pytest.raises(CodecError, match="must run in TensorFlow's C"):
            child.decode(np.zeros((1, LATENT)))


def test_inputs_of_another_shape(vae):
    with Networks(vae, alphabet_of(vae)) as child, pytest.raises(CodecError):
        child.decode(np.zeros((1, LATENT + 1)))


def test_fingerprint(vae, tmp_path):
    import keras

    own = fingerprint(vae)
    vae.save(tmp_path / "vae.keras")
    assert fingerprint(keras.models.load_model(tmp_path / "vae.keras")) == own
    for other in (
        vae.replace(prior=vae_tf.priors.MixtureOfNormals(LATENT, 7, seed=1)),
        vae.replace(prior=vae_tf.priors.StandardNormal(LATENT)),
    ):
        assert fingerprint(other) != own
