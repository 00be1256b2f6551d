"""LiteRT files in several precisions and batches: what is in them and how exact they are."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tests.bundles import halves as halves_of
from vae_tf import distributions, networks
from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.metadata import labelled, read_metadata
from vae_tf.formats.litert.variants import PRECISIONS, file_name, make_variants
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures import densities, generation
from vae_tf.signatures.coding import decode_endpoint, encode_endpoint

SHAPE, LATENT, BATCH = (6, 5, 1), 3, 4
Z = np.random.default_rng(0).standard_normal((100, LATENT)).astype("float32")
SEEDS = np.r_[np.arange(250), [-1, 2**31 - 1, -(2**31), 12345, 6, 7]].astype(np.int32)


def written(directory, decoder, likelihood, prior):
    """Writes a decoder's SavedModel and returns its endpoints."""
    parts = {"decoder": decoder, "likelihood": likelihood, "prior": prior}
    model = halves_of(SHAPE, prior.latent_dim, **parts)
    decode = decode_endpoint(model)
    generate, _ = generation.offer(model, decode, parity.trial(directory))
    density, _ = densities.log_prob_endpoint(model, densities.densities(model))
    endpoints = [e for e in (decode, generate, density) if e]
    saved_model.write(endpoints, directory / "decoder")
    return SimpleNamespace(path=directory / "decoder", endpoints=endpoints, decoder=decoder)


