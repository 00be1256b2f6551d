"""bfloat16 decoders: accepted where their measured error is small, else float32 to the bit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_tf
from vae_tf.errors import ConfigError
from vae_tf.evaluation import weights
from vae_tf.evaluation.half_precision import in_bfloat16
from vae_tf.networks import mlp_decoder, mlp_encoder

SHAPE = (6, 4, 1)
X = (np.random.default_rng(0).random((70, *SHAPE)) > 0.5).astype("float32")


class Rigid(keras.layers.Layer):
    """A user's layer that knows float32 alone."""

    def call(self, x):
        return x + tf.zeros([2])


class Shifted(keras.layers.Layer):
    """Adds and takes away a number that bfloat16's 8 bits do not reach below."""

    def call(self, x):
        return (x + 1000.0) - 1000.0


def model(layer=None):
    decoder = mlp_decoder(2, {"logits": SHAPE}, (16,), seed=4)
    if layer is not None:
        z = keras.Input((2,))
        decoder = keras.Model(z, decoder(layer()(z)))
    return vae_tf.VAE(mlp_encoder(SHAPE, 2, (8,), seed=3), decoder)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(weights, "MOST_ROWS", 512)


def both(vae):
    options = {"num_samples": 300, "batch_size": 32}
    exact = vae_tf.log_likelihood(vae, X, **options)
    assert (exact.precision, exact.precision_error) == ("float32", 0.0)
    return exact, vae_tf.log_likelihood(vae, X, precision="bfloat16", **options)


def test_a_benign_decoder_is_decoded_in_it_and_the_error_told():
    vae = model()
    exact, half = both(vae)
    assert half.precision == "bfloat16"
    difference = half.per_example - exact.per_example
    assert 0 < np.abs(difference).max() < 0.05  # it was another precision, at the same draws
    # 16 other draws tell the shift but for the rounding's noise over 70 examples
    assert abs(difference.mean() - half.precision_error) < 5 * 0.05 / np.sqrt(70)
    assert 0 < abs(half.precision_error) <= 0.01
    assert {layer.dtype_policy.name for layer in vae.decoder._flatten_layers()} == {"float32"}


@pytest.mark.parametrize("layer", [Rigid, Shifted])
def test_a_decoder_that_cannot_bear_it_stays_in_float32(layer):
    exact, half = both(model(layer))
    assert (half.precision, half.precision_error) == ("float32", 0.0)
    np.testing.assert_array_equal(half.per_example, exact.per_example)


def test_layers_get_their_policies_back_after_an_error():
    decoder = model().decoder
    z = tf.zeros([1, 2])

    def fail():
        with in_bfloat16(decoder):
            assert decoder(z)["logits"].dtype == tf.bfloat16
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert decoder(z)["logits"].dtype == tf.float32


@pytest.mark.slow
def test_auto_is_one_of_the_two_and_others_are_refused():
    vae = model()
    exact, half = both(vae)
    auto = vae_tf.log_likelihood(vae, X, 300, batch_size=32, precision="auto").per_example
    assert any(np.array_equal(auto, result.per_example) for result in (exact, half))
    with pytest.raises(ConfigError, match=r"`precision` must be a known name.*bfloat16"):
        vae_tf.log_likelihood(vae, X, 5, precision="bfloat")
