"""`impute`: against the exact conditional mean, and on digits."""

import numpy as np
import pytest

from tests.bundles import halves as halves_of
from vae_tf import data, distributions, networks
from vae_tf.distributions import posteriors
from vae_tf.formats import parity
from vae_tf.models import VAE
from vae_tf.signatures import endpoints, imputation, row_rng
from vae_tf.signatures.halves import Halves
from vae_tf.signatures.preprocessing import Preprocessing

pytestmark = pytest.mark.slow  # minutes of tracing

SHAPE, LATENT, D = (6, 5, 1), 3, 30
UNIT = Preprocessing(value_range=(0.0, 1.0), scale=1 / 255)


def made(encoder, decoder, posterior, likelihood, prior=None, **options):
    parts = {"encoder": encoder, "decoder": decoder, "prior": prior}
    parts |= {"posterior": posterior, "likelihood": likelihood}
    model = halves_of(SHAPE, LATENT, options.pop("preprocessing", UNIT), **parts)
    return endpoints.vae_endpoints(model, **options)


def networks_for(posterior, likelihood):
    outputs = posterior.parameter_shapes(LATENT)
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(20,), outputs=outputs)
    decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(20,))
    return encoder, decoder, posterior, likelihood


def request(n, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.uniform(size=(n, *SHAPE)).astype("float32"),
        "mask": rng.integers(0, 2, size=(n, *SHAPE)).astype("float32"),
        "seed": np.arange(n, dtype=np.int32),
    }


@pytest.mark.parametrize(
    ("exact", "known"),
    [
        (True, 0.7),
        (False, 0.3),
        *(pytest.param(*c, marks=pytest.mark.long) for c in [(True, 0.3), (True, 0.0)]),
        *(pytest.param(*c, marks=pytest.mark.long) for c in [(False, 0.7), (False, 0.0)]),
    ],
)
def test_means_are_those_of_the_exact_conditional(linear, known, exact):
    if exact:
        encoder, posterior = linear.exact(), posteriors.FullNormal()
    else:
        log_var = np.log(2 * np.diag(linear.covariance))
        encoder, posterior = linear.encoder(z_log_var=log_var), posteriors.DiagonalNormal()
    (_, _, impute, *_), remarks = made(
        *(encoder, linear.decoder(), posterior, distributions.Gaussian(linear.sigma)),
        preprocessing=Preprocessing(),
        num_samples=800,
    )
    assert "impute" not in remarks
    draws, x = 100, linear.data(3)
    mask = (np.random.default_rng(1).uniform(size=x.shape) < known).astype("float32")
    many = {"image": np.repeat(x, draws, 0), "mask": np.repeat(mask, draws, 0)}
    many["seed"] = np.arange(3 * draws, dtype=np.int32)
    (have,) = parity.reference(impute, [many])
    have = have["image"].astype(float).reshape(3, draws, -1)
    want, missing = linear.imputed(x, mask).reshape(3, -1), mask.reshape(3, -1) == 0
    error, spread = have.mean(1) - want, have.std(1)
    # A ratio of two means of K draws is biased by what falls with 1 / K, as its variance does
    allowed = 4.5 * spread / np.sqrt(draws) + 0.25 * spread
    assert (np.abs(error) < allowed)[missing].all()
    alone = np.sqrt(((have - want[:, None]) ** 2).mean((1,))[missing].mean())
    usual = np.sqrt(np.diag(linear.w @ linear.w.T).mean())
    if exact:  # the model itself says the same
        likelihood = distributions.Gaussian(linear.sigma)
        vae = VAE(encoder, linear.decoder(), posterior=posterior, likelihood=likelihood)
        copies = 20  # whose chains are independent, so that they tell the error of their mean
        many = (np.repeat(x, copies, 0), np.repeat(mask, copies, 0))
        own = vae.impute(*many, 200, num_imputations=10, method="gibbs").x
        own = own.reshape(3, copies, -1)
        error, of_mean = own.mean(1) - want, own.std(1, ddof=1) / np.sqrt(copies)
        assert (np.abs(error) < 6 * of_mean)[missing].all()  # 1e-5 of Student's t with 19 degrees
        assert (of_mean < 0.25 * usual)[missing].all()  # or the line above would say little
    assert alone < 0.12 * usual


LIKELIHOODS = {
    "bernoulli": distributions.Bernoulli,
    "pixel": distributions.GaussianPixelScale,
    "continuous": distributions.ContinuousBernoulli,
    "logistic": distributions.DiscretizedLogistic,
    "logistics": distributions.DiscretizedLogisticMixture,
    "counts": distributions.Poisson,
}


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("bernoulli", "continuous") else pytest.param(name, marks=pytest.mark.long)
        for name in LIKELIHOODS
    ],
)
def test_every_likelihood_imputes_alike_everywhere(serve, name):
    parts = networks_for(posteriors.DiagonalNormal(), LIKELIHOODS[name]())
    prior = distributions.MixtureOfNormals(LATENT, 10)
    (_, _, impute, *_), remarks = made(*parts, prior=prior)
    assert "impute" not in remarks
    batches = parity.probes(impute)[::3]
    want, run = parity.reference(impute, batches), serve([impute])
    parity.compare("cpp", "impute", want, run("impute", *batches))
    parity.compare("python", "impute", want, run("impute", *batches, runtime="python"))


