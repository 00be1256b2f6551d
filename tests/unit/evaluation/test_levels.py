"""Sampling at a temperature for each group, and redrawing groups, in a model that can be solved."""

import numpy as np
import pytest
from tensorflow_probability import distributions as tfd

import vae_tf
from vae_tf.errors import ConfigError, DataError
from vae_tf.evaluation import redrawn
from vae_tf.networks import mlp_decoder, mlp_encoder

from ..distributions.test_hierarchy import A, B, C, D, S, ladder, model


def moments(temperature):
    """Returns mean and covariance of E[x|z], z ~ p(z) at a temperature for each group."""
    mean, maps = [0.0], [np.array([temperature[0], 0, 0])]
    for g in (1, 2):
        mean.append(A[g] * mean[-1] + B[g])
        maps.append(A[g] * maps[-1] + temperature[g] * S[g] * np.eye(3)[g])
    maps = np.stack(maps)
    return np.array(mean) @ C + D, C.T @ maps @ maps.T @ C


@pytest.mark.parametrize("temperature", [1.0, 0.5, [0.0, 1.0, 1.0], [1.0, 0.3, 2.0]])
def test_samples_have_the_moments_of_their_temperature(temperature):
    vae, n = model(*ladder()), 20_000
    x = vae.sample(n, seed=3, temperature=temperature).numpy().astype(float)
    each = np.broadcast_to(temperature, 3)
    mean, cov = moments(each)
    error = np.sqrt(np.diag(cov) / n)
    assert (np.abs(x.mean(0) - mean) < 4.5 * error + 1e-5).all()
    products = (x - mean)[:, :, None] * (x - mean)[:, None]
    assert (np.abs(products.mean(0) - cov) < 4.5 * products.std(0) / np.sqrt(n) + 1e-5).all()
    few = vae.sample(5, seed=3, temperature=temperature)
    np.testing.assert_allclose(x[:5], few, rtol=1e-5, atol=1e-6)


def test_rows_redraw_their_group_and_those_below():
    vae, columns = model(*ladder()), 4000
    rows = redrawn(vae, columns, seed=1).astype(float)
    assert rows.shape == (3, columns, 2)
    for g, row in enumerate(rows):
        _, cov = moments([0.0] * g + [1.0] * (3 - g))
        centred = row - row.mean(0)
        products = centred[:, :, None] * centred[:, None]
        error = products.std(0) / np.sqrt(columns)
        assert (np.abs(products.mean(0) - cov) < 4.5 * error + 1e-3 * np.abs(cov)).all()
    np.testing.assert_allclose(redrawn(vae, 3, seed=1), rows[:, :3], rtol=1e-5, atol=1e-6)
    still = redrawn(vae, 5, temperature=[1.0, 1.0, 0.0])
    np.testing.assert_allclose(np.ptp(still[2], axis=0), 0, atol=1e-6)


def test_models_without_groups_and_with_conditions():
    encoder = mlp_encoder((4,), 2, (4,), condition=3)
    decoder = mlp_decoder(2, {"logits": (4,)}, (4,), condition=3)
    vae = vae_tf.VAE(encoder, decoder, prior=vae_tf.priors.MixtureOfNormals(2, 3))
    assert redrawn(vae, 6, condition=[1]).shape == (1, 6, 4)
    assert vae.sample(2, seed=0, condition=[0, 2], temperature=0.1).shape == (2, 4)
    with pytest.raises(DataError, match="This model needs a condition"):
        redrawn(vae)


def test_refusals():
    vae = model(*ladder())
    with pytest.raises(ConfigError, match="must have a number for each of 3 groups"):
        vae.sample(2, temperature=[1.0, 2.0])
    with pytest.raises(ConfigError, match="`temperature` must be a finite number of at least 0"):
        vae.sample(2, temperature=-1.0)
    other = vae_tf.priors.DistributionPrior(tfd.Independent(tfd.Laplace([0.0] * 2, 1.0), 1))
    vae = vae_tf.VAE(
        mlp_encoder((4,), 2, (4,)), mlp_decoder(2, {"logits": (4,)}, (4,)), prior=other
    )
    with pytest.raises(ConfigError, match="A temperature needs a prior that draws from noise"):
        vae.sample(2, temperature=0.5)
