"""Real-valued series: missing steps, padding, and anomalies by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vae_tf import VAE, likelihoods, log_likelihood, networks
from vae_tf.data import Series

STEPS = 16


def generated(number, seed):
    """Sines of any phase with noise, [N, T, 1], of which a tenth is missing, and lengths."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, (number, 1))
    x = 20 + 5 * np.sin(np.arange(STEPS) / 2.5 + phase)[..., None]
    x = x + rng.normal(0, 0.5, x.shape)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, rng.integers(11, STEPS + 1, number)


def model(length, likelihood):
    shape = (length, 1)
    encoder = networks.gru_encoder(shape, 3, (24,))
    outputs = likelihood.parameter_shapes(shape)
    decoder = networks.gru_decoder(3, outputs, (24,), event_shape=shape, past=False)
    return VAE(encoder, decoder, likelihood=likelihood)


@pytest.fixture(scope="module")
def trained():
    x, lengths = generated(600, 0)
    series = Series.of(x, lengths)
    batch = series.encode(x, lengths)
    scale = likelihoods.GaussianLearnedScale.from_data(batch["x"], batch["mask"])
    vae = model(STEPS, scale)
    vae.compile(keras.optimizers.Adam(1e-2, global_clipnorm=5.0))
    vae.fit(batch, epochs=60, batch_size=100, verbose=0)
    return vae, series


@pytest.mark.slow
def test_the_most_surprising_step_is_the_anomaly(trained):
    vae, series = trained
    x, lengths = generated(60, 1)
    rng = np.random.default_rng(2)
    rows, places = np.arange(60), rng.integers(2, 9, 60)
    x[rows, places, 0] = np.nan_to_num(x[rows, places, 0], nan=20.0)
    x[rows, places, 0] += rng.choice([-5, 5], 60)  # ten standard deviations of the noise
    asked = series.encode(x, lengths)
    surprisal = vae.surprisal(asked, num_samples=100)[..., 0]
    assert np.array_equal(np.isnan(surprisal), asked["mask"][..., 0] == 0)
    assert np.mean(np.nanargmax(surprisal, 1) == places) > 0.85


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Of 40 incomplete examples")
def test_gaps_are_filled_within_the_noise(trained):
    vae, series = trained
    x, lengths = generated(40, 3)
    batch = series.encode(x, lengths)
    hidden = (np.random.default_rng(4).random(x.shape) < 0.2) & (batch["mask"] > 0)
    seen = {"x": batch["x"], "mask": np.where(hidden, 0.0, batch["mask"]).astype("float32")}
    filled = series.decode(vae.impute(seen, num_samples=500).x)
    error = np.sqrt(np.mean(np.square((filled - x)[hidden])))
    assert error < 1.0  # noise 0.5; the series itself has a standard deviation of 3.5


def test_the_likelihood_is_the_sum_over_what_was_observed():
    vae = model(4, likelihoods.Gaussian(0.7))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 4, 1)).astype("float32")
    mask = (rng.random(x.shape) < 0.6).astype("float32")
    z = rng.normal(size=(1, 5, 3)).astype("float32")
    batch = vae.door.parse({"x": np.where(mask > 0, x, np.nan), "mask": mask}).tensors()
    loc = vae.decoder(tf.constant(z[0]))["loc"].numpy()
    expected = np.sum(mask * stats.norm.logpdf(x, loc, 0.7), (1, 2))
    np.testing.assert_allclose(vae.parts.log_px(tf.constant(z), batch)[0], expected, rtol=1e-4)


def test_padding_changes_no_number_of_a_series():
    x, lengths = generated(6, 0)
    series = Series.of(x, lengths)
    longer = Series(series.loc, series.scale, STEPS + 5)
    short, long = (model(n, likelihoods.Gaussian(0.5)) for n in (STEPS, STEPS + 5))
    long.encoder.set_weights(short.encoder.get_weights())
    long.decoder.set_weights(short.decoder.get_weights())
    first, second = (
        log_likelihood(vae, form.encode(x, lengths), 20).per_example
        for vae, form in ((short, series), (long, longer))
    )
    np.testing.assert_allclose(first, second, rtol=1e-5)
