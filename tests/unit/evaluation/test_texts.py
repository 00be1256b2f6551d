"""Perplexity, and neighbours by their codes."""

import numpy as np
import pytest

from vae_tf import VAE, networks
from vae_tf.errors import DataError
from vae_tf.evaluation import neighbours, perplexity
from vae_tf.evaluation.importance import LogLikelihood


def test_the_perplexity_of_equally_probable_tokens_is_their_number():
    mask = np.array([[1, 1, 1], [1, 0, 0]])
    log_p = -np.log(7.0) * mask.sum(1)
    found = LogLikelihood(log_p, np.zeros(2), 1)
    assert perplexity(found, mask) == pytest.approx(7)
    with pytest.raises(DataError, match="1 masks for 2 texts"):
        perplexity(found, mask[:1])


def test_neighbours_are_those_of_the_codes():
    rng = np.random.default_rng(0)
    vae = VAE(networks.mlp_encoder((6,), 3, (8,)), networks.mlp_decoder(3, {"logits": (6,)}, (8,)))
    x = rng.integers(0, 2, (40, 6)).astype("float32")
    found = neighbours(vae, x[:5], x, 4)
    codes = np.asarray(vae.encode(x).mean())
    distance = np.linalg.norm(codes[:5, None] - codes, axis=-1)
    np.testing.assert_allclose(
        np.take_along_axis(distance, found, 1), np.sort(distance, 1)[:, :4], atol=1e-5
    )
