"""Chunks of draws: how many rows they hold, and what their weights are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_tf
from vae_tf import noise
from vae_tf.data.batch import Batch
from vae_tf.evaluation import weights
from vae_tf.evaluation.weights import Weights
from vae_tf.models.chunks import split
from vae_tf.networks import conv_decoder, conv_encoder, mlp_decoder, mlp_encoder


class Recorder(keras.layers.Layer):
    """Notes how many rows pass through."""

    def call(self, x):
        self.seen = [] if not hasattr(self, "seen") else self.seen

        def note(rows):
            self.seen.append(len(rows))
            return rows

        return tf.ensure_shape(tf.numpy_function(note, [x], tf.float32), x.shape)


def watched():
    """A model that notes what its encoder and its decoder are given."""
    notes = Recorder(), Recorder()
    x, z = keras.Input((3, 2, 1)), keras.Input((2,))
    encoder = keras.Model(x, mlp_encoder((3, 2, 1), 2, (8,))(notes[0](x)))
    decoder = keras.Model(z, mlp_decoder(2, {"logits": (3, 2, 1)}, (8,))(notes[1](z)))
    vae = vae_tf.VAE(encoder, decoder)
    for note in notes:
        note.seen = []
    return vae, *notes


def test_rows_do_not_grow_with_the_draws_and_the_encoder_runs_once(monkeypatch):
    monkeypatch.setattr(weights, "MOST_ROWS", 100)
    x = np.zeros((30, 3, 2, 1), "float32")
    cases = {1: [10], 7: [70], 15: [90, 60], 40: [80] * 5, 100: [100] * 10, 230: [77, 77, 76] * 10}
    for draws, chunks in cases.items():
        vae, encoded, decoded = watched()
        vae_tf.log_likelihood(vae, x, draws, batch_size=10)
        assert encoded.seen == [10, 10, 10]
        assert sorted(decoded.seen) == sorted(chunks * 3)  # two are computed at a time


def test_wide_decoders_get_fewer_rows():
    shape = (32, 32, 1)
    decoder = conv_decoder(2, {"logits": shape}, (64, 32), 16)
    wide = vae_tf.VAE(conv_encoder(shape, 2, (8,), 16), decoder)
    rows = weights.CHUNK_BYTES // (4 * 32 * 32 * 32)
    assert Weights(wide, 5).chunk(Batch(tf.zeros([1, *shape]))) == (rows // 5, 5)
    narrow = vae_tf.VAE(mlp_encoder((3,), 2, (8,)), mlp_decoder(2, {"logits": (3,)}, (8,)))
    assert Weights(narrow, 5).chunk(Batch(tf.zeros([1, 3]))) == (weights.MOST_ROWS // 5, 5)


@pytest.mark.parametrize("draws", range(1, 120))
def test_chunks_hold_whole_examples_or_about_the_same_number_of_draws(draws):
    examples, at_a_time = split(35, draws)
    assert 1 <= examples * at_a_time <= 35
    if draws <= 35:
        assert at_a_time == draws
        assert (examples + 1) * draws > 35
    else:
        count = -(-draws // at_a_time)
        assert examples == 1
        assert count == -(-draws // 35)
        assert 0 < draws - (count - 1) * at_a_time <= at_a_time


@pytest.fixture(scope="module")
def small():
    shape = (3, 2, 1)
    vae = vae_tf.VAE(mlp_encoder(shape, 2, (8,)), mlp_decoder(2, {"logits": shape}, (8,)))
    return vae, (np.random.default_rng(0).random((9, *shape)) > 0.5).astype("float32")


@pytest.mark.parametrize("draws", [7, 50])
def test_against_log_w_by_hand(small, monkeypatch, draws):
    """In float64, at the draws that the noise by example makes."""
    monkeypatch.setattr(weights, "MOST_ROWS", 20)
    vae, x = small
    normal = noise.normals([3, 0], 0, len(x) * draws, 2).numpy().reshape(len(x), draws, 2)
    qz = vae.encode(x)
    z = qz.mean() + qz.stddev() * normal.transpose(1, 0, 2)
    logits = vae.decoder(tf.reshape(z, [-1, 2]))["logits"].numpy().astype("float64")
    logits = logits.reshape(draws, *x.shape)
    log_px = np.sum(x * logits - np.logaddexp(0, logits), axis=(2, 3, 4))
    log_pz = np.sum(-0.5 * z.numpy() ** 2 - 0.5 * np.log(2 * np.pi), -1)
    w = np.exp(log_px + log_pz - qz.log_prob(z).numpy())
    result = vae_tf.log_likelihood(vae, x, draws, seed=3)
    np.testing.assert_allclose(result.per_example, np.log(w.mean(0)), atol=1e-5)
    variance = np.mean(w**2, 0) / np.mean(w, 0) ** 2 / draws - 1 / draws
    np.testing.assert_allclose(result.monte_carlo_variance, variance, atol=1e-5)


@pytest.mark.slow_but(1)
@pytest.mark.parametrize("draws", [1, 6, 47])
def test_an_example_has_its_estimate_in_any_batch_and_any_chunk(small, monkeypatch, draws):
    vae, x = small
    found = [vae_tf.log_likelihood(vae, x, draws, seed=3, batch_size=size) for size in (1, 4, 9)]
    monkeypatch.setattr(weights, "MOST_ROWS", 11)
    found.append(vae_tf.log_likelihood(vae, x, draws, seed=3))
    for other in found[1:]:
        np.testing.assert_allclose(other.per_example, found[0].per_example, rtol=1e-5)
        variance = found[0].monte_carlo_variance
        np.testing.assert_allclose(other.monte_carlo_variance, variance, rtol=1e-3, atol=1e-7)
    shifted = vae_tf.log_likelihood(vae, np.roll(x, 1, 0), draws, seed=3).per_example
    assert not np.allclose(np.roll(shifted, -1), found[0].per_example)  # other draws
    seed = vae_tf.log_likelihood(vae, x, draws, seed=4).per_example
    assert not np.allclose(seed, found[0].per_example)
