"""ONNX files: every signature in ONNX Runtime against Keras, and what tf2onnx gets wrong."""

import math
import re
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import halves as halves_of
from tests.conformance.parts import LATENT_DIM, LIKELIHOODS, PRIORS, SHAPE
from vae_tf import distributions, networks
from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.formats.onnx import conversion as onnx_conversion
from vae_tf.formats.onnx import directory as onnx_directory
from vae_tf.formats.onnx import files as onnx_files
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures import generation, row_rng
from vae_tf.signatures.coding import decode_endpoint, encode_endpoint
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.probes import probes
from vae_tf.version import __version__

BATCHES, SHAPES = (1, 2, 5), [(28, 28, 1), (7, 5, 1)]


@pytest.fixture(scope="module")
def onnx():
    """The module of that name, where the extra is installed."""
    for name in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(name, reason='ONNX is an extra: pip install "vae_tf[onnx]"')
    return pytest.importorskip("onnx")


def write(directory, *endpoints):
    """Returns signature -> (entry, content of its file or None) of endpoints, published."""
    halves = dict.fromkeys(e.half for e in endpoints)
    for half in halves:
        saved_model.write([e for e in endpoints if e.half == half], directory / half / "1")
    expected = {e.name: parity.reference(e, probes(e)) for e in endpoints}
    entries = onnx_directory.write(directory, 1, endpoints, expected)
    return {
        name: (entry, entry["file"] and (directory / entry["file"]).read_bytes())
        for name, entry in entries.items()
    }


def converted(directory, function, *inputs):
    """Returns the `.onnx` file of a function of tensors."""
    endpoint = Endpoint("decode", "decoder", inputs, frozenset(), function)
    saved_model.write([endpoint], directory / "1")
    return onnx_conversion.convert(directory / "1", "decode")


