"""Requests that cannot be answered: an error from the graph, or NaN in their rows alone."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import halves as halves_of
from tests.cpp_server import Refused
from vae_tf import distributions, networks
from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.signatures import endpoints, inference, rows
from vae_tf.signatures.preprocessing import Preprocessing

SHAPE, LATENT, LIMIT = (6, 5, 1), 3, 32
UNIT = Preprocessing(value_range=(0.0, 1.0), scale=1 / 255)


@pytest.fixture(scope="module")
def served(serve, tmp_path_factory):
    """Returns a function that runs any signature of both halves."""
    scratch = tmp_path_factory.mktemp("scratch")
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(20,))
    likelihood = distributions.GaussianPixelScale()
    decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(20,))
    model = halves_of(SHAPE, LATENT, UNIT, encoder=encoder, decoder=decoder, likelihood=likelihood)
    halves = [
        endpoints.encoder_endpoints(model)[0],
        endpoints.decoder_endpoints(model, parity.trial(scratch))[0],
    ]
    runners = {e.name: run for half in halves for run in [serve(half)] for e in half}
    files = {
        e.name: litert.convert(runners[e.name].directory, [e.name])
        for half in halves
        for e in half
        if e.litert
    }

    def run(name, *batches, runtime="cpp", **inputs):
        if runtime != "litert":
            return runners[name](name, *batches, runtime=runtime, **inputs)
        return litert.run(files[name], name, [inputs])[0]

    run.signatures, run.litert = runners, files
    run.endpoints = [e for half in halves for e in half if e.name in INPUTS]
    return run


@pytest.fixture(scope="module")
def limited(served, serve):
    """Signatures that take LIMIT rows."""
    return serve([endpoint.limited(LIMIT) for endpoint in served.endpoints])


def good(n):
    rng = np.random.default_rng(0)
    return {
        "image": rng.uniform(size=(n, *SHAPE)).astype("float32"),
        "z": rng.normal(size=(n, LATENT)).astype("float32"),
        "seed": np.arange(n, dtype=np.int32),
        "temperature": np.ones(n, np.float32),
    }


INPUTS = {
    "encode": ["image"],
    "sample": ["image", "seed"],
    "decode": ["z"],
    "generate": ["seed", "temperature"],
}


def request(name, n=4):
    return {key: good(n)[key] for key in INPUTS[name]}


BAD = [
    ("encode", "image", np.nan),
    ("encode", "image", np.inf),
    ("encode", "image", -np.inf),
    ("encode", "image", 1.001),
    ("encode", "image", -0.001),
    ("encode", "image", 255.0),
    ("sample", "image", np.nan),
    ("sample", "image", 2.0),
    ("decode", "z", np.nan),
    ("decode", "z", -np.inf),
    ("generate", "temperature", -1.0),
]


@pytest.mark.parametrize("runtime", ["cpp", "litert"])
@pytest.mark.parametrize(("name", "key", "value"), BAD)
def test_a_bad_number_spoils_all_of_its_row_and_no_other(served, runtime, name, key, value):
    if runtime == "litert" and name not in served.litert:
        pytest.skip("on servers only")
    spoilt = request(name)
    spoilt[key][2].reshape(-1)[-1:] = value
    if spoilt[key].ndim == 1:
        spoilt[key][2] = value
    clean = served(name, runtime=runtime, **request(name))
    have = served(name, runtime=runtime, **spoilt)
    for output, want in clean.items():
        assert np.isfinite(want).all()
        assert np.isnan(have[output][2]).all(), output
        np.testing.assert_array_equal(np.delete(have[output], 2, 0), np.delete(want, 2, 0))


def test_rounding_at_the_ends_of_the_range_is_forgiven(served):
    x = np.broadcast_to(np.float32(0.0), (2, *SHAPE)).copy()
    x[0], x[1] = -1e-7, np.nextafter(np.float32(1), np.float32(2))
    assert np.isfinite(served("encode", image=x)["z_mean"]).all()


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("runtime", ["cpp", "python"])
def test_an_empty_batch_has_empty_outputs(served, name, runtime):
    outputs = served(name, runtime=runtime, **request(name, 0))
    assert outputs
    whole = served(name, **request(name))
    for key, value in outputs.items():
        assert value.shape == (0, *whole[key].shape[1:])


@pytest.mark.parametrize(
    ("name", "key", "shape"),
    [
        ("encode", "image", (4, 5, 6, 1)),  # as many numbers
        ("encode", "image", (4, 6, 5)),
        ("encode", "image", (4, 30)),
        ("encode", "image", (6, 5, 1)),
        ("encode", "image", (4, 6, 5, 3)),
        ("encode", "image", ()),
        ("sample", "seed", (1,)),  # would be broadcast
        ("sample", "seed", (4, 1)),
        ("sample", "seed", ()),
        ("decode", "z", (4, LATENT + 1)),
        ("decode", "z", (LATENT,)),
        ("generate", "temperature", (1,)),
        ("generate", "temperature", ()),
        ("generate", "seed", (1,)),
        ("generate", "seed", (2, 2)),
    ],
)
def test_other_shapes_are_an_error_and_the_server_goes_on(served, name, key, shape):
    wrong = request(name) | {key: np.zeros(shape, request(name)[key].dtype)}
    with pytest.raises(Refused, match=r"hape|one row for each"):
        served(name, **wrong)
    assert served(name, **request(name))


@pytest.mark.parametrize(
    ("name", "key", "dtype"),
    [
        ("encode", "image", np.float64),
        ("encode", "image", np.int32),
        ("sample", "seed", np.int64),
        ("decode", "z", np.float64),
        ("generate", "temperature", np.int32),
    ],
)
def test_other_dtypes_are_an_error(served, name, key, dtype):
    inputs = request(name)
    with pytest.raises(Refused, match="Expects arg"):
        served(name, **inputs | {key: inputs[key].astype(dtype)})


@pytest.mark.parametrize("runtime", ["cpp", "python"])
def test_too_many_rows_are_one_clear_error_and_the_server_goes_on(limited, runtime):
    for name in INPUTS:
        assert len(limited(name, runtime=runtime, **request(name, LIMIT))) > 0
        told = rf"at most {LIMIT} rows; send the others in further ones.*received.*{LIMIT + 1}"
        with pytest.raises((Refused, tf.errors.InvalidArgumentError), match=told):
            limited(name, runtime=runtime, **request(name, LIMIT + 1))
        assert limited(name, runtime=runtime, **request(name))


def test_nothing_is_computed_for_too_many_rows(limited, cpp):
    """A request of 32 MB, whose pictures alone would take 500 MB, with 128 MiB to spare."""
    rows = 1 << 22
    many = {"seed": np.zeros(rows, np.int32), "temperature": np.ones(rows, np.float32)}
    with pytest.raises(Refused, match=f"at most {LIMIT} rows.*{rows}"):
        cpp(limited.directory, "generate", many, headroom=1 << 27)


def test_litert_has_no_limit(limited):
    content = litert.convert(limited.directory, ["generate"])
    (told,) = litert.run(content, "generate", [request("generate", LIMIT + 1)])
    assert len(told["image"]) == LIMIT + 1


def test_limits_follow_from_the_largest_tensor_of_a_row():
    """In bytes; the bound is on whole tensors, the limit a power of two in [32, 4096]."""

    def of(floats):
        return lambda z: {"sum": tf.reduce_sum(tf.repeat(z, floats, 1), 1)}

    for floats, limit in ((1, 4096), (2**16, 4096), (2**16 + 1, 2048), (2**20, 256), (2**24, 32)):
        assert rows.most(of(floats), [((1,), "float32")]) == limit, floats


def test_what_a_loop_computes_counts_as_well():
    model = halves_of(SHAPE, LATENT, UNIT, encoder=networks.mlp_encoder(SHAPE, LATENT, (20,)))
    known, _ = endpoints.of_prior(model)
    score = inference.score_endpoint(model, known, num_samples=64)
    # 8 draws at a time of 30 floats are 960 bytes a row, of which 100 would fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "MEMORY", 960 * 100)
        assert score.limited().max_rows == 64
