"""A mixture fitted to the latents of a model whose aggregate posterior is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import VAE
from vae_tf.distributions import Gaussian, MixtureOfNormals, StandardNormal
from vae_tf.errors import ConfigError, DataError
from vae_tf.evaluation import fit_mixture, log_likelihood, weigh_components

L, N = 2, 3000
WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-6.0, 0.0], [5.0, 4.0], [5.0, -7.0]])
STDS = np.array([[1.0, 0.3], [0.5, 0.5], [0.2, 1.5]])


def identity_vae(log_var=-20.0, scale=1.0):
    """q(z|x) = N(scale x, exp(log_var)): the latents are the data."""
    x = keras.Input((L,))
    mean, narrow = keras.layers.Dense(L), keras.layers.Dense(L)
    encoder = keras.Model(x, {"z_mean": mean(x), "z_log_var": narrow(x)})
    mean.set_weights([scale * np.eye(L), np.zeros(L)])
    narrow.set_weights([np.zeros((L, L)), np.full(L, log_var)])
    z = keras.Input((L,))
    loc = keras.layers.Dense(L)
    decoder = keras.Model(z, {"loc": loc(z)})
    loc.set_weights([np.eye(L) / scale, np.zeros(L)])
    return VAE(encoder, decoder, likelihood=Gaussian(0.5), seed=3)


def data(stds=STDS, seed=0):
    rng = np.random.default_rng(seed)
    k = rng.choice(3, size=N, p=WEIGHTS)
    return np.float32(MEANS[k] + stds[k] * rng.normal(size=(N, L))), k


@pytest.mark.parametrize("log_var", [-20.0, 0.0])
def test_recovers_a_known_mixture(log_var):
    """With q(z|x) of variance 1 too: draws are fitted, not means."""
    x, _ = data()
    prior = fit_mixture(identity_vae(log_var), x, 3, batch_size=700, seed=1)
    assert isinstance(prior, MixtureOfNormals)
    parts = prior.mixture()
    order = [np.abs(parts["loc"] - m).sum(-1).argmin() for m in MEANS]
    assert sorted(order) == [0, 1, 2]
    variances, counts = STDS**2 + np.exp(log_var), N * WEIGHTS[:, None]
    error = np.sqrt(WEIGHTS * (1 - WEIGHTS) / N)
    assert (np.abs(parts["weights"][order] - WEIGHTS) < 4.5 * error).all()
    assert (np.abs(parts["loc"][order] - MEANS) < 4.5 * np.sqrt(variances / counts)).all()
    # a standard deviation's standard error is s / sqrt(2 n)
    deviations = np.abs(parts["scale"][order] / np.sqrt(variances) - 1)
    assert (deviations < 4.5 / np.sqrt(2 * counts)).all()


def test_repeats_itself_and_differs_by_seed():
    x, _ = data()
    vae = identity_vae(0.0)
    one, same, other = (fit_mixture(vae, x, 3, seed=s).mixture() for s in (1, 1, 2))
    for name, value in one.items():
        np.testing.assert_array_equal(same[name], value)
    assert np.any(other["scale"] != one["scale"])


def test_draws_belong_to_the_examples():
    x, _ = data()
    vae = identity_vae(0.0)
    whole = fit_mixture(vae, x, 2, seed=4).mixture()
    stream = tf.data.Dataset.from_tensor_slices(x).batch(70)
    for other in (
        fit_mixture(vae, stream, 2, seed=4),
        fit_mixture(vae, x, 2, seed=4, batch_size=999),
    ):
        for name, value in other.mixture().items():
            np.testing.assert_allclose(value, whole[name], rtol=1e-4, atol=1e-5)


def test_narrow_clusters_get_the_narrowest_components_there_are():
    x, _ = data(stds=np.full((3, L), 0.01))
    parts = fit_mixture(identity_vae(), x, 3).mixture()
    np.testing.assert_allclose(parts["scale"], np.exp(-3), rtol=1e-5)
    assert all(np.abs(parts["loc"] - m).sum(-1).min() < 0.01 for m in MEANS)


def test_wide_latents_are_refused():
    """Their components would be cut to a standard deviation of 20."""
    x, _ = data()
    with pytest.raises(
        DataError, match="Clusters of latents must be within a standard deviation of 20"
    ):
        fit_mixture(identity_vae(scale=100.0), x, 1)


def test_refusals():
    vae, (x, _) = identity_vae(), data()
    with pytest.raises(ConfigError, match="`vae` must be an instance of VAE"):
        fit_mixture(vae.encoder, x)
    for bad in (0, 2.5, "3"):
        with pytest.raises(ConfigError, match="`components` must be a whole number"):
            fit_mixture(vae, x, bad)
        with pytest.raises(ConfigError, match="`batch_size` must be a whole number"):
            fit_mixture(vae, x, 3, batch_size=bad)
    with pytest.raises(DataError, match="100 components need as many examples"):
        fit_mixture(vae, x[:99])
    with pytest.raises(DataError, match=r"must be \[B, 2\]"):
        fit_mixture(vae, x[:, :1], 3)
    with pytest.raises(DataError, match="numbers"):
        fit_mixture(vae, np.array([["a", "b"]] * 9), 3)
    with pytest.raises(DataError, match="finite"):
        fit_mixture(vae, np.full_like(x, np.nan), 3)


def test_another_prior_keeps_networks_and_evaluates():
    x, _ = data()
    vae = identity_vae(-2.0)
    vae.compile()
    prior = fit_mixture(vae, x, 3)
    other = vae.replace(prior=prior)
    assert other.encoder is vae.encoder
    assert other.decoder is vae.decoder
    assert other.posterior is vae.posterior
    assert other.likelihood is vae.likelihood
    assert other.prior is prior
    assert isinstance(vae.prior, StandardNormal)
    before, after = (m.evaluate(x, return_dict=True, verbose=0) for m in (vae, other))
    assert after["nll"] == pytest.approx(before["nll"], rel=1e-6)  # the same draws
    assert after["kl"] < before["kl"]
    assert log_likelihood(other, x[:200], 50).mean > log_likelihood(vae, x[:200], 50).mean


def test_another_prior_refuses_another_size():
    with pytest.raises(ConfigError, match="must take the prior's latent_dim=3"):
        identity_vae().replace(prior=StandardNormal(3))


def test_a_mixture_survives_a_file(tmp_path):
    x, _ = data()
    model = identity_vae().replace(prior=fit_mixture(identity_vae(), x, 3))
    model.save(tmp_path / "m.keras")
    copy = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    for name, value in model.prior.mixture().items():
        np.testing.assert_array_equal(copy.prior.mixture()[name], value)


def with_a_component_too_many():
    """Returns a model whose prior knows the components, and a fourth that no example is near."""
    prior = MixtureOfNormals(L, 4)
    prior.means.assign([*MEANS, [40.0, 40.0]])
    prior.log_scales.assign(np.log([*STDS, [1.0, 1.0]]))
    return identity_vae().replace(prior=prior)


def test_components_get_their_shares_as_weights():
    x, k = data()
    vae = with_a_component_too_many()
    before = vae.prior.distribution().log_prob(x).numpy().mean()
    weigh_components(vae, x)
    weights = vae.prior.mixture()["weights"]
    # Components this far apart are hardly ever confused
    np.testing.assert_allclose(weights[:3], np.bincount(k) / N, atol=2e-3)
    assert weights[3] < 1e-9
    assert vae.prior.distribution().log_prob(x).numpy().mean() > before
    again = weights.copy()
    weigh_components(vae, x)
    np.testing.assert_allclose(vae.prior.mixture()["weights"], again, atol=2e-3)


def test_weights_belong_to_mixtures():
    x, _ = data()
    with pytest.raises(ConfigError, match="Received: StandardNormal"):
        weigh_components(identity_vae(), x)
    with pytest.raises(DataError):
        weigh_components(with_a_component_too_many(), x[:0])
