"""`sample`: draws of q(z|x) that are functions of integer seeds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import halves as halves_of
from vae_tf import networks
from vae_tf.distributions import posteriors
from vae_tf.formats import parity
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures import endpoints, row_rng

SHAPE, LATENT = (6, 5, 1), 3
SEEDS = np.array([0, -1, 2**31 - 1, -(2**31), 7, 8, 9], np.int32)
POSTERIORS = {
    "diagonal": posteriors.DiagonalNormal,
    "full": posteriors.FullNormal,
    "flow": lambda: posteriors.InverseAutoregressive(LATENT, context_dim=4, hidden=(8,)),
    "joint": lambda: posteriors.JointPosterior(
        [posteriors.FullNormal(), posteriors.DiagonalNormal()], [2, 1]
    ),
}


class Constant(keras.Model):
    """Puts out the same parameters for every image, to the last bit."""

    def __init__(self, shapes):
        super().__init__()
        rng = np.random.default_rng(3)
        self.values = {n: rng.normal(size=s).astype("float32") for n, s in shapes.items()}

    def call(self, x):
        return {n: tf.repeat(v[None], tf.shape(x)[0], 0) for n, v in self.values.items()}


def of(encoder, posterior):
    model = halves_of(SHAPE, LATENT, encoder=encoder, posterior=posterior)
    return endpoints.encoder_endpoints(model)


def images(n, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, *SHAPE)).astype("float32")


@pytest.mark.parametrize("name", POSTERIORS)
def test_every_runtime_draws_what_keras_draws(serve, name):
    posterior = POSTERIORS[name]()
    shapes = posterior.parameter_shapes(LATENT)
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(20,), outputs=shapes)
    made, remarks = endpoints.encoder_endpoints(
        halves_of(SHAPE, LATENT, encoder=encoder, posterior=posterior)
    )
    assert set(remarks) == {"encode_bytes"}  # nobody said what black and white are
    sample = next(e for e in made if e.name == "sample")
    batches = parity.probes(sample)
    want = parity.reference(sample, batches)
    run = serve(made)
    parity.compare("cpp", "sample", want, run("sample", *batches))
    parity.compare("python", "sample", want, run("sample", *batches, runtime="python"))
    # Once more by hand: the posterior's noise is the row generator's
    x = images(len(SEEDS))
    z = posterior.from_noise(encoder(x), row_rng.normals(tf.constant(SEEDS), LATENT))
    np.testing.assert_allclose(run("sample", image=x, seed=SEEDS)["z"], z, atol=1e-5)


def test_draws_are_of_the_posterior_of_their_own_image(serve):
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(20,))
    run = serve(
        endpoints.encoder_endpoints(
            halves_of(SHAPE, LATENT, encoder=encoder, posterior=posteriors.DiagonalNormal())
        )[0]
    )
    x, n = np.repeat(images(2), 20_000, 0), 20_000
    z = run("sample", image=x, seed=np.arange(2 * n, dtype=np.int32))["z"].astype("float64")
    told = run("encode", image=x)
    for rows in (slice(n), slice(n, None)):
        mean, deviation = told["z_mean"][rows][0], np.exp(told["z_log_var"][rows][0] / 2)
        standard = (z[rows] - mean) / deviation
        assert np.abs(standard.mean(0)).max() < 4.5 / np.sqrt(n)
        assert np.abs(standard.var(0) - 1).max() < 4.5 * np.sqrt(2 / n)


@pytest.mark.parametrize("name", ["diagonal", "full", "joint"])
def test_for_equal_parameters_a_row_is_equal_to_the_last_bit(serve, name):
    posterior = POSTERIORS[name]()
    encoder = Constant(posterior.parameter_shapes(LATENT))
    encoder(images(1))
    run = serve(of(encoder, posterior)[0])
    whole = run("sample", image=images(7), seed=SEEDS)["z"]
    assert len(np.unique(whole, axis=0)) == len(SEEDS)
    some = [{"image": images(len(r)), "seed": SEEDS[r]} for r in ([0], [1], [2, 3, 4], [6, 6])]
    for rows, have in zip(([0], [1], [2, 3, 4], [6, 6]), run("sample", *some), strict=True):
        np.testing.assert_array_equal(have["z"], whole[rows])


def test_a_posterior_without_noise_has_no_sample():
    class Own(posteriors.DiagonalNormal):
        def from_noise(self, params, normal):
            return None

    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(20,))
    made, remarks = endpoints.encoder_endpoints(
        halves_of(SHAPE, LATENT, encoder=encoder, posterior=Own())
    )
    assert "sample" not in [e.name for e in made]
    assert "no from_noise" in remarks["sample"]


@pytest.mark.slow
def test_the_flows_weights_are_there_once(tmp_path):
    posterior = posteriors.InverseAutoregressive(LATENT, context_dim=64, hidden=(400,))
    shapes = posterior.parameter_shapes(LATENT)
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(20,), outputs=shapes)
    saved_model.write(
        of(encoder, posterior)[0],
        tmp_path / "1",
    )
    stored = tmp_path / "1" / "variables" / "variables.data-00000-of-00001"
    weights = sum(w.numpy().nbytes for w in (*encoder.weights, *posterior.weights))
    assert weights <= stored.stat().st_size <= weights + 6000
