"""Against differences of SciPy's logistic distribution function in float64, and enumeration."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from vae_tf.distributions import DiscretizedLogistic, DiscretizedLogisticMixture
from vae_tf.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def masses(loc, scale, levels, low=0.0, high=1.0):
    """Each level's mass, [..., levels], tails in the ends."""
    step = (high - low) / (levels - 1)
    edges = low + step * (np.arange(levels - 1) + 0.5)
    loc, scale = np.asarray(loc, "float64")[..., None], np.asarray(scale, "float64")[..., None]
    # logsf on the right of the centre: differences of numbers near one lose their digits
    cdf, sf = stats.logistic.cdf(edges, loc, scale), stats.logistic.sf(edges, loc, scale)
    zeros, ones = np.zeros_like(cdf[..., :1]), np.ones_like(cdf[..., :1])
    rising = np.diff(np.concatenate([zeros, cdf, ones], -1))
    falling = -np.diff(np.concatenate([ones, sf, zeros], -1))
    return np.where(np.concatenate([edges, [np.inf]]) <= loc, rising, falling)


def grid(levels, low=0.0, high=1.0):
    return np.linspace(low, high, levels)


@pytest.mark.parametrize(
    ("levels", "low", "high"), [(256, 0.0, 1.0), (256, 0.0, 255.0), (2, 0.0, 1.0), (7, -1.0, 0.5)]
)
def test_masses_are_scipys_and_sum_to_one(levels, low, high):
    n, step = 60, (high - low) / (levels - 1)
    loc = RNG.uniform(low - 0.3 * (high - low), high + 0.3 * (high - low), n).astype("float32")
    log_scale = RNG.uniform(np.log(step / 8), np.log(high - low) + 2, n).astype("float32")
    params = {"loc": loc[:, None], "log_scale": log_scale[:, None]}
    px = DiscretizedLogistic(levels, low, high).distribution(params)
    x = np.broadcast_to(grid(levels, low, high)[:, None, None], (levels, n, 1)).astype("float32")
    log_mass = px.log_prob(x).numpy().T
    scale = np.exp(log_scale.astype("float64"))
    expected = masses(loc, scale, levels, low, high)
    seen = expected > 1e-12  # the oracle's own digits end below
    error = np.abs(log_mass - np.log(np.where(seen, expected, 1)))[seen]
    # a standardized edge of float32 is off by some ulps of loc / scale
    assert np.max(error / (1 + np.abs(np.log(expected[seen])))) < 2e-3
    assert np.median(error) < 1e-6
    np.testing.assert_allclose(np.exp(log_mass.astype("float64")).sum(1), 1, atol=2e-5)
    mean = expected @ grid(levels, low, high)
    np.testing.assert_allclose(px.mean()[:, 0], mean, atol=2e-6 * max(abs(low), abs(high)))


@pytest.mark.parametrize("levels", [2, 3, 20, 256])
@pytest.mark.parametrize("scale", [0.0625, 0.3, 0.99, 1.01, 2.0, 30.0, 1000.0])
def test_mean_is_that_of_the_masses(levels, scale):
    """On both sides of scale = 1 step, where the sum gives way to the integral; in and out."""
    top = levels - 1
    scale = min(scale, 100 * top)  # FAR
    loc = np.linspace(-20, top + 20, 401)
    grid_of_ones = DiscretizedLogistic(levels, 0.0, float(top))
    params = {"loc": loc[:, None], "log_scale": np.full((401, 1), np.log(scale))}
    px = grid_of_ones.distribution({n: v.astype("float32") for n, v in params.items()})
    exact = masses(loc, np.full(401, scale), levels, 0.0, top) @ np.arange(levels)
    rounding = 2e-7 * (top + scale)
    np.testing.assert_allclose(px.mean()[:, 0], exact, atol=3e-6 + 4 * rounding)