def variants_of(half, **options):
    """Returns what `make_variants` makes of a decoder's float32 file."""
    whole = litert.convert(half.path, [endpoint.name for endpoint in half.endpoints])
    return make_variants(whole, half.path, half.endpoints, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A Bernoulli MLP decoder with logits from -15 to 15, and its variants."""
    likelihood = distributions.Bernoulli()
    decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(200, 300))
    decoder.layers[-2].kernel.assign(8 * decoder.layers[-2].kernel)
    rng = np.random.default_rng(1)
    for weight in decoder.weights:
        if len(weight.shape) == 1:  # biases: zeros, at first, which the converter would drop
            weight.assign(rng.normal(size=weight.shape))
    prior = distributions.StandardNormal(LATENT)
    half = written(tmp_path_factory.mktemp("made"), decoder, likelihood, prior)
    half.files, left_out = variants_of(
        half,
        batches=(None, BATCH),
        representative={"z": Z},
        metadata={"prior": prior, "fingerprint": "abc"},
    )
    assert left_out == {}
    half.want = likelihood.statistics(decoder(Z))["image"].numpy()
    return half


def run(content, signature, batch, **inputs):
    """Returns the outputs for all rows, `batch` at a time."""
    size = batch or len(next(iter(inputs.values())))
    rows = range(0, len(next(iter(inputs.values()))), size)
    parts = [{name: x[at : at + size] for name, x in inputs.items()} for at in rows]
    outputs = litert.run(content, signature, parts)
    return {name: np.concatenate([o[name] for o in outputs]) for name in outputs[0]}


CASES = [(precision, batch) for precision in PRECISIONS for batch in (None, BATCH)]


def test_names(made):
    precisions = ("float32", "float16", "dynamic", "int8")
    ends = ("", "-batch4")
    assert list(made.files) == [f"decoder-{p}{end}.tflite" for p in precisions for end in ends]
    assert file_name("encoder", "int8", 16) == "encoder-int8-batch16.tflite"


@pytest.mark.parametrize(
    ("precision", "least", "most"),
    [("float16", 0.45, 0.65), ("dynamic", 0.2, 0.45), ("int8", 0.2, 0.45)],
)
@pytest.mark.parametrize("batch", [None, BATCH])
def test_sizes(made, precision, least, most, batch):
    whole = len(made.files[file_name("decoder", "float32", batch)])
    assert least < len(made.files[file_name("decoder", precision, batch)]) / whole < most


@pytest.mark.parametrize(("precision", "batch"), CASES)
def test_signatures_and_operators(made, precision, batch):
    content = made.files[file_name("decoder", precision, batch)]
    assert set(litert.operators(content)) <= set(litert.BUILTIN_NAMES.values())
    shapes = litert.shapes(litert.opened(content))
    assert set(shapes) == {"decode", "generate", "prior_log_prob"}
    assert shapes["decode"] == {
        "inputs": {"z": [batch, LATENT]},
        "outputs": {"image": [batch, *SHAPE]},
    }
    assert shapes["generate"]["inputs"] == {"seed": [batch], "temperature": [batch]}
    assert shapes["prior_log_prob"] == {
        "inputs": {"z": [batch, LATENT]},
        "outputs": {"log_prob": [batch]},
    }


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("float32", 1e-5), ("float16", 0.02), ("dynamic", 0.3), ("int8", 0.3)],
)
@pytest.mark.parametrize("batch", [None, BATCH])
def test_numbers(made, precision, tolerance, batch):
    have = run(made.files[file_name("decoder", precision, batch)], "decode", batch, z=Z)["image"]
    error = np.abs(have - made.want)
    assert error.max() < tolerance
    assert error.mean() < tolerance / 10
    if precision != "float32":
        assert error.max() > 1e-5, "not quantized at all"


@pytest.mark.parametrize("batch", [None, BATCH])
def test_int8_keeps_probabilities_off_zero(made, batch):
    assert np.mean(made.want < 1 / 512) > 0.05, "or there is nothing to round to 0"
    content = made.files[file_name("decoder", "int8", batch)]
    image = run(content, "decode", batch, z=Z)["image"]
    assert image.min() > 0
    # Where p is small, so is the error in nats
    small = made.want < 1e-2
    assert np.abs(np.log(image[small]) - np.log(made.want[small])).max() < 1


def test_int8_weights_are_integers_for_each_unit(made):
    model = litert.opened(made.files["decoder-int8.tflite"])
    graph, *_ = model.subgraphs
    names = [litert.operator_name(model.operatorCodes[op.opcodeIndex]) for op in graph.operators]
    dense = [op for op, name in zip(graph.operators, names, strict=True) if "FULLY" in name]
    assert len(dense) == 3
    for op in dense:
        x, kernel, bias = (graph.tensors[i] for i in op.inputs)
        types = x.type, kernel.type, bias.type, graph.tensors[op.outputs[0]].type
        integers = schema.TensorType.INT8, schema.TensorType.INT8
        assert types == (*integers, schema.TensorType.INT32, schema.TensorType.INT8)
        assert len(kernel.quantization.scale) == kernel.shape[0]
    *_, last = (op for op, name in zip(graph.operators, names, strict=True) if name == "LOGISTIC")
    assert graph.tensors[last.inputs[0]].type == schema.TensorType.FLOAT32


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", [None, BATCH])
def test_one_seed_is_one_z(made, precision, batch):
    inputs = {"seed": SEEDS, "temperature": np.full(len(SEEDS), 0.7, np.float32)}
    have = run(made.files[file_name("decoder", precision, batch)], "generate", batch, **inputs)
    (want,) = saved_model.run(made.path, "generate", [inputs])
    np.testing.assert_allclose(have["z"], want["z"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_two_signatures_share_their_weights(made, precision):
    model = litert.opened(made.files[file_name("decoder", precision, None)])
    users = [
        {tensor.buffer for tensor in graph.tensors if model.buffers[tensor.buffer].data is not None}
        for graph in model.subgraphs
    ]
    large = {i for i in set.union(*users) if len(model.buffers[i].data) > 8000}
    assert len(large) == 2
    assert large <= users[0] & users[1]


@pytest.mark.slow
@pytest.mark.parametrize("conditional", [False, True])
def test_only_the_network_is_quantized(tmp_path, conditional):
    """`generate` decodes by the quantized network what the float32 prior draws."""
    condition = 3 if conditional else None
    prior = distributions.MixtureOfNormals(LATENT, components=400, seed=3)
    if conditional:
        prior = distributions.Conditional(networks.conditional_prior_network(3, LATENT))
    likelihood = distributions.Bernoulli()
    decoder = networks.mlp_decoder(
        LATENT, likelihood.parameter_shapes(SHAPE), hidden=(40, 50), condition=condition
    )
    half = written(tmp_path, decoder, likelihood, prior)
    seeds = np.arange(30, dtype=np.int32)
    given = {"condition": seeds % 3} if conditional else {}
    files, _ = variants_of(half, batches=(None, 3), representative={"z": Z[:30]} | given)
    assert len(files) == 8
    temperature = np.ones(30, np.float32)
    temperature[[4, 5]] = -1, np.nan
    batch = {"seed": seeds, "temperature": temperature, **given}
    (want,) = saved_model.run(half.path, "generate", [batch])
    assert list(np.isnan(want["z"]).any(1).nonzero()[0]) == [4, 5]
    (density,) = saved_model.run(half.path, "prior_log_prob", [{"z": Z[:30], **given}])
    for name, content in files.items():
        size = 3 if "batch" in name else None
        have = run(content, "generate", size, **batch)
        np.testing.assert_allclose(have["z"], want["z"], rtol=0, atol=2e-6)
        z = np.where(np.isnan(want["z"]), np.inf, want["z"])
        decoded = run(content, "decode", size, z=z, **given)["image"]
        np.testing.assert_allclose(have["image"], decoded, atol=5e-3 if "-int8" in name else 2e-4)
        log_prob = run(content, "prior_log_prob", size, z=Z[:30], **given)["log_prob"]
        np.testing.assert_allclose(log_prob, density["log_prob"], rtol=1e-4)


@pytest.mark.slow
def test_convolutions_and_a_learned_scale(tmp_path):
    likelihood = distributions.GaussianLearnedScale(scale=0.123)
    shape = (8, 8, 1)
    decoder = networks.conv_decoder(LATENT, likelihood.parameter_shapes(shape), (16, 32))
    half = written(tmp_path, decoder, likelihood, distributions.StandardNormal(LATENT))
    files, _ = variants_of(half, batches=(2,), representative={"z": Z})
    want = likelihood.statistics(decoder(Z))
    for precision, tolerance in zip(PRECISIONS, (1e-5, 2e-3, 0.1, 0.1), strict=True):
        have = run(files[file_name("decoder", precision, 2)], "decode", 2, z=Z)
        scale = float(np.abs(want["image"]).max())
        np.testing.assert_allclose(have["image"], want["image"], atol=tolerance * scale)
        # One number that all pixels depend on
        np.testing.assert_allclose(have["scale"], np.full((100, 1, 1, 1), 0.123), rtol=1e-6)


def test_scales_of_pixels_keep_their_digits(tmp_path):
    likelihood = distributions.GaussianPixelScale()
    decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(50,))
    kernels = {layer.name: layer for layer in decoder.layers}
    kernels["log_scale_output"].bias.assign(np.linspace(-5, 0, 30))
    half = written(tmp_path, decoder, likelihood, distributions.StandardNormal(LATENT))
    files, _ = variants_of(half, precisions=["int8"], batches=(None,), representative={"z": Z})
    have = run(files["decoder-int8.tflite"], "decode", None, z=Z)
    want = likelihood.statistics(decoder(Z))
    # A scale of int8 would have steps of 1/256, all of the smallest scales.
    assert float(tf.reduce_min(want["scale"])) < 0.01
    np.testing.assert_allclose(np.log(have["scale"]), np.log(want["scale"]), atol=0.15)


@pytest.mark.parametrize(
    ("likelihood", "shape", "tolerance"),
    [
        pytest.param(distributions.DiscretizedLogistic(), SHAPE, 0.1, marks=pytest.mark.slow),
        (distributions.DiscretizedLogisticMixture(2, levels=40), (6,), 0.2),
        pytest.param(distributions.ContinuousBernoulli(), SHAPE, 0.01, marks=pytest.mark.slow),
    ],
)
def test_long_ways_from_parameters_to_statistics_stay_float32(
    tmp_path, likelihood, shape, tolerance
):
    """TensorFlow's own selective quantization is off by 0.9, or ends in a segmentation fault."""
    decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(shape), hidden=(50,))
    half = written(tmp_path, decoder, likelihood, distributions.StandardNormal(LATENT))
    files, _ = variants_of(half, precisions=["int8"], batches=(None,), representative={"z": Z})
    have = run(files["decoder-int8.tflite"], "decode", None, z=Z)["image"]
    want = likelihood.statistics(decoder(Z))["image"]
    np.testing.assert_allclose(have, want, atol=tolerance * float(tf.reduce_max(tf.abs(want))))


