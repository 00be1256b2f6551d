"""`surprisal`: against a closed form, against the model's own, and draw by draw."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import special, stats

from tests.bundles import halves as halves_of
from vae_tf import distributions, networks
from vae_tf.data import Table
from vae_tf.data.batch import Batch
from vae_tf.distributions import posteriors
from vae_tf.formats import parity
from vae_tf.models import VAE
from vae_tf.signatures import endpoints, row_rng, surprisal
from vae_tf.signatures.preprocessing import Preprocessing

SHAPE, LATENT, D, DRAWS = (6, 5, 1), 3, 30, 16


def made(model, num_samples=DRAWS, table=None):
    """Returns the endpoints `surprisal` and `surprisal_columns`, as far as there are."""
    known, _ = endpoints.of_prior(model)
    found = [surprisal.surprisal_endpoint(model, known, num_samples)]
    if table is not None:
        every, _ = endpoints.vae_endpoints(model, num_samples, table=table)
        found.append(every[-1])
    return found


def told(endpoint, **inputs):
    (answer,) = parity.reference(endpoint, [inputs])
    return answer


def test_the_mean_over_seeds_is_the_closed_form(linear):
    """With the exact posterior all weights are equal, and p(x_i|x) is a normal density."""
    model = halves_of(
        *(SHAPE, LATENT),
        encoder=linear.exact(),
        decoder=linear.decoder(),
        posterior=posteriors.FullNormal(),
        likelihood=distributions.Gaussian(linear.sigma),
    )
    (endpoint,) = made(model)
    x, seeds = linear.data(2), 400
    many = told(endpoint, image=np.repeat(x, seeds, 0), seed=np.arange(2 * seeds, dtype=np.int32))
    density = np.exp(-many["surprisal"].astype(float)).reshape(2, seeds, D)
    mean = (x.reshape(2, D) - linear.b) @ linear.gain.T @ linear.w.T + linear.b
    variance = linear.sigma**2 + np.einsum("il,lm,im->i", linear.w, linear.covariance, linear.w)
    want = stats.norm.pdf(x.reshape(2, D), mean, np.sqrt(variance))
    error = np.abs(density.mean(1) - want)
    assert (error <= 4.5 * density.std(1) / np.sqrt(seeds)).all()


CLASSES = 3
LABELS = np.arange(4, dtype=np.int32) % CLASSES
CASES = {
    "bernoulli": lambda: distributions.Bernoulli(),
    "gaussian": lambda: distributions.GaussianPixelScale(),
    "colours": lambda: distributions.DiscretizedLogisticMixture(2),
    "masked": lambda: distributions.Bernoulli(),
    "conditional": lambda: distributions.Bernoulli(),
}


def case(name):
    """Returns a model, and one request to it."""
    likelihood = CASES[name]()
    shape = (3, 2, 3) if name == "colours" else SHAPE
    options = {"condition": CLASSES} if name == "conditional" else {}
    masked = {"mask": True} if name == "masked" else {}
    model = halves_of(
        *(shape, LATENT, Preprocessing((0.0, 1.0), 1 / 255)),
        prior=distributions.MixtureOfNormals(LATENT, 3),
        encoder=networks.mlp_encoder(shape, LATENT, (8,), **options, **masked),
        decoder=networks.mlp_decoder(LATENT, likelihood.parameter_shapes(shape), (8,), **options),
        likelihood=likelihood,
    )
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (4, *shape)).astype("float32")
    inputs = {"image": x, "seed": np.array([7, -3, 0, 2**31 - 1], np.int32)}
    if masked:
        inputs["mask"] = rng.integers(0, 2, x.shape).astype("float32")
        inputs["image"] = np.where(inputs["mask"] > 0, x, np.nan).astype("float32")
    return model, inputs | ({"condition": LABELS} if options else {})


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "masked" else pytest.mark.slow) for n in CASES]
)
def test_it_is_the_sum_over_its_draws(name):
    """The same draws, weighed by the model's own `log_weights`, and averaged by NumPy."""
    model, inputs = case(name)
    (endpoint,) = made(model)
    have = told(endpoint, **inputs)["surprisal"]
    mask = inputs.get("mask", np.ones_like(inputs["image"]))
    batch = Batch(np.nan_to_num(inputs["image"]), mask, inputs.get("condition")).tensors()
    seeds = row_rng.seeds(tf.constant(inputs["seed"]), DRAWS).numpy()
    params = model.parts.encoded(batch)
    z = tf.stack([model.draw(params, tf.constant(seeds[:, k])) for k in range(DRAWS)])
    log_w = model.parts.log_weights(z, batch).numpy().astype(float)
    each = [model.parts.decoded(z[k], batch) for k in range(DRAWS)]
    likelihood = model.parts.likelihood
    each = np.stack([likelihood.observed_elements(e, batch.x, batch.mask)[0] for e in each])
    log_w = log_w.reshape(DRAWS, -1, *[1] * (each.ndim - 2))
    want = special.logsumexp(log_w, 0) - special.logsumexp(log_w + each, 0)
    assert have.shape == each.shape[1:]
    seen = mask.all(-1, keepdims=True) if name == "colours" else mask > 0
    np.testing.assert_allclose(have, np.where(seen, want, 0), rtol=1e-4, atol=2e-4)
    # Alone as in a batch, whatever is masked out
    alone = told(endpoint, **{key: value[1:2] for key, value in inputs.items()})["surprisal"]
    np.testing.assert_allclose(alone, have[1:2], rtol=1e-5, atol=1e-5)