def shaken(model):
    """Returns `model` with weights that nobody's initializer gives."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(1.3 * weight.numpy() + rng.normal(0, 0.05, weight.shape))
    return model


def assert_close(have, want):
    assert set(have) == set(want)
    for name, value in want.items():
        value = np.asarray(value)
        assert have[name].dtype == np.float32
        assert have[name].shape == value.shape
        scale = np.abs(value).max(initial=0)
        np.testing.assert_allclose(have[name], value, rtol=0, atol=1e-4 * scale + 1e-6)


def assert_empty(outputs, others):
    shapes = {name: (0, *value.shape[1:]) for name, value in others.items()}
    assert {name: value.shape for name, value in outputs.items()} == shapes


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize(
    "shape", [(13, 10, 3), *(pytest.param(s, marks=pytest.mark.slow) for s in SHAPES)]
)
def test_both_halves_equal_keras(onnx, tmp_path, kind, shape):
    latent, likelihood = 4, distributions.GaussianPixelScale()
    make_encoder = getattr(networks, f"{kind}_encoder")
    make_decoder = getattr(networks, f"{kind}_decoder")
    encoder = shaken(make_encoder(shape, latent))
    decoder = shaken(make_decoder(latent, likelihood.parameter_shapes(shape)))
    posterior = distributions.DiagonalNormal()
    model = halves_of(shape, latent, encoder=encoder, decoder=decoder, likelihood=likelihood)
    files = write(tmp_path, encode_endpoint(model), decode_endpoint(model))
    rng = np.random.default_rng(1)
    for size in BATCHES:
        x = rng.uniform(size=(size, *shape)).astype("float32")
        z = rng.standard_normal((size, latent)).astype("float32")
        for name, batch, statistics, model in (
            ("encode", {"image": x}, posterior.statistics, encoder),
            ("decode", {"z": z}, likelihood.statistics, decoder),
        ):
            entry, content = files[name]
            assert max(e["max_relative_error"] for e in entry["errors"].values()) < 1e-4
            nobody = {key: value[:0] for key, value in batch.items()}
            have, empty = onnx_files.run(content, [batch, nobody])
            assert_close(have, statistics(model(*batch.values(), training=False)))
            assert_empty(empty, have)
    # Each weight once, and little else
    for name, model in (("encode", encoder), ("decode", decoder)):
        weights = sum(weight.numpy().nbytes for weight in model.weights)
        assert weights < len(files[name][1]) < weights + 20_000


def quick(names, *chosen):
    """Returns the parameters `names`, marked slow but for the `chosen`."""
    return [n if n in chosen else pytest.param(n, marks=pytest.mark.slow) for n in names]


@pytest.mark.parametrize(
    "name", quick(LIKELIHOODS, "ContinuousBernoulli", "DiscretizedLogisticMixture", "Categorical")
)
def test_every_likelihood(onnx, tmp_path, name):
    likelihood = LIKELIHOODS[name]()
    shape = (6,) if isinstance(likelihood, distributions.Mixed) else SHAPE
    parameters = likelihood.parameter_shapes(shape)
    decoder = shaken(networks.mlp_decoder(LATENT_DIM, parameters, hidden=(20,)))
    decode = decode_endpoint(halves_of(shape, LATENT_DIM, decoder=decoder, likelihood=likelihood))
    content = write(tmp_path, decode)["decode"][1]
    z = np.random.default_rng(2).normal(0, 3, (50, LATENT_DIM)).astype(np.float32)
    have, empty = onnx_files.run(content, [{"z": z}, {"z": z[:0]}])
    assert_close(have, likelihood.statistics(decoder(z)))
    assert_empty(empty, have)


def generator(directory, prior):
    """Returns (generate's endpoint, its entry, content of its file) for a small decoder."""
    likelihood = distributions.Bernoulli()
    decoder = networks.mlp_decoder(LATENT_DIM, likelihood.parameter_shapes(SHAPE), hidden=(20,))
    model = halves_of(SHAPE, LATENT_DIM, decoder=decoder, prior=prior)
    decode = decode_endpoint(model)
    generate, _ = generation.offer(model, decode, parity.trial(directory))
    return generate, *write(directory, decode, generate)["generate"]


@pytest.mark.slow
@pytest.mark.parametrize("name", quick(PRIORS, "MixtureOfNormals", "DistributionPrior"))
def test_every_prior(onnx, tmp_path, name):
    prior = shaken(PRIORS[name]())
    if name == "VampPrior":
        encoder, posterior = networks.mlp_encoder(SHAPE, LATENT_DIM), distributions.DiagonalNormal()
        prior.bind(lambda x: posterior.distribution(encoder(x)))
    generate, entry, content = generator(tmp_path, prior)
    if not generate.litert:  # a prior that TensorFlow's own generators draw from
        assert content is None
        assert "Stateless" in entry["reason"]
        assert "\n" not in entry["reason"]
        return
    seed = np.r_[0, -1, 2**31 - 1, -(2**31), np.arange(-500, 500)].astype(np.int32)
    heat = np.full(len(seed), 0.7, np.float32)
    batch = {"seed": seed, "temperature": heat}
    normal, uniform = row_rng.normals(seed, LATENT_DIM), row_rng.uniforms(seed, 1)[:, 0]
    z = prior.from_noise(0.7 * normal, uniform)
    have, empty = onnx_files.run(content, [batch, {k: v[:0] for k, v in batch.items()}])
    # Absolute: a component chosen differently would be off by whole units.
    np.testing.assert_allclose(have["z"], z, atol=2e-5)
    assert_close(have, generate.function(tf.constant(seed), tf.constant(heat)))
    assert_empty(empty, have)


@pytest.fixture(scope="module")
def normal(onnx, tmp_path_factory):
    """`generate` of N(0, 1) as an `.onnx` file."""
    prior = distributions.StandardNormal(LATENT_DIM)
    return generator(tmp_path_factory.mktemp("normal"), prior)[-1]


def test_rows_are_their_own(normal):
    seed, heat = np.arange(-8, 9, dtype=np.int32), np.ones(17, np.float32)
    (together,) = onnx_files.run(normal, [{"seed": seed, "temperature": heat}])
    rows = [{"seed": seed[i : i + 1], "temperature": heat[:1]} for i in range(17)]
    alone = np.concatenate([row["z"] for row in onnx_files.run(normal, rows)])
    np.testing.assert_array_equal(alone, together["z"])


def test_a_temperature_that_is_none_makes_its_row_nan(normal):
    heat = np.float32([1, np.nan, -1, np.inf, 0])
    (have,) = onnx_files.run(normal, [{"seed": np.arange(5, dtype=np.int32), "temperature": heat}])
    for value in have.values():
        bad = np.isnan(value).reshape(5, -1)
        assert bad[1:4].all()
        assert not bad[[0, 4]].any()


def test_the_file_tells_what_it_is(onnx, normal):
    model = onnx.load_from_string(normal)
    assert [(o.domain, o.version >= 17) for o in model.opset_import if o.domain == ""] == [
        ("", True)
    ]
    onnx.checker.check_model(model, full_check=True)
    ends = {v.name: v.type.tensor_type.shape.dim for v in (*model.graph.input, *model.graph.output)}
    assert set(ends) == {"seed", "temperature", "z", "image"}
    assert {dims[0].dim_param for dims in ends.values()} == {"batch"}
    assert [d.dim_value for d in ends["image"][1:]] == list(SHAPE)
    facts = onnx_files.metadata(normal)
    assert (facts["vae_tf"], facts["signature"]) == (__version__, "generate")
    assert {"BitwiseXor", "Mod"} <= set(onnx_files.operators(normal))


def test_latency_is_a_time(normal):
    batch = {"seed": np.zeros(1, np.int32), "temperature": np.ones(1, np.float32)}
    assert 1 < onnx_files.latency_us(normal, batch, repeats=5) < 1e7


def test_remainders_below_zero(onnx, tmp_path):
    def function(seed, temperature):
        return {
            "image": tf.cast(tf.math.floormod(seed, 7), tf.float32),
            "scale": tf.math.floormod(temperature, 0.75),
        }

    inputs = Input("seed", "int32"), Input("temperature", "float32")
    content = converted(tmp_path, function, *inputs)
    seed = np.arange(-20, 20, dtype=np.int32)
    (have,) = onnx_files.run(content, [{"seed": seed, "temperature": seed.astype(np.float32)}])
    np.testing.assert_array_equal(have["image"], np.mod(seed, 7))
    np.testing.assert_allclose(have["scale"], np.mod(seed, 0.75), atol=1e-5)


def test_the_side_not_chosen_stays_out(onnx, tmp_path):
    def function(z):
        return {
            "image": tf.where(z > 0, tf.math.log(z), 0.0),
            "scale": tf.where(z[:, :1] > 0, 1.0 / z, z),
        }

    content = converted(tmp_path, function, Input("z", "float32", (2,)))
    z = np.float32([[-1, 2], [0, 0], [3, -4]])
    (have,) = onnx_files.run(content, [{"z": z}])
    np.testing.assert_allclose(have["image"], [[0, np.log(2)], [0, 0], [np.log(3), 0]], atol=1e-6)
    np.testing.assert_allclose(have["scale"], [[-1, 2], [0, 0], [1 / 3, -1 / 4]], atol=1e-6)


def test_functions_that_tf2onnx_lacks(onnx, tmp_path):
    def function(z):
        return {"image": tf.math.expm1(z), "scale": tf.nn.gelu(z, approximate=False)}

    content = converted(tmp_path, function, Input("z", "float32", (1,)))
    z = np.float32([0, 1e-7, -1e-4, 0.49, 0.51, -3, 30, -200])[:, None]
    (have,) = onnx_files.run(content, [{"z": z}])
    np.testing.assert_allclose(have["image"], np.expm1(z.astype(float)), rtol=1e-6)
    erf = np.array([[math.erf(x / 2**0.5)] for (x,) in z.tolist()])
    np.testing.assert_allclose(have["scale"], z * (1 + erf) / 2, rtol=1e-6, atol=1e-6)


def test_reductions_of_an_empty_batch(onnx, tmp_path):
    def function(z):
        total = tf.reduce_sum(z, -1)
        return {"image": z - tf.reduce_logsumexp(z, -1, keepdims=True), "scale": total[:, None]}

    content = converted(tmp_path, function, Input("z", "float32", (3,)))
    for size in (0, 2):
        (have,) = onnx_files.run(content, [{"z": np.zeros((size, 3), np.float32)}])
        assert (have["image"].shape, have["scale"].shape) == ((size, 3), (size, 1))
    np.testing.assert_allclose(have["image"], -np.log(3), rtol=1e-6)


def test_an_output_called_like_an_input(onnx, tmp_path):
    image = Input("image", "float32", (2,))
    content = converted(tmp_path, lambda image: {"image": 2 * image, "z": image + 1}, image)
    names = [output.name for output in onnx.load_from_string(content).graph.output]
    assert sorted(names) == ["image_out", "z"]
    (have,) = onnx_files.run(content, [{"image": np.ones((1, 2), np.float32)}])
    np.testing.assert_array_equal(have["image"], [[2, 2]])
    np.testing.assert_array_equal(have["z"], [[2, 2]])


def of_z(function):
    """Returns decode(z [B, 3]) -> {image: function(z)}."""
    z = Input("z", "float32", (3,))
    image = lambda z: {"image": function(z)}  # noqa: E731
    return Endpoint("decode", "decoder", (z,), frozenset(), image)


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda z: tf.linalg.inv(tf.linalg.diag(1 + z**2))[:, 0], "MatrixInverse"),
        (lambda z: tf.random.stateless_uniform(tf.shape(z), [1, 2]), "StatelessRandomUniform"),
    ],
)
def test_a_default_that_onnx_lacks_is_refused_by_name(onnx, tmp_path, function, operation):
    entry, content = write(tmp_path, of_z(function))["decode"]
    assert re.search(f"decode must be expressible.*{operation}", entry["reason"])
    assert "\n" not in entry["reason"]
    assert content is None
    assert not (tmp_path / "onnx").exists()


def test_disagreement_is_refused_and_leaves_nothing(onnx, tmp_path, monkeypatch):
    run = onnx_files.run

    def off(content, batches):
        return [{k: v + 1e-3 for k, v in outputs.items()} for outputs in run(content, batches)]

    monkeypatch.setattr(onnx_files, "run", off)
    entry, _ = write(tmp_path, of_z(tf.exp))["decode"]
    assert "decode in onnxruntime must agree" in entry["reason"]
    assert not list(tmp_path.rglob("*.onnx*"))


def test_no_onnx_file_is_an_error(onnx):
    with pytest.raises(ExportError, match="must run in ONNX Runtime") as caught:
        onnx_files.run(b"no model", [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "tf2onnx"])
def test_without_the_extra_it_is_told_what_to_install(tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ExportError, match=r'pip install "vae_tf\[onnx\]"'):
        onnx_directory.write(tmp_path, 1, [], {})
    with pytest.raises(ExportError, match=missing):
        onnx_files.extra(missing)
