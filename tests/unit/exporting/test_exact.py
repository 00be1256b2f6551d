"""Functions in LiteRT over the whole of float32, and p(x|z) at all sizes of its parameters."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from tests.bundles import halves as halves_of
from tests.conformance.parts import LATENT_DIM, LIKELIHOODS, POSTERIORS, SHAPE
from vae_tf import distributions
from vae_tf.errors import ExportError
from vae_tf.formats.litert import ends
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.exact import exact
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures.endpoint import Endpoint, Input

POSITIVE = np.geomspace(1e-37, 1e37, 500)
WHOLE = np.r_[-POSITIVE, 0.0, POSITIVE, np.linspace(-110, 110, 500)].astype("float32")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A SavedModel of the functions, one a signature, its softplus inside a loop as well."""

    def looped(x):
        return tf.while_loop(lambda i, _: i < 1, lambda i, y: (i + 1, tf.nn.softplus(y)), (0, x))[1]

    functions = {
        "softplus": keras.activations.softplus,
        "looped": looped,
        "log_sigmoid": keras.activations.log_sigmoid,
        "log1p": tf.math.log1p,
        "expm1": tf.math.expm1,
        "logsumexp": lambda x: tf.reduce_logsumexp(tf.stack([x, tf.zeros_like(x)]), 0),
        "rsqrt": tf.math.rsqrt,
    }
    x, directory = Input("x", "float32"), tmp_path_factory.mktemp("functions") / "1"
    endpoints = [
        Endpoint(name, "h", (x,), frozenset(), lambda x, f=f: {"y": f(x)})
        for name, f in functions.items()
    ]
    saved_model.write(endpoints, directory)
    return directory


def softplus(x):
    return np.logaddexp(0, x)


@pytest.mark.parametrize(
    ("name", "oracle", "x"),
    [
        ("softplus", softplus, WHOLE),
        ("looped", softplus, WHOLE),
        ("log_sigmoid", special.log_expit, WHOLE),
        ("logsumexp", softplus, WHOLE),
        ("log1p", np.log1p, WHOLE[WHOLE > -0.99]),
        ("expm1", np.expm1, WHOLE[WHOLE < 88]),
        ("rsqrt", lambda x: 1 / np.sqrt(x), POSITIVE.astype("float32")),
    ],
)
def test_every_digit_over_the_whole_range(written, name, oracle, x):
    (received,) = litert.run(litert.convert(written, [name]), name, [{"x": x}])
    want = oracle(x.astype("float64"))
    # LiteRT has exp(x) to 4e-6 of itself, and 0 near the least normal number
    atol = 2e-38 if name != "logsumexp" else 2e-7
    np.testing.assert_allclose(received["y"], want, rtol=1e-5, atol=atol)


def test_a_model_without_such_functions_is_read_where_it_is(tmp_path):
    x = Input("x", "float32")
    saved_model.write(
        [Endpoint("y", "h", (x,), frozenset(), lambda x: {"y": x + 1})], tmp_path / "1"
    )
    with exact(tmp_path / "1") as path:
        assert path == tmp_path / "1"


PARTS = {
    **{("decoder", name): make for name, make in LIKELIHOODS.items()},
    **{("encoder", name): make for name, make in POSTERIORS.items()},
}


def statistics(half, part):
    shape = (6,) if isinstance(part, distributions.Mixed) else SHAPE
    role = {"encoder": "posterior", "decoder": "likelihood"}[half]
    return ends.statistics_endpoint(halves_of(shape, LATENT_DIM, **{role: part}), half)


@pytest.mark.parametrize(("half", "name"), PARTS)
def test_every_part_at_all_sizes_of_its_parameters(half, name):
    ends.check(statistics(half, PARTS[half, name]()))


def test_colours():
    part = distributions.DiscretizedLogisticMixture(2)
    ends.check(ends.statistics_endpoint(halves_of((2, 2, 3), 2, likelihood=part), "decoder"))


def test_what_litert_makes_of_softplus_would_be_noticed(monkeypatch):
    monkeypatch.setattr(litert, "exact", contextlib.nullcontext)
    with pytest.raises(ExportError, match="statistics in litert must agree"):
        ends.check(statistics("decoder", distributions.DiscretizedLogistic()))
