"""`reconstruct` and `score`: against exact sums, and against what evaluation computes."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import halves as halves_of
from vae_tf import distributions, networks
from vae_tf.distributions import posteriors
from vae_tf.evaluation import log_likelihood
from vae_tf.formats import parity
from vae_tf.models import VAE
from vae_tf.signatures import endpoints, row_rng
from vae_tf.signatures.preprocessing import Preprocessing

pytestmark = pytest.mark.slow  # minutes of tracing

SHAPE, LATENT, D = (6, 5, 1), 3, 30
UNIT = Preprocessing(value_range=(0.0, 1.0), scale=1 / 255)
BINARY = Preprocessing(value_range=(0.0, 1.0), scale=1 / 255, binarization="dynamic")


def images(n, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, *SHAPE)).astype("float32")


def seeds(n):
    return np.arange(n, dtype=np.int32)


def made(encoder, decoder, posterior, likelihood, prior=None, preprocessing=UNIT, num_samples=16):
    parts = {"encoder": encoder, "decoder": decoder, "prior": prior}
    parts |= {"posterior": posterior, "likelihood": likelihood}
    return endpoints.vae_endpoints(halves_of(SHAPE, LATENT, preprocessing, **parts), num_samples)


def test_with_the_exact_posterior_every_number_is_exact(serve, linear):
    model, posterior = linear, posteriors.FullNormal()
    likelihood = distributions.Gaussian(model.sigma)
    run = serve(
        made(model.exact(), model.decoder(), posterior, likelihood, None, Preprocessing())[0]
    )
    x = model.data(5)
    told = run("score", image=x, seed=seeds(5))
    # Every weight is p(x): the number of draws does not matter
    np.testing.assert_allclose(told["nll"], model.nll(x), rtol=1e-5)
    np.testing.assert_allclose(told["elbo"], -(told["reconstruction"] + told["kl"]), rtol=1e-6)
    mean = (x.reshape(-1, D) - model.b) @ model.gain.T
    kl = 0.5 * (
        np.trace(model.covariance)
        + (mean**2).sum(1)
        - LATENT
        - np.linalg.slogdet(model.covariance)[1]
    )
    np.testing.assert_allclose(told["kl"], kl, rtol=1e-4)
    point = (mean @ model.w.T + model.b).reshape(x.shape)
    np.testing.assert_allclose(run("reconstruct", image=x)["image"], point, atol=1e-5)


def test_importance_weights_meet_the_exact_likelihood(serve, linear):
    model = linear
    log_var = np.log(2 * np.diag(model.covariance))  # wider than it should be, and diagonal
    encoder, likelihood = model.encoder(z_log_var=log_var), distributions.Gaussian(model.sigma)
    parts = encoder, model.decoder(), posteriors.DiagonalNormal(), likelihood
    run = serve(made(*parts, preprocessing=Preprocessing(), num_samples=1000)[0])
    x = np.repeat(model.data(2), 200, 0)
    told = run("score", image=x, seed=seeds(400))
    for rows in (slice(200), slice(200, None)):
        nll, want = told["nll"][rows].astype("float64"), model.nll(x[rows])[0]
        spread = nll.std()
        assert 0.005 < spread < 0.2  # other seeds are other draws
        # log of a mean of K weights is off by half their relative variance
        assert nll.mean() - want == pytest.approx(spread**2 / 2, abs=4.5 * spread / np.sqrt(200))
        # log p(x|z) and its mean over q are known as well
        residual = x[rows][0].ravel() - model.b
        mean = model.gain @ residual
        expected = np.sum((residual - model.w @ mean) ** 2) + np.exp(log_var) @ (model.w**2).sum(0)
        constant = D * np.log(2 * np.pi * model.sigma**2) / 2
        reconstruction = told["reconstruction"][rows].astype("float64")
        error = 4.5 * reconstruction.std() / np.sqrt(200)
        assert reconstruction.mean() == pytest.approx(
            expected / (2 * model.sigma**2) + constant, abs=error
        )


def vae(prior, posterior, likelihood):
    outputs = posterior.parameter_shapes(LATENT)
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(20,), outputs=outputs)
    decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(20,))
    return VAE(encoder, decoder, prior=prior, posterior=posterior, likelihood=likelihood)


def of(model, **options):
    parts = model.encoder, model.decoder, model.posterior, model.likelihood, model.prior
    return made(*parts, **options)


def test_means_are_those_of_evaluation(serve):
    prior = distributions.MixtureOfNormals(LATENT, 20)
    model = vae(prior, posteriors.DiagonalNormal(), distributions.Bernoulli())
    model.compile()
    rng = np.random.default_rng(0)
    x = (rng.uniform(size=(100, *SHAPE)) < 0.3).astype("float32")
    run = serve(of(model, num_samples=64)[0])
    told = run("score", image=np.tile(x, (10, 1, 1, 1)), seed=seeds(1000))
    told = {name: value.astype("float64").reshape(10, 100).mean(1) for name, value in told.items()}
    estimate = log_likelihood(model, x, 640)
    error = 4.5 * told["nll"].std() / np.sqrt(10) + 4.5 * estimate.monte_carlo_stderr
    bias = 0.5 * 63 * estimate.monte_carlo_variance.mean() * 640 / 64 / 63
    assert told["nll"].mean() == pytest.approx(estimate.nll, abs=error + bias)
    np.testing.assert_allclose(told["bits_per_dim"], told["nll"] / (D * np.log(2)), rtol=1e-5)
    # `evaluate` takes one draw an example
    evaluated = model.evaluate(np.tile(x, (100, 1, 1, 1)), verbose=0, return_dict=True)
    for ours, theirs in (("reconstruction", "nll"), ("kl", "kl"), ("elbo", "elbo")):
        # a mean over the 64,000 draws of the ten rows, and one over 10,000
        error = 4.5 * told[ours].std() / np.sqrt(10) * np.sqrt(1 + 6.4)
        assert told[ours].mean() == pytest.approx(evaluated[theirs], abs=error), ours


JOINT = posteriors.JointPosterior(
    [posteriors.DiagonalNormal(), posteriors.DiagonalNormal()], [2, 1]
)
CASES = {
    "learned-full": lambda: (distributions.LearnedNormal(LATENT), posteriors.FullNormal()),
    "mixture-diagonal": lambda: (
        distributions.MixtureOfNormals(LATENT, 20),
        posteriors.DiagonalNormal(),
    ),
    "vamp-flow": lambda: (
        distributions.VampPrior(LATENT, SHAPE, 10),
        posteriors.InverseAutoregressive(LATENT, context_dim=4, hidden=(8,)),
    ),
    "realnvp-diagonal": lambda: (
        distributions.RealNVP(LATENT, hidden=(8,)),
        posteriors.DiagonalNormal(),
    ),
    "maf-diagonal": lambda: (
        distributions.MaskedAutoregressive(LATENT, hidden=(8,)),
        posteriors.DiagonalNormal(),
    ),
    "joint-joint": lambda: (
        distributions.Joint(
            [distributions.MixtureOfNormals(2, 5), distributions.VampPrior(1, SHAPE, 4)]
        ),
        JOINT,
    ),
}


def agree(serve, made, step):
    run = serve(made)
    for endpoint in made:
        batches = parity.probes(endpoint)[::step]
        want = parity.reference(endpoint, batches)
        for runtime in ("cpp", "python"):
            have = run(endpoint.name, *batches, runtime=runtime)
            parity.compare(runtime, endpoint.name, want, have)
    return run


@pytest.mark.parametrize(
    "case",
    [
        case if case in ("vamp-flow", "joint-joint") else pytest.param(case, marks=pytest.mark.long)
        for case in CASES
    ],
)
def test_every_prior_and_posterior_scores_alike_everywhere(serve, case):
    prior, posterior = CASES[case]()
    model = vae(prior, posterior, distributions.Bernoulli())
    rng = np.random.default_rng(5)
    for weight in (*prior.trainable_weights, *posterior.trainable_weights):
        if "pseudo" not in weight.name:
            weight.assign(weight + rng.normal(scale=0.3, size=weight.shape))
    parts, remarks = of(model)
    assert [e.name for e in parts][:2] == ["reconstruct", "score"]
    assert "score" not in remarks
    agree(serve, parts[:2], 8)


LIKELIHOODS = {
    "gaussian": lambda: distributions.Gaussian(0.1),
    "learned": distributions.GaussianLearnedScale,
    "pixel": distributions.GaussianPixelScale,
    "continuous": distributions.ContinuousBernoulli,
    "logistic": distributions.DiscretizedLogistic,
    "mixture": distributions.DiscretizedLogisticMixture,
    "classes": lambda: distributions.Categorical(2),
    "counts": distributions.Poisson,
    "dispersed": distributions.NegativeBinomial,
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_scores_alike_everywhere(serve, name):
    likelihood = LIKELIHOODS[name]()
    model = vae(distributions.StandardNormal(LATENT), posteriors.DiagonalNormal(), likelihood)
    parts, remarks = of(model, num_samples=8)
    run = agree(serve, parts[:2], 8)
    x = np.rint(images(20))
    told = run("score", image=x, seed=seeds(20))
    assert ("bits_per_dim" in told) == likelihood.discrete
    assert ("score" in remarks) != likelihood.discrete
    # The exact value for these draws, by TFP's own sums
    z = tf.stack([row_rng.normals(row_rng.seeds(tf.range(20), 8)[:, k], LATENT) for k in range(8)])
    qz = model.encode(x)
    z = qz.mean() + qz.stddev() * z
    log_px = [model.decode(draw).log_prob(x) for draw in z]
    log_w = tf.stack(log_px) + model.prior.distribution().log_prob(z) - qz.log_prob(z)
    nll = np.log(8) - tf.reduce_logsumexp(log_w, 0)
    np.testing.assert_allclose(told["nll"], nll, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(told["reconstruction"], -np.mean(log_px, 0), rtol=1e-4, atol=1e-4)
    if name in ("classes", "counts"):
        x[3, 0, 0, 0] = 0.5  # no count, no class
        told = run("score", image=x, seed=seeds(20))
        assert np.isnan(told["elbo"]).tolist() == [i == 3 for i in range(20)]


@pytest.fixture(scope="module")
def binary(serve):
    """A model of binary images, whose runs take grey ones."""
    model = vae(
        distributions.StandardNormal(LATENT),
        posteriors.DiagonalNormal(),
        distributions.Bernoulli(),
    )
    return model, serve(of(model, preprocessing=BINARY)[0])


def test_grey_images_of_a_binary_model_are_drawn_by_their_seed(binary):
    _, run = binary
    x = images(50)
    uniform = row_rng.uniforms(tf.range(50), D).numpy().reshape(x.shape)
    drawn = (uniform < x).astype("float32")
    grey = run("score", image=x, seed=seeds(50))
    black_and_white = run("score", image=drawn, seed=seeds(50))
    for name, value in grey.items():
        np.testing.assert_array_equal(value, black_and_white[name])
    assert abs(drawn.mean() - x.mean()) < 4.5 * 0.5 / np.sqrt(drawn.size)


def test_a_row_depends_on_itself_alone(binary):
    _, run = binary
    x, all_seeds = images(9), np.array([5, -1, 2**31 - 1, -(2**31), 0, 1, 2, 3, 5], np.int32)
    whole = run("score", image=x, seed=all_seeds)
    for rows in ([0], [8, 3], [5, 6, 7]):
        some = run("score", image=x[rows], seed=all_seeds[rows])
        for name, value in some.items():
            np.testing.assert_allclose(value, whole[name][rows], rtol=1e-5)
    again = run("score", image=x, seed=all_seeds)
    for name, value in whole.items():
        np.testing.assert_array_equal(again[name], value)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.1, -0.1])
def test_a_bad_image_spoils_its_row_alone(binary, value):
    _, run = binary
    x = images(4)
    x[2, 5, 4, 0] = value
    for inputs in ({"image": x}, {"image": x, "seed": seeds(4)}):
        told = run("score" if "seed" in inputs else "reconstruct", **inputs)
        for output in told.values():
            rows = np.isnan(output.reshape(4, -1))
            assert rows.all(1).tolist() == rows.any(1).tolist() == [False, False, True, False]


def test_empty_batch(binary):
    _, run = binary
    told = run("score", image=images(0), seed=seeds(0))
    assert {value.shape for value in told.values()} == {(0,)}
    assert run("reconstruct", image=images(0))["image"].shape == (0, *SHAPE)


def test_no_density_no_score():
    class Unknown(distributions.Prior):
        def from_noise(self, normal, uniform):
            return normal

    model = vae(None, posteriors.DiagonalNormal(), distributions.Bernoulli())
    parts = model.encoder, model.decoder, model.posterior, model.likelihood
    got, remarks = made(*parts, prior=Unknown(LATENT))
    assert [e.name for e in got] == ["reconstruct"]
    assert "no density" in remarks["score"]
    assert "\n" not in remarks["score"]


def test_weights_and_the_priors_numbers_are_there_once(serve):
    prior = distributions.MixtureOfNormals(LATENT, 3000)
    model = vae(prior, posteriors.DiagonalNormal(), distributions.Bernoulli())
    run = serve(of(model)[0])
    weights = sum(w.numpy().nbytes for w in (*model.encoder.weights, *model.decoder.weights))
    stored = run.directory / "variables" / "variables.data-00000-of-00001"
    assert weights <= stored.stat().st_size <= weights + 6000
    # means and scales, in the forms that the density takes them in
    own = sum(w.numpy().nbytes for w in prior.weights)
    assert (run.directory / "saved_model.pb").stat().st_size < 2 * own + 700_000
    assert prior.means.numpy().nbytes > 30_000
