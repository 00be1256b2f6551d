import warnings

import keras
import numpy as np
import pytest

import vae_tf
from vae_tf.callbacks import CollapseMonitor
from vae_tf.errors import ConfigError, DataError
from vae_tf.networks import mlp_decoder, mlp_encoder
from vae_tf.objectives import LinearWarmup

SHAPE, LATENT_DIM = (6,), 3
RNG = np.random.default_rng(0)
X = (RNG.normal(size=(64, 2)) @ RNG.normal(size=(2, 6)) * 2).astype("float32")


def model(prior=None, **kwargs):
    likelihood = vae_tf.likelihoods.Gaussian(0.5)
    encoder = mlp_encoder(SHAPE, LATENT_DIM, (16,), seed=1)
    decoder = mlp_decoder(LATENT_DIM, likelihood.parameter_shapes(SHAPE), (16,), seed=2)
    vae = vae_tf.VAE(encoder, decoder, prior=prior, likelihood=likelihood, **kwargs)
    vae.compile(keras.optimizers.Adam(1e-3))
    return vae


def collapsed(**kwargs):
    """Encodes everything as the prior, and stays so: the encoder does not learn."""
    vae = model(**kwargs)
    for weight in vae.encoder.weights:
        weight.assign(weight * 0)
    vae.encoder.trainable = False
    return vae


def test_collapse_is_told_once_with_the_units_and_the_remedies():
    monitor = CollapseMonitor(X)
    with pytest.warns(UserWarning, match="The posterior has collapsed") as caught:
        collapsed().fit(X, epochs=3, callbacks=[monitor], verbose=0)
    (message,) = [str(w.message) for w in caught]
    for words in (
        "by epoch 1: 3 of 3 latents are off (all); I(x; z) is",
        "E[x|z] follows",
        "LinearWarmup",
        "Cyclical",
        "FreeBits",
        "weaken the decoder",
    ):
        assert words in message
    assert monitor.epochs == [0, 1, 2]


def test_the_units_that_are_off_are_named():
    vae = collapsed()
    head = vae.encoder.get_layer("z_mean_output")
    bias = vae.encoder.layers[2].bias
    bias.assign(bias * 0 + 1)
    vae.encoder.layers[2].kernel.assign(vae.encoder.layers[2].kernel + 0.3)
    head.kernel.assign(np.eye(16, 3) * [0.0, 1.0, 0.0])
    with pytest.warns(UserWarning, match=r"2 of 3 latents are off \(units 0, 2\)"):
        vae.fit(X, callbacks=[CollapseMonitor(X)], verbose=0)


@pytest.mark.slow
def test_nothing_is_said_of_a_healthy_model_or_during_the_warm_up():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model().fit(X, epochs=2, callbacks=[CollapseMonitor(X)], verbose=0)
    vae = collapsed(beta=LinearWarmup(epochs=3))
    monitor = CollapseMonitor(X)
    with pytest.warns(UserWarning, match="collapsed by epoch 3"):
        vae.fit(X, epochs=4, callbacks=[monitor], verbose=0)


def test_the_history_holds_the_numbers_and_the_monitor_the_arrays():
    monitor = CollapseMonitor(X, every=2, num_samples=2)
    logs = model().fit(X, epochs=6, callbacks=[monitor], verbose=0).history
    assert monitor.epochs == [0, 2, 4, 5]  # the last one too
    assert monitor.kl.shape == monitor.active.shape == (4, LATENT_DIM)
    last = monitor.results[-1]
    assert logs["active_units"][-1] == last.active.sum()
    assert logs["mutual_information"][-1] == last.mutual_information.value > 0.5
    assert logs["z_sensitivity"][-1] == last.sensitivity > 0.01
    assert len(logs["z_sensitivity"]) == 4


@pytest.mark.slow
def test_a_prior_without_factors_has_no_kl_by_dimension():
    monitor = CollapseMonitor(X)
    model(prior=vae_tf.priors.MixtureOfNormals(LATENT_DIM, 4)).fit(
        X, callbacks=[monitor], verbose=0
    )
    assert monitor.kl is None


@pytest.mark.slow
def test_training_is_the_same_with_and_without():
    plain, watched = model(), model()
    a = plain.fit(X, epochs=2, shuffle=False, verbose=0).history
    monitor = CollapseMonitor(X)
    b = watched.fit(X, epochs=2, shuffle=False, callbacks=[monitor], verbose=0).history
    assert a["loss"] == b["loss"]


def test_refusals_come_before_the_first_step():
    with pytest.raises(DataError, match=r"The monitored data must be \[B, 6\]"):
        model().fit(X, callbacks=[CollapseMonitor(X[:, :4])], verbose=0)
    with pytest.raises(ConfigError, match="`every` must be a whole number"):
        CollapseMonitor(X, every=0)
    other = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6)])
    other.compile("sgd", "mse")
    with pytest.raises(ConfigError, match="`model` must be an instance of VAE"):
        other.fit(X, X, callbacks=[CollapseMonitor(X)], verbose=0)
