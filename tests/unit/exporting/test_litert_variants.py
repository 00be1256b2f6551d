"""LiteRT files in several precisions and batches: what is in them and how exact they are."""

import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tests.bundles import halves as halves_of
from vae_tf import distributions, networks
from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.metadata import read_description, read_metadata, write_metadata
from vae_tf.formats.litert.variants import PRECISIONS, file_name, make_variants
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures import generation
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
    endpoints = [e for e in (decode, generate) if e]
    saved_model.write(endpoints, directory / "decoder")
    return SimpleNamespace(path=directory / "decoder", endpoints=endpoints, decoder=decoder)


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
    half.files, left_out = make_variants(
        half.path,
        "decoder",
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
    assert list(made.files) == [
        *(f"decoder-{p}.tflite" for p in ("float32", "float16", "dynamic", "int8")),
        *(f"decoder-{p}-batch4.tflite" for p in ("float32", "float16", "dynamic", "int8")),
    ]
    assert file_name("encoder", "int8", 16) == "encoder-int8-batch16.tflite"


@pytest.mark.parametrize(
    ("precision", "least", "most"),
    [("float16", 0.45, 0.58), ("dynamic", 0.2, 0.4), ("int8", 0.2, 0.35)],
)
@pytest.mark.parametrize("batch", [None, BATCH])
def test_sizes(made, precision, least, most, batch):
    whole = len(made.files[file_name("decoder", "float32", batch)])
    assert least < len(made.files[file_name("decoder", precision, batch)]) / whole < most


@pytest.mark.parametrize(("precision", "batch"), CASES)
def test_signatures_and_operators(made, precision, batch):
    content = made.files[file_name("decoder", precision, batch)]
    assert set(litert.operators(content)) <= set(litert.BUILTIN_NAMES.values())
    shapes = litert.shapes(content)
    assert set(shapes) == ({"decode"} if precision == "int8" else {"decode", "generate"})
    assert shapes["decode"] == {
        "inputs": {"z": [batch, LATENT]},
        "outputs": {"image": [batch, *SHAPE]},
    }
    if "generate" in shapes:
        assert shapes["generate"]["inputs"] == {"seed": [batch], "temperature": [batch]}


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
    (graph,) = model.subgraphs
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


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic"])
@pytest.mark.parametrize("batch", [None, BATCH])
def test_one_seed_is_one_z(made, precision, batch):
    inputs = {"seed": SEEDS, "temperature": np.full(len(SEEDS), 0.7, np.float32)}
    have = run(made.files[file_name("decoder", precision, batch)], "generate", batch, **inputs)
    (want,) = saved_model.run(made.path, "generate", [inputs])
    np.testing.assert_allclose(have["z"], want["z"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic"])
def test_two_signatures_share_their_weights(made, precision):
    model = litert.opened(made.files[file_name("decoder", precision, None)])
    users = [
        {tensor.buffer for tensor in graph.tensors if model.buffers[tensor.buffer].data is not None}
        for graph in model.subgraphs
    ]
    large = {i for i in set.union(*users) if len(model.buffers[i].data) > 8000}
    assert len(large) == 2
    assert large <= users[0] & users[1]


def test_a_prior_that_quantization_would_change_is_drawn_in_float32_alone(tmp_path):
    prior = distributions.MixtureOfNormals(LATENT, components=400, seed=3)
    likelihood = distributions.Bernoulli()
    decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(40,))
    half = written(tmp_path, decoder, likelihood, prior)
    files, _ = make_variants(
        half.path, "decoder", precisions=("float32", "float16", "dynamic"), batches=(1,)
    )
    kept = {name: litert.signatures(content) for name, content in files.items()}
    assert kept == {
        "decoder-float32-batch1.tflite": ["decode", "generate"],
        "decoder-float16-batch1.tflite": ["decode"],
        "decoder-dynamic-batch1.tflite": ["decode"],
    }


def test_convolutions_and_a_learned_scale(tmp_path):
    likelihood = distributions.GaussianLearnedScale(scale=0.123)
    shape = (8, 8, 1)
    decoder = networks.conv_decoder(LATENT, likelihood.parameter_shapes(shape), (16, 32))
    half = written(tmp_path, decoder, likelihood, distributions.StandardNormal(LATENT))
    files, _ = make_variants(half.path, "decoder", batches=(2,), representative={"z": Z})
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
    files, _ = make_variants(
        half.path, "decoder", precisions=["int8"], batches=(None,), representative={"z": Z}
    )
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
    files, _ = make_variants(
        half.path, "decoder", precisions=["int8"], batches=(None,), representative={"z": Z}
    )
    have = run(files["decoder-int8.tflite"], "decode", None, z=Z)["image"]
    want = likelihood.statistics(decoder(Z))["image"]
    np.testing.assert_allclose(have, want, atol=tolerance * float(tf.reduce_max(tf.abs(want))))


def test_encoder(tmp_path):
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(200, 100))
    posterior = distributions.DiagonalNormal()
    endpoint = encode_endpoint(halves_of(SHAPE, LATENT, encoder=encoder))
    saved_model.write([endpoint], tmp_path / "encoder")
    x = np.random.default_rng(1).uniform(size=(60, *SHAPE)).astype("float32")
    files, _ = make_variants(
        tmp_path / "encoder",
        "encoder",
        precisions=("float32", "int8"),
        batches=(1,),
        representative={"image": x},
    )
    assert list(files) == ["encoder-float32-batch1.tflite", "encoder-int8-batch1.tflite"]
    want = posterior.statistics(encoder(x))
    for content, tolerance in zip(files.values(), (1e-5, 0.06), strict=True):
        assert litert.shapes(content) == {
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
    assert f"decoder of a VAE, {precision}, batch {batch or 'free'}" in read_description(content)
    names = {entry.name for entry in litert.opened(content).metadata}
    assert b"min_runtime_version" in names, "what others wrote stays"


def test_metadata_can_be_replaced(made):
    content = made.files["decoder-int8.tflite"]
    again = write_metadata(content, "words", {"a": [1, 2.5, None, "ü"]})
    assert read_metadata(again) == {"a": [1, 2.5, None, "ü"]}
    assert read_description(again) == "words"
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


@pytest.mark.parametrize(
    ("representative", "complaint"),
    [
        (None, "Received: none"),
        ({}, "Received: none"),
        ({"image": Z}, r"\['image'\]"),
        ({"z": Z[:0]}, r"shape \(0, 3\)"),
        ({"z": Z[:, :2]}, r"shape \(100, 2\)"),
        ({"z": Z[0]}, r"shape \(3,\)"),
        ({"z": np.where(Z > 2, np.nan, Z)}, r"Received: \d+ values not finite"),
        ({"z": np.where(Z > 2, np.inf, Z)}, r"Received: \d+ values not finite"),
    ],
)
def test_representative_data_that_are_none(made, representative, complaint):
    with pytest.raises(ExportError, match=complaint):
        make_variants(made.path, "decoder", precisions=["int8"], representative=representative)


def test_few_representative_data_are_enough_for_a_large_batch(made):
    files, _ = make_variants(
        made.path, "decoder", precisions=["int8"], batches=[16], representative={"z": Z[:3]}
    )
    assert run(files["decoder-int8-batch16.tflite"], "decode", 16, z=Z[:16])["image"].shape[0] == 16


@pytest.mark.parametrize(
    ("half", "options", "complaint"),
    [
        ("decodre", {}, "half must be a known name"),
        ("decoder", {"precisions": ["int4"]}, "precision must be a known name"),
        ("encoder", {"precisions": ["float32"]}, "the encoder must have encode"),
        ("decoder", {"precisions": ["float32"], "batches": [0]}, "must be None or positive"),
        ("decoder", {"precisions": ["float32"], "batches": [True]}, "must be None or positive"),
    ],
)
def test_what_is_not_known(made, half, options, complaint):
    with pytest.raises(ExportError, match=complaint):
        make_variants(made.path, half, **options)


def test_a_layer_that_litert_lacks(tmp_path):
    z = keras.Input((LATENT,))
    h = keras.layers.Dense(30)(z)
    image = keras.layers.Reshape(SHAPE)(keras.layers.Lambda(lambda x: tf.math.igamma(2.0, x))(h))
    likelihood = distributions.Gaussian()
    half = written(
        tmp_path, keras.Model(z, image), likelihood, distributions.StandardNormal(LATENT)
    )
    options = {"batches": [None], "representative": {"z": Z}}
    for precisions in (["dynamic", "int8"], PRECISIONS):
        files, left_out = make_variants(half.path, "decoder", precisions=precisions, **options)
        assert files == {}
        assert set(left_out) == {file_name("decoder", p, None) for p in precisions}
        assert all("Igamma" in reason for reason in left_out.values())