def test_it_agrees_with_the_model_s_own():
    """-log of a mean of K terms is off by half its variance; of both, within standard errors."""
    likelihood = distributions.Bernoulli()
    shapes = likelihood.parameter_shapes(SHAPE)
    vae = VAE(networks.mlp_encoder(SHAPE, LATENT, (8,)), networks.mlp_decoder(LATENT, shapes, (8,)))
    x = np.random.default_rng(1).integers(0, 2, (3, *SHAPE)).astype("float32")
    names = ("encoder", "decoder", "prior", "posterior", "likelihood")
    (endpoint,) = made(halves_of(SHAPE, LATENT, **{n: getattr(vae, n) for n in names}), 64)
    seeds = 100
    many = told(endpoint, image=np.repeat(x, seeds, 0), seed=np.arange(3 * seeds, dtype=np.int32))
    many = many["surprisal"].astype(float).reshape(3, seeds, D)
    own = vae.surprisal(x, num_samples=6400).reshape(3, D)
    spread = many.std(1)
    error = 4.5 * np.sqrt(2) * spread / np.sqrt(seeds) + spread**2
    assert (np.abs(many.mean(1) - own) <= error).all()
    assert (spread < 0.2).all()


def test_a_density_of_whole_rows_has_none():
    class Whole(distributions.Bernoulli):
        def elements(self, params, x):
            return None

    found, remarks = endpoints.vae_endpoints(halves_of(SHAPE, LATENT, likelihood=Whole()), 8)
    assert "surprisal" not in {endpoint.name for endpoint in found}
    assert remarks["surprisal"] == surprisal.NO_ELEMENTS


def test_columns_tell_the_same():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(10, 2, 40),
            "price": np.exp(rng.normal(size=40)),
            "rooms": rng.integers(0, 5, 40),
            "colour": rng.choice(["red", "green", "blue"], 40),
        }
    )
    table = Table.from_frame(frame)
    likelihood = table.likelihood()
    model = halves_of(
        *(table.shape, LATENT),
        encoder=networks.mlp_encoder(table.shape, LATENT, (8,), mask=True),
        decoder=networks.mlp_decoder(LATENT, likelihood.parameter_shapes(table.shape), (8,)),
        likelihood=likelihood,
    )
    of_numbers, of_columns = made(model, table=table)
    assert of_columns.name == "surprisal_columns"
    rows = frame.head(5).copy()
    rows.loc[1, "size"], rows.loc[2, "colour"] = np.nan, None
    x, mask, *_ = table.encode(rows)
    seed = np.arange(5, dtype=np.int32)
    want = told(of_numbers, image=x, mask=mask, seed=seed)["surprisal"]
    words = rows["colour"].fillna("").map(str.encode).to_numpy(object)
    sent = {n: rows[n].to_numpy("float64") for n in ("size", "price", "rooms")}
    have = told(of_columns, **sent, colour=words, seed=seed)
    names = [column.name for column in table.modelled]
    np.testing.assert_allclose(np.stack([have[n] for n in names], 1), want, rtol=1e-5, atol=1e-5)
    assert have["size"][1] == have["colour"][2] == 0
    assert min(abs(have["size"][0]), abs(have["colour"][0])) > 0
