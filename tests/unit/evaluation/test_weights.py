"""Chunks of draws: how many rows they hold, and what their weights are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_tf
from vae_tf.evaluation import weights
from vae_tf.evaluation.weights import Weights
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
    for draws, chunks in ((1, [10]), (7, [70]), (100, [100] * 10)):
        vae, encoded, decoded = watched()
        vae_tf.log_likelihood(vae, x, draws, batch_size=10)
        assert encoded.seen == [10, 10, 10]
        assert decoded.seen[1:] == chunks * 3  # after the row that tells the shape


def test_wide_decoders_get_fewer_rows():
    shape = (32, 32, 1)
    decoder = conv_decoder(2, {"logits": shape}, (64, 32), 16)
    wide = vae_tf.VAE(conv_encoder(shape, 2, (8,), 16), decoder)
    assert Weights(wide, 5).rows == weights.CHUNK_BYTES // (4 * 32 * 32 * 32)
    narrow = vae_tf.VAE(mlp_encoder((3,), 2, (8,)), mlp_decoder(2, {"logits": (3,)}, (8,)))
    assert Weights(narrow, 5).rows == weights.MOST_ROWS


@pytest.mark.parametrize("draws", range(1, 40))
def test_chunks_hold_all_draws_and_none_is_empty(draws):
    sizer = Weights.__new__(Weights)
    sizer.num_samples, sizer.rows = draws, 35
    count, size = sizer.chunks(10)
    assert size <= 3
    assert (count - 1) * size < draws <= count * size


def test_draws_beyond_the_number_asked_for_count_nothing(monkeypatch):
    """Of 7 draws in chunks of 4 the eighth: against log w by hand, in float64."""
    monkeypatch.setattr(weights, "MOST_ROWS", 20)
    shape = (3, 2, 1)
    vae = vae_tf.VAE(mlp_encoder(shape, 2, (8,)), mlp_decoder(2, {"logits": shape}, (8,)))
    x = (np.random.default_rng(0).random((5, *shape)) > 0.5).astype("float32")
    log_w = []
    for chunk in range(2):
        key = tf.random.experimental.stateless_fold_in(tf.constant([3, 0]), chunk)
        qz = vae.encode(x)
        z = qz.sample(4, seed=key)
        logits = vae.decoder(tf.reshape(z, [-1, 2]))["logits"].numpy().astype("float64")
        logits = logits.reshape(4, *x.shape)
        log_px = np.sum(x * logits - np.logaddexp(0, logits), axis=(2, 3, 4))
        log_pz = np.sum(-0.5 * z.numpy() ** 2 - 0.5 * np.log(2 * np.pi), -1)
        log_w.append(log_px + log_pz - qz.log_prob(z).numpy())
    log_w = np.concatenate(log_w)[:7]
    w = np.exp(log_w)
    result = vae_tf.log_likelihood(vae, x, 7, seed=3)
    np.testing.assert_allclose(result.per_example, np.log(w.mean(0)), atol=1e-5)
    variance = np.mean(w**2, 0) / np.mean(w, 0) ** 2 / 7 - 1 / 7
    np.testing.assert_allclose(result.monte_carlo_variance, variance, atol=1e-5)