def test_encoder(tmp_path):
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(200, 100))
    posterior = distributions.DiagonalNormal()
    endpoint = encode_endpoint(halves_of(SHAPE, LATENT, encoder=encoder))
    saved_model.write([endpoint], tmp_path / "encoder")
    x = np.random.default_rng(1).uniform(size=(60, *SHAPE)).astype("float32")
    files, _ = variants_of(
        SimpleNamespace(path=tmp_path / "encoder", endpoints=[endpoint]),
        precisions=("float32", "int8"),
        batches=(1,),
        representative={"image": x},
    )
    assert list(files) == ["encoder-float32-batch1.tflite", "encoder-int8-batch1.tflite"]
    want = posterior.statistics(encoder(x))
    for content, tolerance in zip(files.values(), (1e-5, 0.06), strict=True):
        assert litert.shapes(litert.opened(content)) == {
            "encode": {
                "inputs": {"image": [1, *SHAPE]},
                "outputs": {"z_mean": [1, LATENT], "z_log_var": [1, LATENT]},
            }
        }
        have = run(content, "encode", 1, image=x)
        for name, value in want.items():
            scale = float(tf.reduce_max(tf.abs(value)))
            np.testing.assert_allclose(have[name], value, atol=tolerance * scale)


@pytest.mark.parametrize(("precision", "batch"), CASES)
def test_a_file_says_what_it_is(made, precision, batch):
    content = made.files[file_name("decoder", precision, batch)]
    metadata = read_metadata(content)
    assert metadata["prior"]["class_name"] == "StandardNormal"
    assert metadata["fingerprint"] == "abc"
    assert (metadata["half"], metadata["precision"]) == ("decoder", precision)
    assert metadata["batch"] == batch
    assert metadata["signatures"]["decode"]["inputs"] == {"z": [batch, LATENT]}
    assert (
        f"decoder of a VAE, {precision}, batch {batch or 'free'}"
        in litert.viewed(content).Description().decode()
    )
    names = {entry.name for entry in litert.opened(content).metadata}
    assert b"min_runtime_version" in names, "what others wrote stays"


