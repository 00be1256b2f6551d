"""LiteRT files as clients use them: inputs and outputs by position, rows that do not match."""

import itertools

import keras
import numpy as np
import pytest
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.bundles import bundle_of
from vae_tf import distributions, networks
from vae_tf.exporting import Options
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.metadata import read_metadata

SHAPE, LATENT, CLASSES = (4, 3, 1), 2, 3
DOCUMENTED = {
    "encode": (["image", "condition"], ["z_mean", "z_log_var"]),
    "decode": (["z", "condition"], ["image", "scale"]),
    "generate": (["seed", "temperature", "condition"], ["image", "scale", "z"]),
    "prior_log_prob": (["z"], ["log_prob"]),
}
DELEGATES = [OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A conditional model whose signatures have several inputs and outputs each."""
    keras.utils.set_random_seed(0)
    likelihood = distributions.GaussianLearnedScale()
    shapes = likelihood.parameter_shapes(SHAPE)
    x = np.random.default_rng(0).normal(size=(40, *SHAPE)).astype("float32")
    return bundle_of(
        *(tmp_path_factory, "litert-clients"),
        encoder=networks.mlp_encoder(SHAPE, LATENT, (8,), condition=CLASSES),
        decoder=networks.mlp_decoder(LATENT, shapes, (8,), condition=CLASSES),
        prior=distributions.StandardNormal(LATENT),
        posterior=distributions.DiagonalNormal(),
        likelihood=likelihood,
        images={"train": (x, np.arange(40) % CLASSES)},
        options=Options(precisions=("float32", "int8"), batches=(None, 1)),
    )


@pytest.fixture(scope="module")
def files(bundle):
    """Every `.tflite` file, by name."""
    paths = sorted(bundle.directory.rglob("*.tflite"))
    assert len(paths) >= 8
    return {path.name: path.read_bytes() for path in paths}


def inputs_of(details, sizes):
    return {
        name: np.ones((size, *detail["shape"][1:]), detail["dtype"])
        for (name, detail), size in zip(details.items(), sizes, strict=True)
    }


def test_the_manifest_tells_the_order(bundle, files):
    for name, (inputs, outputs) in DOCUMENTED.items():
        entry = bundle.manifest["signatures"][name]
        assert entry["litert_order"] == {"inputs": inputs, "outputs": outputs}
        assert [list(entry["inputs"]), list(entry["outputs"])] == [inputs, outputs]
    told = read_metadata(files["decoder.tflite"])
    assert told["order"] == {
        name: bundle.manifest["signatures"][name]["litert_order"]
        for name in DOCUMENTED
        if name != "encode"
    }
    assert told["fingerprint"] == bundle.manifest["fingerprint"]
    assert bundle.manifest["signatures"]["sample"]["litert_order"] is None


def test_every_file_is_in_that_order(files):
    for content in files.values():
        model = litert.opened(content)
        for signature in model.signatureDefs:
            graph = model.subgraphs[signature.subgraphIndex]
            wanted = DOCUMENTED[signature.signatureKey.decode()]
            for side, names in zip(("inputs", "outputs"), wanted, strict=True):
                ends = getattr(signature, side)
                assert [end.name.decode() for end in ends] == names
                assert [end.tensorIndex for end in ends] == list(getattr(graph, side))


def test_outputs_of_an_interpreter_by_index(files):
    for content in files.values():
        interpreter = Interpreter(model_content=content)
        (first, *_) = litert.opened(content).signatureDefs
        name = first.signatureKey.decode()
        details = interpreter.get_signature_runner(name).get_input_details()
        batch = inputs_of(details, [1] * len(details))
        wanted = interpreter.get_signature_runner(name)(**batch)
        wanted = {key: value.copy() for key, value in wanted.items()}
        plain = Interpreter(model_content=content)
        plain.allocate_tensors()
        for detail, key in zip(plain.get_input_details(), DOCUMENTED[name][0], strict=True):
            plain.set_tensor(detail["index"], batch[key])
        plain.invoke()
        for detail, key in zip(plain.get_output_details(), DOCUMENTED[name][1], strict=True):
            np.testing.assert_array_equal(plain.get_tensor(detail["index"]), wanted[key])


def test_outputs_of_a_compiled_model_by_index(files):
    content = files["decoder-float32-batch1.tflite"]
    model = CompiledModel.from_buffer(content)
    for name, (inputs, outputs) in DOCUMENTED.items():
        if name not in litert.signatures(content):
            continue
        details = Interpreter(model_content=content).get_signature_runner(name).get_input_details()
        batch = inputs_of(details, [1] * len(details))
        (wanted,) = litert.run(content, name, [batch])
        index = model.get_signature_index(name)
        given, made = model.create_input_buffers(index), model.create_output_buffers(index)
        for buffer, key in zip(given, inputs, strict=True):
            buffer.write(batch[key].ravel())
        model.run_by_index(index, given, made)
        for buffer, key in zip(made, outputs, strict=True):
            have = buffer.read(wanted[key].size, np.float32)
            np.testing.assert_allclose(have, wanted[key].ravel(), atol=1e-6)


@pytest.mark.parametrize("resolver", DELEGATES)
def test_unequal_numbers_of_rows_are_refused(files, resolver):
    tried = 0
    for content in files.values():
        for name in litert.signatures(content):

            def run(sizes, content=content, name=name):
                interpreter = Interpreter(
                    model_content=content, experimental_op_resolver_type=resolver
                )
                runner = interpreter.get_signature_runner(name)
                return runner(**inputs_of(runner.get_input_details(), sizes))

            count = len(DOCUMENTED[name][0])
            for sizes in itertools.product((1, 2, 3), repeat=count):
                if len(set(sizes)) > 1:
                    with pytest.raises((RuntimeError, ValueError)):
                        run(sizes)
                    tried += 1
            outputs = litert.shapes(litert.opened(content))[name]["outputs"]
            free = outputs[DOCUMENTED[name][1][0]][0] is None
            for size in (1, 2, 3) if free else (1,):
                assert {len(value) for value in run([size] * count).values()} == {size}
    assert tried > 50
