"""`prior_log_prob`: with it, NumPy and the two halves alone tell the NLL, for every prior."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats
from tensorflow_probability import distributions as tfd

import vae_tf
from tests.bundles import halves as halves_of
from vae_tf import distributions, networks
from vae_tf.data.batch import Batch
from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.models.parts import NAMES
from vae_tf.signatures import coding, endpoints
from vae_tf.signatures.densities import UNPROVEN
from vae_tf.signatures.probes import probes

SHAPE, LATENT, CLASSES, ROWS, DRAWS = (4, 3, 1), 2, 3, 6, 16
LABELS = np.arange(ROWS, dtype=np.int32) % CLASSES
X = (np.random.default_rng(3).uniform(size=(ROWS, *SHAPE)) < 0.4).astype("float32")
PRIORS = {
    "normal": lambda: distributions.StandardNormal(LATENT),
    "learned-normal": lambda: distributions.LearnedNormal(LATENT),
    "mixture": lambda: distributions.MixtureOfNormals(LATENT, components=3),
    "vamp": lambda: distributions.VampPrior(LATENT, SHAPE, components=4),
    "realnvp": lambda: distributions.RealNVP(LATENT),
    "maf": lambda: distributions.MaskedAutoregressive(LATENT),
    "conditional": lambda: distributions.Conditional(
        networks.conditional_prior_network(CLASSES, LATENT)
    ),
    "joint": lambda: distributions.Joint(
        [distributions.LearnedNormal(1), distributions.MixtureOfNormals(1, components=2)]
    ),
    "tfd": lambda: distributions.DistributionPrior(
        tfd.Independent(tfd.StudentT(tf.fill([LATENT], 5.0), 0.5, 1.0), 1)
    ),
}


ALIKE = ("learned-normal", "maf", "joint")  # each goes down the same path as one that stays


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in PRIORS],
)
def case(request, serve, tmp_path_factory):
    """A model whose prior is far from N(0, I), and its halves in the C++ loader."""
    keras.utils.set_random_seed(1)
    prior = PRIORS[request.param]()
    rng = np.random.default_rng(1)
    condition = CLASSES if prior.conditional else None
    likelihood = distributions.Bernoulli()
    shapes = likelihood.parameter_shapes(SHAPE)
    model = halves_of(
        *(SHAPE, LATENT),
        prior=prior,
        encoder=networks.mlp_encoder(SHAPE, LATENT, (8,), condition=condition),
        decoder=networks.mlp_decoder(LATENT, shapes, (8,), condition=condition),
    )
    size = 0.05 if request.param in ("realnvp", "maf", "conditional") else 0.3
    for weight in prior.weights:
        weight.assign(weight + rng.normal(0, size, weight.shape))
    decoder, _ = endpoints.decoder_endpoints(model, parity.trial(tmp_path_factory.mktemp("trial")))
    encoder = [coding.encode_endpoint(model), coding.sample_endpoint(model)]
    served = [*encoder, *(e for e in decoder if e.name != "generate_png")]
    given = {"condition": LABELS} if prior.conditional else {}
    ask = serve(served)
    return SimpleNamespace(model=model, endpoints=served, ask=ask, given=given)


def repeated(values):
    return np.repeat(values, DRAWS, 0)


def test_nll_by_numpy(case):
    """Draws, densities and weights by NumPy; the same draws weighed by the model agree."""
    encoded = case.ask("encode", image=X, **case.given)
    mean, scale = encoded["z_mean"], np.exp(encoded["z_log_var"] / 2)
    noise = np.random.default_rng(0).standard_normal((ROWS, DRAWS, LATENT))
    z = (mean[:, None] + scale[:, None] * noise).astype("float32")
    flat, given = z.reshape(-1, LATENT), {k: repeated(v) for k, v in case.given.items()}
    image = case.ask("decode", z=flat, **given)["image"].astype(float)
    log_px = stats.bernoulli.logpmf(repeated(X), image).reshape(len(flat), -1).sum(1)
    log_pz = case.ask("prior_log_prob", z=flat, **given)["log_prob"]
    assert log_pz.shape == (len(flat),)
    log_qz = stats.norm.logpdf(z, mean[:, None], scale[:, None]).sum(-1)
    log_w = (log_px + log_pz).reshape(ROWS, DRAWS) - log_qz
    nll = np.log(DRAWS) - special.logsumexp(log_w, 1)

    batch = Batch(tf.constant(X), condition=case.given.get("condition"))
    weights = case.model.parts.log_weights(tf.constant(z.transpose(1, 0, 2)), batch)
    np.testing.assert_allclose(log_w, weights.numpy().T, rtol=1e-5, atol=2e-4)
    np.testing.assert_allclose(nll, np.log(DRAWS) - special.logsumexp(weights, 0), atol=1e-3)


def test_the_density_is_one_over_the_plane(case):
    """Its integral, by the trapezoidal rule on [-20, 20]^2; heavy tails leave a little outside."""
    side = np.linspace(-20, 20, 401)
    z = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2).astype("float32")
    given = {name: np.ones(len(z), np.int32) for name in case.given}
    log_pz = case.ask("prior_log_prob", z=z, **given)["log_prob"].astype(float)
    assert np.exp(log_pz).sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=0.01)


def test_litert_agrees(case):
    (endpoint,) = [e for e in case.endpoints if e.name == "prior_log_prob"]
    content = litert.convert(case.ask.directory, ["decode", "prior_log_prob"])
    tried = probes(endpoint)
    told = litert.run(content, endpoint.name, tried)
    parity.compare("litert", endpoint.name, parity.reference(endpoint, tried), told)


def test_bad_rows_are_nan_alone(case):
    z = np.zeros((4, LATENT), np.float32)
    z[1, 0], z[2, 1] = np.nan, np.inf
    given = {"condition": np.array([0, 1, 2, CLASSES], np.int32)} if case.given else {}
    told = case.ask("prior_log_prob", z=z, **given)["log_prob"]
    assert list(np.isnan(told)) == [False, True, True, bool(given)]


def test_the_model_s_own_estimate(case):
    """The NLL by the halves' own draws against `log_likelihood`, within its standard error."""
    own, draws = {name: getattr(case.model.parts, name) for name in NAMES}, 400
    vae = vae_tf.VAE(own.pop("encoder"), own.pop("decoder"), **own)
    x, given = np.repeat(X, draws, 0), {k: np.repeat(v, draws, 0) for k, v in case.given.items()}
    encoded = case.ask("encode", image=x, **given)
    z = case.ask("sample", image=x, seed=np.arange(len(x), dtype=np.int32), **given)["z"]
    image = case.ask("decode", z=z, **given)["image"].astype(float)
    log_w = stats.bernoulli.logpmf(x, image).reshape(len(x), -1).sum(1)
    log_w += case.ask("prior_log_prob", z=z, **given)["log_prob"]
    scale = np.exp(encoded["z_log_var"] / 2)
    log_w -= stats.norm.logpdf(z, encoded["z_mean"], scale).sum(1)
    log_w = log_w.reshape(ROWS, draws)
    nll = np.log(draws) - special.logsumexp(log_w, 1)
    weights = special.softmax(log_w, 1)
    variance = (weights**2).sum(1) - 1 / draws  # of log mean w, by the delta method
    data = (X, LABELS) if case.given else X
    want = vae_tf.log_likelihood(vae, data, num_samples=draws, seed=0)
    spread = np.hypot(np.sqrt(variance.sum()) / ROWS, want.monte_carlo_stderr)
    assert abs(nll.mean() - want.nll) <= 4.5 * spread
    assert spread < 0.1  # or the line above would say little


@pytest.mark.slow
def test_a_prior_that_leaves_z_out_has_none(tmp_path):
    prior = distributions.DistributionPrior(
        tfd.Independent(tfd.Uniform(tf.zeros(LATENT), tf.ones(LATENT)), 1)
    )
    found, remarks = endpoints.decoder_endpoints(
        halves_of(SHAPE, LATENT, prior=prior), parity.trial(tmp_path)
    )
    assert "prior_log_prob" not in {endpoint.name for endpoint in found}
    assert remarks["prior_log_prob"] == UNPROVEN