def test_far_tails_keep_their_digits():
    """The logarithm of a difference of float64 numbers ends near -36; ours does not."""
    params = {"loc": np.zeros((1, 1), "float32"), "log_scale": np.full((1, 1), -5.0, "float32")}
    x = np.full((1, 1), 200 / 255, "float32")
    a, b = 200.5 / 255 / np.exp(-5.0), 199.5 / 255 / np.exp(-5.0)
    # log(sf(b) - sf(a)) with both as exp(-t) to a part in 1e38
    expected = -b + np.log1p(-np.exp(b - a))
    assert expected < -100
    log_mass = DiscretizedLogistic().distribution(params).log_prob(x)
    np.testing.assert_allclose(log_mass, [expected], rtol=1e-5)


def test_float32_images_are_on_the_grid():
    images = np.arange(256, dtype="uint8").astype("float32")
    likelihood = DiscretizedLogistic()
    for x in (images / 255, images * np.float32(1 / 255), images.astype("float64") / 255):
        likelihood.check_support(x, strict=True)
    DiscretizedLogistic(256, 0, 255).check_support(images)
    for low in (0.1, 0.7, -0.7):  # float32(0.7) < 0.7
        x = np.linspace(low, low + 0.6, 5).astype("float32")
        DiscretizedLogistic(5, low, low + 0.6).check_support(x)
    DiscretizedLogistic(65536).check_support((np.arange(65536) / 65535).astype("float32"))
    message = r"256 levels from 0 to 1. Received: 1 value\(s\) off them, the first 0.3 at"
    with pytest.raises(
        DataError, match=message + r" \(1,\). Round them: np.rint\(x \* 255\) / 255;"
    ):
        likelihood.check_support(np.array([0.2, 0.3]))
    with pytest.raises(DataError, match=r"np.rint\(\(x - -1\) \* 4 / 2\) \* 2 / 4 \+ -1;"):
        DiscretizedLogistic(5, -1).check_support(np.array([0.2]))
    DiscretizedLogistic(5, -1).check_support(np.rint((np.array([0.2]) - -1) * 4 / 2) * 2 / 4 + -1)
    with pytest.raises(DataError, match=r"from 0 to 1. Received: min=0, max=255. Divide"):
        likelihood.check_support(np.array([0, 255], "uint8"))
    with pytest.raises(DataError, match="NaN"):
        likelihood.check_support(np.array([0, np.nan]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": 1}, "`levels` must be a whole number of at least 2"),
        ({"levels": 2.5}, "`levels` must be a whole number"),
        ({"low": 1.0}, "`low` must be below `high`"),
        ({"low": "0"}, "`low` must be below `high`"),
        ({"high": np.nan}, "`low` must be below `high`"),
        ({"levels": 2**24}, "float32 must tell the levels apart"),
    ],
)
def test_grids_that_cannot_be(arguments, message):
    with pytest.raises(ConfigError, match=message):
        DiscretizedLogistic(**arguments)


def test_samples_have_the_masses():
    levels, n = 6, 50_000
    loc, log_scale = np.array([[0.3, 0.9]], "float32"), np.array([[-1.5, -0.5]], "float32")
    px = DiscretizedLogistic(levels).distribution({"loc": loc, "log_scale": log_scale})
    x = px.sample(n, seed=[2, 0]).numpy()[:, 0]
    counts = np.array([[np.sum(np.isclose(x[:, d], v)) for v in grid(levels)] for d in (0, 1)])
    assert counts.sum() == 2 * n
    p = masses(loc[0], np.exp(log_scale[0]), levels)
    assert np.all(np.abs(counts / n - p) < 4.5 * np.sqrt(p * (1 - p) / n))


def test_the_narrowest_keeps_almost_all_on_its_level():
    params = {"loc": np.full((1, 1), 0.4, "float32"), "log_scale": np.full((1, 1), -30, "float32")}
    log_mass = DiscretizedLogistic(6).distribution(params).log_prob(np.full((1, 1), 0.4, "float32"))
    np.testing.assert_allclose(np.exp(log_mass), [np.tanh(4.0)], rtol=1e-6)