def test_metadata_can_be_replaced(made):
    content = made.files["decoder-int8.tflite"]
    told = {"a": [1, 2.5, None, "ü"]}
    again = labelled(litert.opened(content), "decoder", "int9", None, told, {})
    assert read_metadata(again)["a"] == [1, 2.5, None, "ü"]
    assert "decoder of a VAE, int9" in litert.viewed(again).Description().decode()
    assert len(litert.opened(again).metadata) == len(litert.opened(content).metadata)
    np.testing.assert_array_equal(
        run(again, "decode", None, z=Z)["image"], run(content, "decode", None, z=Z)["image"]
    )


def test_tensorflow_reads_it_too(made):
    content = made.files["decoder-float16.tflite"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is going to be deleted
        runner = tf.lite.Interpreter(model_content=content).get_signature_runner("decode")
        have = runner(z=Z)["image"]
    np.testing.assert_allclose(have, run(content, "decode", None, z=Z)["image"], atol=1e-5)


@pytest.mark.parametrize(("precision", "batch"), CASES)
def test_openvino_reads_it_too(made, tmp_path, precision, batch):
    """Its own frontend, which reads a file's first graph: `decode`."""
    openvino = pytest.importorskip("openvino")
    content = made.files[file_name("decoder", precision, batch)]
    (tmp_path / "decoder.tflite").write_bytes(content)
    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = core.compile_model(tmp_path / "decoder.tflite", "CPU", hints)
    z = Z[: batch or 8]
    (have,) = model(z).values()
    want = run(content, "decode", batch, z=z)["image"]
    tolerance = {"float32": 1e-5, "float16": 1e-5}.get(precision, 0.1)
    np.testing.assert_allclose(have, want, atol=tolerance)


@pytest.mark.parametrize(("precision", "batch"), CASES)
def test_buffers_are_aligned(made, precision, batch):
    content = made.files[file_name("decoder", precision, batch)]
    model = schema.Model.GetRootAs(content, 0)
    places = []
    for buffer in map(model.Buffers, range(model.BuffersLength())):
        if buffer.DataLength():
            table = buffer._tab
            places.append(table.Vector(table.Offset(4)))
    assert len(places) > 5
    assert {place % 16 for place in places} == {0}


def test_no_metadata_and_no_file(made):
    bare = litert.convert(made.path, ["decode"])
    with pytest.raises(ExportError, match="must hold metadata called 'vae_tf'"):
        read_metadata(bare)
    with pytest.raises(ExportError, match=r"a \.tflite file was expected"):
        read_metadata(b"PK\3\4 something else")


def test_int8_without_typical_inputs_is_left_out(made):
    files, left_out = variants_of(made, precisions=["float32", "int8"], batches=[1])
    assert list(files) == ["decoder-float32-batch1.tflite"]
    assert "int8 needs typical inputs of decode" in left_out["decoder-int8-batch1.tflite"]


def test_few_representative_data_are_enough_for_a_large_batch(made):
    files, _ = variants_of(made, precisions=["int8"], batches=[16], representative={"z": Z[:3]})
    assert run(files["decoder-int8-batch16.tflite"], "decode", 16, z=Z[:16])["image"].shape[0] == 16


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_fixed_batch_knows_all_shapes(made, precision):
    """No operator computes a shape, which no delegate would take; the numbers stay."""
    free, content = (made.files[file_name("decoder", precision, b)] for b in (None, BATCH))
    assert "SHAPE" not in litert.operators(content)
    model = litert.opened(content)
    for graph in model.subgraphs:
        used = {int(t) for op in graph.operators for t in (*op.inputs, *op.outputs)} - {-1}
        assert all(graph.tensors[t].shapeSignature is None for t in used)
    for name in litert.signatures(content):
        given = {"z": Z[:8]}
        if name == "generate":
            given = {"seed": SEEDS[:8], "temperature": np.ones(8, np.float32)}
        have, want = run(content, name, BATCH, **given), run(free, name, None, **given)
        for key, value in want.items():
            np.testing.assert_allclose(have[key], value, rtol=1e-5, atol=1e-6)