@pytest.mark.parametrize("case", ["flow", "no noise"])
def test_other_posteriors_and_priors(serve, case):
    posterior, prior = posteriors.DiagonalNormal(), distributions.VampPrior(LATENT, SHAPE, 5)
    if case == "flow":
        posterior = posteriors.InverseAutoregressive(LATENT, context_dim=4, hidden=(8,))
    else:
        posterior = posteriors.FullNormal()  # whose mixture is no from_noise
    parts = networks_for(posterior, distributions.Bernoulli())
    VAE(*parts[:2], prior=prior, posterior=posterior)
    (_, _, impute, *_), _ = made(*parts, prior=prior)
    batches = parity.probes(impute)[::6]
    want = parity.reference(impute, batches)
    parity.compare("cpp", "impute", want, serve([impute])("impute", *batches))


@pytest.fixture(scope="module")
def run(serve):
    """A function that runs `impute` of a small model in the C++ loader."""
    parts = networks_for(posteriors.DiagonalNormal(), distributions.Bernoulli())
    served = serve([e for e in made(*parts)[0] if e.name == "impute"])
    return lambda **inputs: served("impute", **inputs)["image"]


def test_what_is_known_stays_and_what_is_not_does_not_matter(run):
    inputs = request(6)
    known = inputs["mask"] == 1
    image = run(**inputs)
    np.testing.assert_array_equal(image[known], inputs["image"][known])
    rng = np.random.default_rng(9)
    for garbage in (np.nan, np.inf, -5.0, 255.0, rng.normal(size=known.shape)):
        spoilt = np.where(known, inputs["image"], garbage).astype("float32")
        np.testing.assert_array_equal(run(**inputs | {"image": spoilt}), image)
    assert (image[~known] > 0).all()
    assert (image[~known] < 1).all()
    whole = inputs | {"mask": np.ones_like(inputs["mask"])}
    np.testing.assert_array_equal(run(**whole), inputs["image"])


@pytest.mark.parametrize(
    ("key", "value"),
    [("mask", 0.5), ("mask", np.nan), ("mask", 255.0), ("image", np.nan), ("image", 1.5)],
)
def test_a_bad_number_spoils_its_row_alone(run, key, value):
    inputs = request(4)
    inputs["mask"][2, 0, 0, 0] = 1
    clean = run(**inputs)
    inputs[key][2, 0, 0, 0] = value
    have = run(**inputs)
    assert np.isnan(have[2]).all()
    np.testing.assert_array_equal(np.delete(have, 2, 0), np.delete(clean, 2, 0))


def test_a_row_depends_on_itself_alone(run):
    inputs = request(7)
    whole = run(**inputs)
    for rows in ([0], [6, 2], [3, 4, 5]):
        some = run(**{name: value[rows] for name, value in inputs.items()})
        np.testing.assert_allclose(some, whole[rows], atol=1e-5)
    np.testing.assert_array_equal(run(**inputs), whole)
    assert run(**{name: value[:0] for name, value in inputs.items()}).shape == (0, *SHAPE)
    other = run(**inputs | {"seed": inputs["seed"] + 1})
    assert np.abs(other - whole).max() > 1e-4


def test_digits_are_completed_better_than_by_the_mean():
    digits = data.load("digits")
    x, held_out = digits.train.array(), digits.test.array(100)
    likelihood = distributions.Bernoulli()
    encoder = networks.mlp_encoder(digits.shape, 8, hidden=(128,))
    decoder = networks.mlp_decoder(8, likelihood.parameter_shapes(digits.shape), hidden=(128,))
    vae = VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(optimizer="adam")
    vae.fit(x, batch_size=100, epochs=80, verbose=0)
    (_, _, impute, *_), _ = endpoints.vae_endpoints(Halves(vae.parts, digits.shape, UNIT))
    half, scattered = np.ones_like(held_out), np.random.default_rng(0).uniform(size=held_out.shape)
    half[:, :, 4:] = 0
    of_mean = (x.mean(0) - held_out) ** 2
    for mask, share in ((half, 0.85), ((scattered < 0.5).astype("float32"), 0.6)):
        inputs = {"image": held_out, "mask": mask, "seed": np.arange(100, dtype=np.int32)}
        (have,) = parity.reference(impute, [inputs])
        missing = mask == 0
        error = (have["image"] - held_out) ** 2
        assert error[missing].mean() < share * of_mean[missing].mean()


def test_why_there_is_none():
    def reason(likelihood, shape=SHAPE):
        return imputation.lacking(halves_of(shape, LATENT, UNIT, likelihood=likelihood))

    assert reason(distributions.Categorical(3)) == imputation.CLASSES
    colours = distributions.DiscretizedLogisticMixture()
    assert reason(colours, (6, 5, 3)) == imputation.NO_ELEMENTS
    assert reason(colours) is None
    table = [(distributions.GaussianLearnedScale(), 2), (distributions.Bernoulli(), 1)]
    assert reason(distributions.Mixed(table), (3,)) is None


def test_derived_seeds_are_apart():
    seeds = row_rng.seeds(np.arange(300, dtype=np.int32), 100).numpy()
    assert len(np.unique(seeds)) == seeds.size