# Mixtures


def mixture_params(event, components, levels, batch=1, seed=0):
    rng = np.random.default_rng(seed)
    shapes = DiscretizedLogisticMixture(components, levels).parameter_shapes(event)
    params = {name: rng.normal(size=(batch, *shape)) for name, shape in shapes.items()}
    params["loc"] = 0.5 + 0.4 * params["loc"]
    params["log_scale"] = 0.4 * params["log_scale"] - 2
    return {name: value.astype("float32") for name, value in params.items()}


def test_shapes_are_what_a_convolution_can_give():
    shapes = DiscretizedLogisticMixture(5).parameter_shapes((8, 7, 3))
    each = (8, 7, 15)
    assert shapes == {
        "logits": (8, 7, 5), "loc": each, "log_scale": each, "coefficients": each
    }  # fmt: skip
    shapes = DiscretizedLogisticMixture(5).parameter_shapes((8, 7, 2))
    assert shapes == {"logits": (8, 7, 5), "loc": (8, 7, 10), "log_scale": (8, 7, 10)}
    assert set(DiscretizedLogisticMixture(5).parameter_shapes((9,)).values()) == {(45,)}


def test_rows_have_a_mixture_for_each_element():
    k, levels, d = 3, 9, 4
    params = mixture_params((d,), k, levels)
    px = DiscretizedLogisticMixture(k, levels).distribution(params)
    x = grid(levels)[RNG.integers(0, levels, (20, 1, d))].astype("float32")
    logits, loc, log_scale = (params[n].reshape(d, k) for n in ("logits", "loc", "log_scale"))
    p = np.einsum("dk,dkl->dl", special.softmax(logits, -1), masses(loc, np.exp(log_scale), levels))
    index = np.rint(x[:, 0] * (levels - 1)).astype(int)
    expected = np.log(p[np.arange(d), index]).sum(-1)
    np.testing.assert_allclose(px.log_prob(x)[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(px.mean()[0], p @ grid(levels), rtol=1e-5)


def test_channels_of_a_pixel_share_the_choice_of_component():
    k, levels, shape = 2, 5, (1, 2, 2)
    params = mixture_params(shape, k, levels)
    px = DiscretizedLogisticMixture(k, levels).distribution(params)
    values = grid(levels)
    weights = special.softmax(params["logits"][0, 0], -1)  # [W, K]
    loc, log_scale = (params[n][0, 0].reshape(2, k, 2) for n in ("loc", "log_scale"))
    p = masses(loc, np.exp(log_scale), levels)  # [W, K, C, levels]
    joint = np.einsum("wk,wki,wkj->wij", weights, p[:, :, 0], p[:, :, 1])
    for index in itertools.product(range(levels), repeat=4):
        x = values[np.array(index)].reshape(1, *shape).astype("float32")
        (i, j), (m, n) = index[:2], index[2:]
        np.testing.assert_allclose(
            px.log_prob(x), [np.log(joint[0, i, j] * joint[1, m, n])], rtol=2e-5
        )
        if index[0] > 1:
            break  # 250 of 625 are enough


def colour_table(params, k, levels):
    """The masses of one pixel's (red, green, blue), [levels] * 3, from the definition."""
    values = grid(levels)
    weights = special.softmax(params["logits"].reshape(k).astype("float64"))
    loc, log_scale, raw = (
        params[n].reshape(k, 3).astype("float64") for n in ("loc", "log_scale", "coefficients")
    )
    scale, shift = np.exp(log_scale), np.tanh(raw)
    table = np.zeros([levels] * 3)
    for j in range(k):
        red = masses(loc[j, 0], scale[j, 0], levels)
        for r in range(levels):
            dr = values[r] - 0.5
            green = masses(loc[j, 1] + shift[j, 0] * dr, scale[j, 1], levels)
            for g in range(levels):
                dg = values[g] - 0.5
                at = loc[j, 2] + shift[j, 1] * dr + shift[j, 2] * dg
                table[r, g] += weights[j] * red[r] * green[g] * masses(at, scale[j, 2], levels)
    return table


def test_colours_lean_on_those_before_and_sum_to_one():
    k, levels = 3, 4
    params = mixture_params((1, 1, 3), k, levels)
    px = DiscretizedLogisticMixture(k, levels).distribution(params)
    triples = np.array(list(itertools.product(range(levels), repeat=3)))
    x = grid(levels)[triples].reshape(-1, 1, 1, 1, 3).astype("float32")
    log_mass = px.log_prob(x).numpy()[:, 0]
    np.testing.assert_allclose(np.exp(log_mass).sum(), 1, rtol=1e-5)
    table = colour_table(params, k, levels)
    np.testing.assert_allclose(log_mass, np.log(table[tuple(triples.T)]), rtol=1e-4, atol=1e-5)


def test_colour_samples_have_the_masses():
    k, levels, n = 2, 3, 50_000
    params = mixture_params((1, 1, 3), k, levels, seed=4)
    x = DiscretizedLogisticMixture(k, levels).distribution(params).sample(n, seed=[6, 0])
    index = np.rint(x.numpy().reshape(n, 3) * (levels - 1)).astype(int)
    counts = np.zeros([levels] * 3)
    np.add.at(counts, tuple(index.T), 1)
    p = colour_table(params, k, levels)
    assert np.all(np.abs(counts / n - p) < 4.5 * np.sqrt(p * (1 - p) / n) + 1e-9)


def test_the_mean_of_colours_is_exact_away_from_the_ends():
    k, levels = 2, 16
    params = mixture_params((1, 1, 3), k, levels, seed=1)
    params["loc"] = 0.5 + 0.2 * (params["loc"] - 0.5)
    params["log_scale"] = params["log_scale"] * 0 - 3.5
    table = colour_table(params, k, levels)
    exact = [np.tensordot(table, grid(levels), ([c], [0])).sum() for c in range(3)]
    mean = DiscretizedLogisticMixture(k, levels).distribution(params).mean()
    np.testing.assert_allclose(np.reshape(mean, 3)[0], exact[0], rtol=1e-5)
    np.testing.assert_allclose(np.reshape(mean, 3), exact, atol=0.1 / (levels - 1))


def test_coefficients_are_asked_for_with_colours_alone():
    likelihood = DiscretizedLogisticMixture(2, 4)
    colours, grey = (mixture_params((2, 2, c), 2, 4) for c in (3, 1))
    with pytest.raises(ConfigError, match="'coefficients'"):
        likelihood.distribution({n: v for n, v in colours.items() if n != "coefficients"})
    with pytest.raises(ConfigError, match="Name the network's outputs so"):
        likelihood.distribution({**grey, "coefficients": grey["loc"]})


def test_gradients_are_those_of_the_masses():
    """Central differences of the float64 oracle."""
    levels, loc, log_scale, at = 16, 0.41, -2.2, 7
    params = {n: tf.constant([[v]]) for n, v in (("loc", loc), ("log_scale", log_scale))}
    with tf.GradientTape() as tape:
        tape.watch(params)
        x = np.full((1, 1), at / (levels - 1), "float32")
        log_mass = DiscretizedLogistic(levels).distribution(params).log_prob(x)
    gradients = tape.gradient(log_mass, params)

    def oracle(loc, log_scale):
        return np.log(masses(loc, np.exp(log_scale), levels)[at])

    h = 1e-5
    expected = (oracle(loc + h, log_scale) - oracle(loc - h, log_scale)) / (2 * h)
    np.testing.assert_allclose(gradients["loc"][0], [expected], rtol=1e-4)
    expected = (oracle(loc, log_scale + h) - oracle(loc, log_scale - h)) / (2 * h)
    np.testing.assert_allclose(gradients["log_scale"][0], [expected], rtol=1e-4)
