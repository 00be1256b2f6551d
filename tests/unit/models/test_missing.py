"""Data with gaps: NaN where somebody opted in, masks everywhere, encoders that see them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import vae_tf
from vae_tf import likelihoods, networks
from vae_tf.distributions.priors import VampPrior
from vae_tf.errors import ConfigError, DataError
from vae_tf.objectives import IWAE

D, L, N = 5, 2, 48
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)).astype("float32")
MASK = RNG.random((N, D)) < 0.7
GAPS = np.where(MASK, X, np.nan).astype("float32")


def made(mask=True, missing="nan", **kwargs):
    likelihood = likelihoods.GaussianLearnedScale()
    encoder = networks.mlp_encoder((D,), L, (8,), mask=mask)
    decoder = networks.mlp_decoder(L, likelihood.parameter_shapes((D,)), (8,))
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood, missing=missing, **kwargs)
    vae.compile(keras.optimizers.SGD(1e-3))
    return vae


@pytest.fixture(scope="module")
def vae():
    return made()


def stream(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(16)


@pytest.mark.slow_but(2)
@pytest.mark.parametrize("ask", ["evaluate", "encode", "reconstruct", "log_likelihood"])
def test_nan_is_a_mask_where_the_model_says_so(vae, ask):
    def answer(data):
        if ask == "encode":
            return vae.encode(data).mean()
        if ask == "log_likelihood":
            return vae_tf.log_likelihood(vae, data, 10).per_example
        if ask == "evaluate":
            return vae.evaluate(data, verbose=0)[1]  # nll
        return vae.reconstruct(data)

    want = answer({"x": X, "mask": MASK})
    half = np.where(np.arange(D) < 3, GAPS, X), np.where(np.arange(D) < 3, True, MASK)
    forms = [
        GAPS,
        GAPS.astype("float64"),
        tf.constant(GAPS),
        stream(GAPS),
        stream(GAPS).map(vae_tf.data.with_mask),
        {"x": half[0], "mask": half[1].astype("float32")},  # some by NaN, some by the mask
    ]
    for data in forms:
        np.testing.assert_allclose(answer(data), want, rtol=2e-4, atol=1e-5)


def test_an_example_of_one_mask_is_another_without(vae):
    complete, with_gaps = vae.encode(X).mean(), vae.encode(GAPS).mean()
    zeros = np.where(MASK, X, 0).astype("float32")
    assert np.abs(complete - with_gaps).max() > 0.1
    assert np.abs(vae.encode(zeros).mean() - with_gaps).max() > 0.01  # a 0 is no gap
    ones = {"x": X, "mask": np.ones_like(X)}
    np.testing.assert_array_equal(vae.encode(ones).mean(), complete)


@pytest.mark.slow
def test_training_is_that_of_a_mask():
    weights = []
    for missing, data in (("nan", GAPS), (None, {"x": X, "mask": MASK}), ("nan", stream(GAPS))):
        keras.utils.set_random_seed(0)
        vae = made(missing=missing)
        vae.fit(data, batch_size=16, epochs=2, shuffle=False, verbose=0)
        weights.append(vae.get_weights()[:8])
    for others in weights[1:]:
        for a, b in zip(weights[0], others, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, 0.0, 1e30, -np.inf])
def test_what_is_missing_has_no_gradient(vae, value):
    def step(x):
        batch = vae.door.parse({"x": x, "mask": MASK}).tensors()
        with tf.GradientTape() as tape:
            terms = vae(batch, seed=tf.constant([0, 0]))
            loss = tf.reduce_mean(terms.nll + terms.kl_term)
        return loss, tape.gradient(loss, vae.trainable_weights)

    want, found = step(X), step(np.where(MASK, X, value).astype("float32"))
    assert float(found[0]) == float(want[0])
    for a, b in zip(found[1], want[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_nan_is_refused_where_nobody_said_so():
    vae = made(missing=None)
    asked = [
        lambda: vae.fit(GAPS, verbose=0),
        lambda: vae.evaluate(GAPS, verbose=0),
        lambda: vae.encode(GAPS),
        lambda: vae_tf.log_likelihood(vae, GAPS, 2),
        lambda: vae.fit(stream(GAPS), shuffle=False, verbose=0),
    ]
    for ask in asked:
        with pytest.raises(DataError, match=r'VAE\(\.\.\., missing="nan"\)'):
            ask()
    infinite = np.where(MASK, X, np.inf)
    with pytest.raises(DataError, match=r"finite numbers\. .* Remove or impute them"):
        vae.fit(infinite, verbose=0)
    with pytest.raises(DataError, match="finite numbers"):
        made().fit(infinite, verbose=0)
    with pytest.raises(ConfigError, match="`missing` must be None or nan"):
        made(missing=-1)


MASKS = {
    "shape": (MASK[:, :3], "must broadcast to x"),
    "shape of one example": (MASK[0], "must have one length|must broadcast to x"),
    "axes": (MASK[..., None, None], "must broadcast to x"),
    "255": (MASK * 255, "must hold 0 and 1 alone. Received: 255"),
    "shares": (MASK * 0.5, "must hold 0 and 1 alone. Received: 0.5"),
    "NaN": (np.where(MASK, 1, np.nan), "must hold 0 and 1 alone. Received: nan"),
}


@pytest.mark.parametrize("case", MASKS)
def test_masks_that_are_none(vae, case):
    mask, message = MASKS[case]
    for ask in (vae.reconstruct, vae.encode, lambda d: vae.fit(d, verbose=0)):
        with pytest.raises(DataError, match=message):
            ask({"x": X, "mask": mask})


@pytest.mark.parametrize("case", ["shape", "255", "NaN"])
def test_masks_that_are_none_in_a_stream(vae, case):
    mask, message = MASKS[case]
    with pytest.raises(DataError, match=message.split(". ")[0]):
        vae.evaluate(stream({"x": X, "mask": mask}), verbose=0)


def test_a_column_without_any_number_is_told():
    gaps = GAPS.copy()
    gaps[:, 3] = np.nan
    vae = made()
    with pytest.warns(UserWarning, match=r"1 of 5 columns were never observed .* \(3\)"):
        vae.fit(gaps, verbose=0)
    assert np.isfinite(vae.impute(gaps, num_samples=2, method="gibbs").x).all()


def test_rows_without_any_number_count_nothing(vae):
    nothing = np.full((3, D), np.nan, "float32")
    assert vae.evaluate(nothing, verbose=0)[1] == 0  # nll
    both = np.concatenate([GAPS[:3], nothing])
    separate = vae_tf.log_likelihood(vae, GAPS[:3], 50).per_example
    together = vae_tf.log_likelihood(vae, both, 50).per_example
    np.testing.assert_allclose(together[:3], separate, rtol=1e-5)


def test_it_is_saved_and_replaced(tmp_path):
    vae = made()
    vae.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.reconstruct(GAPS), vae.reconstruct(GAPS), atol=1e-6)
    assert vae.replace(beta=0.5).missing == "nan"
    with pytest.raises(ConfigError, match="cannot be assigned"):
        vae.missing = None


def test_a_prior_made_of_an_encoder_that_sees_the_mask():
    """Its pseudo-inputs are complete."""
    vae = made(prior=VampPrior(L, (D,), 3))
    assert np.isfinite(vae.evaluate(GAPS, verbose=0)).all()


def test_check_knows_gaps(vae):
    report = vae.check(GAPS, print_fn=None)
    assert report.ok
    assert "nan" not in report["data"].seen


BUILDERS = {
    "mlp": lambda: networks.mlp_encoder((8, 9, 2), L, (8,), mask=True),
    "conv": lambda: networks.conv_encoder((8, 9, 2), L, (4, 4), 8, mask=True),
    "free": lambda: networks.conv_encoder((None, None, 2), L, (4, 4), 8, mask=True),
    "resnet": lambda: networks.resnet_encoder((8, 9, 2), L, (4, 4), hidden=8, mask=True),
    "condition": lambda: networks.conv_encoder((8, 9, 2), L, (4,), 8, mask=True, condition=3),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_builders_show_the_mask(name):
    encoder = BUILDERS[name]()
    rng = np.random.default_rng(0)
    x, mask = rng.random((4, 8, 9, 2)), (rng.random((4, 8, 9, 2)) < 0.5).astype("float32")
    given = {"x": x, "mask": mask}
    if name == "condition":
        given["condition"] = np.eye(3)[[0, 1, 2, 0]]
    assert set(encoder.input) == set(given)
    outputs = encoder(given)["z_mean"]
    for pixel in ((0, 0, 0, 0), (0, 7, 8, 1)):
        flipped = mask.copy()
        flipped[pixel] = 1 - flipped[pixel]
        moved = np.abs(encoder({**given, "mask": flipped})["z_mean"] - outputs).max(1)
        assert moved[0] > 0
        assert (moved[1:] == 0).all()


def test_the_bound_of_iwae_is_log_p_of_what_was_observed():
    """MIWAE (Mattei and Frellsen 2019): one latent, whose posterior the encoder knows exactly.

    Then all weights of an example are alike, and the bound is log p(x_observed) with any K.
    """
    w, b, sigma = RNG.normal(size=D), RNG.normal(size=D), 0.7
    x, mask = keras.Input((D,), name="x"), keras.Input((D,), name="mask")
    z = keras.Input((1,), name="z")
    inner = keras.layers.Dense(1, use_bias=False)
    total = inner(keras.layers.Multiply()([mask, keras.layers.Subtract()([x, mask * b])]))
    square = keras.layers.Dense(1, use_bias=False)
    precision = 1 + square(mask)
    heads = {"z_mean": total / precision, "z_log_var": -keras.ops.log(precision)}
    outer = keras.layers.Dense(D)
    decoder = keras.Model(z, {"loc": outer(z)})
    inner.set_weights([w[:, None] / sigma**2])
    square.set_weights([w[:, None] ** 2 / sigma**2])
    outer.set_weights([w[None], b])
    likelihood = likelihoods.Gaussian(sigma)
    encoder = keras.Model([x, mask], heads)
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood, objective=IWAE(3), missing="nan")
    vae.compile()
    covariance = np.outer(w, w) + sigma**2 * np.eye(D)
    exact = [
        stats.multivariate_normal.logpdf(row[keep], b[keep], covariance[np.ix_(keep, keep)])
        if keep.any()
        else 0.0
        for row, keep in zip(X, MASK, strict=True)
    ]
    found = vae.evaluate(GAPS, verbose=0, return_dict=True)
    assert found["bound"] == pytest.approx(np.mean(exact), abs=1e-4)
    estimate = vae_tf.log_likelihood(vae, GAPS, 2).per_example
    np.testing.assert_allclose(estimate, exact, atol=1e-4)


@pytest.mark.parametrize("kind", [likelihoods.GaussianLearnedScale, likelihoods.GaussianPixelScale])
def test_scales_from_data_with_gaps(kind):
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(4000, 3)) * [1, 5, 20], 1)
    mask = rng.random(x.shape) < 0.5
    mask[:, 2] = False
    gaps = np.where(mask, x, np.nan)
    found, want = kind.from_data(gaps, mask=mask), kind.from_data(x[:, :2])
    assert found.min_scale == pytest.approx(want.min_scale, rel=0.1)
    assert found.scale == pytest.approx(want.scale, rel=0.05)
    with pytest.raises(DataError, match="Scales need finite data"):
        kind.from_data(gaps)
