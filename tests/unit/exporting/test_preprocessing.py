"""What images are: intensities or levels, their range, and all of it in the graph."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import halves as halves_of
from tests.cpp_server import Refused
from vae_tf import data, distributions, networks
from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.signatures import endpoints
from vae_tf.signatures.preprocessing import Preprocessing

SHAPE, LATENT = (6, 5, 1), 3
KEYS = ("preprocessing", "scale", "value_range", "resize", "binarization")


def test_it_is_read_from_what_the_data_say_of_themselves():
    described = data.load("digits", binarization="dynamic").describe()
    of = Preprocessing.of({key: described[key] for key in KEYS}, "uint8")
    assert of == Preprocessing((0.0, 1.0), 1 / 255, "dynamic", "uint8")
    assert Preprocessing.of(None) == Preprocessing.of({"scale": "divide by 255"}) == Preprocessing()


@pytest.mark.parametrize(
    ("described", "low", "high", "scale"),
    [
        ({"scale": 1 / 255}, 0.0, 1.0, 1 / 255),
        ({"scale": 1, "value_range": [0.0, 1.0]}, 0.0, 1.0, 1 / 255),  # the data were 0..1
        ({"value_range": [-1, 1]}, -1.0, 1.0, 2 / 255),
        ({"scale": 1 / 127.5, "value_range": [-1, 1]}, -1.0, 1.0, 1 / 127.5),
        ({"scale": 1 / 16, "value_range": [0, 1]}, 0.0, 1.0, 1 / 16),
    ],
)
def test_levels_and_values(described, low, high, scale):
    of = Preprocessing.of(described)
    assert of.value_range == (low, high)
    assert of.scale == pytest.approx(scale)
    levels = tf.range(256)
    x = of.of_levels(levels).numpy()
    np.testing.assert_allclose(x, low + scale * np.arange(256), rtol=1e-6, atol=1e-6)
    assert x.dtype == np.float32
    if scale == pytest.approx((high - low) / 255):
        np.testing.assert_array_equal(of.to_levels(x), levels)
    np.testing.assert_array_equal(of.to_levels(tf.constant([low - 9, high + 9])), [0, 255])


def test_levels_are_divided_as_the_training_data_were():
    x = Preprocessing.of({"scale": 1 / 255}).of_levels(tf.range(256))
    np.testing.assert_array_equal(x, np.arange(256, dtype=np.float32) / 255)


def test_levels_without_a_meaning_are_refused():
    with pytest.raises(ExportError, match="what their levels mean"):
        Preprocessing.of({"scale": "by hand"}, "uint8")
    with pytest.raises(ExportError, match="image_dtype must be known"):
        Preprocessing.of({"scale": 1 / 255}, "int16")


@pytest.fixture(scope="module")
def both(serve, tmp_path_factory):
    """The endpoints of a model for float32 and for uint8 images, and what runs the latter."""
    likelihood, found = distributions.Bernoulli(), {}
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(20,))
    decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(20,))
    for dtype in ("float32", "uint8"):
        of = Preprocessing.of({"scale": 1 / 255}, dtype)
        model = halves_of(SHAPE, LATENT, of, encoder=encoder, decoder=decoder)
        halves = [endpoints.encoder_endpoints(model)[0], endpoints.vae_endpoints(model)[0]]
        found[dtype] = {e.name: e for half in halves for e in half}
    names = ["encode", "sample", "reconstruct", "score", "impute"]
    served = serve([found["uint8"][name] for name in names])
    return found, names, served


@pytest.mark.slow
def test_levels_give_what_their_intensities_give(both):
    found, names, run = both
    for name in names:
        levels, values = (found[dtype][name] for dtype in ("uint8", "float32"))
        assert [i.dtype for i in levels.inputs][:1] == ["uint8"]
        (batch,) = parity.probes(levels)[-1:]
        scaled = batch | {"image": batch["image"] / np.float32(255)}
        want = parity.reference(values, [scaled])
        parity.compare("keras", name, want, parity.reference(levels, [batch]))
        parity.compare("cpp", name, want, run(name, batch))


def test_intensities_are_an_error_where_levels_are_wanted(both):
    _, _, run = both
    with pytest.raises(Refused, match="Expects arg"):
        run("encode", image=np.zeros((2, *SHAPE), np.float32))


def test_levels_out_of_range_spoil_their_row(serve):
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(20,))
    of = Preprocessing.of({"scale": 1 / 16, "value_range": [0, 1]}, "uint8")
    (encode, *_), _ = endpoints.encoder_endpoints(halves_of(SHAPE, LATENT, of, encoder=encoder))
    levels = np.full((3, *SHAPE), 16, np.uint8)
    levels[1, 0, 0, 0] = 17
    told = serve([encode])("encode", image=levels)["z_mean"]
    assert np.isnan(told).all(1).tolist() == [False, True, False]
