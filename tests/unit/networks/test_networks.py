import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.errors import ConfigError
from vae_tf.networks import conv_decoder, conv_encoder, mlp_decoder, mlp_encoder

BUILDERS = {"mlp": (mlp_encoder, mlp_decoder), "conv": (conv_encoder, conv_decoder)}


@pytest.mark.parametrize("kind", BUILDERS)
@settings(max_examples=12, deadline=None)
@given(st.tuples(st.integers(1, 33), st.integers(1, 33), st.integers(1, 4)), st.integers(1, 5))
def test_any_size_comes_back(kind, shape, latent_dim):
    make_encoder, make_decoder = BUILDERS[kind]
    encoder, decoder = (
        make_encoder(shape, latent_dim),
        make_decoder(latent_dim, {"loc": shape, "log_scale": shape}),
    )
    outputs = encoder(np.zeros((2, *shape), "float32"))
    assert {name: value.shape for name, value in outputs.items()} == {
        "z_mean": (2, latent_dim),
        "z_log_var": (2, latent_dim),
    }
    outputs = decoder(np.zeros((2, latent_dim), "float32"))
    assert {name: value.shape for name, value in outputs.items()} == {
        "loc": (2, *shape),
        "log_scale": (2, *shape),
    }


@pytest.mark.parametrize("kind", BUILDERS)
def test_seed_decides_the_weights(kind):
    first, again, other = (BUILDERS[kind][0]((9, 7, 1), 3, seed=seed) for seed in (5, 5, 6))
    pairs = list(zip(first.get_weights(), again.get_weights(), other.get_weights(), strict=True))
    assert all(np.array_equal(a, b) for a, b, _ in pairs)
    assert any(not np.array_equal(a, c) for a, _, c in pairs)


@pytest.mark.parametrize("kind", BUILDERS)
def test_outputs_are_float32_under_mixed_precision(kind, set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    make_encoder, make_decoder = BUILDERS[kind]
    encoder, decoder = make_encoder((8, 8, 1), 2), make_decoder(2, {"logits": (8, 8, 1)})
    assert decoder(np.zeros((1, 2), "float32"))["logits"].dtype == "float32"
    assert encoder(np.zeros((1, 8, 8, 1), "float32"))["z_mean"].dtype == "float32"
    assert any(layer.compute_dtype == "bfloat16" for layer in decoder.layers)


def test_input_dropout_acts_in_training_alone():
    encoder = mlp_encoder((4, 4, 1), 2, input_dropout=0.5)
    x = np.ones((1, 4, 4, 1), "float32")
    calm = [encoder(x)["z_mean"].numpy() for _ in range(2)]
    noisy = [encoder(x, training=True)["z_mean"].numpy() for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    assert not np.array_equal(*noisy)


def test_sizes_below_one_are_refused():
    with pytest.raises(ConfigError, match="`latent_dim` must be a whole number of at least 1"):
        mlp_encoder((8, 8, 1), 0)
    with pytest.raises(ConfigError, match="`hidden`"):
        mlp_decoder(2, {"logits": (8, 8, 1)}, (10, 0))
    with pytest.raises(ConfigError, match="`filters`"):
        conv_encoder((8, 8, 1), 2, (0,))
