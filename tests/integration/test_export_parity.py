"""One table: {encode, decode, generate} in every runtime, against Keras.

OpenVINO reads the SavedModels with a frontend of its own: a second opinion from outside
TensorFlow, on the signature that is the default. Its TFLite frontend computes convolutional
decoders wrongly and is no oracle.
"""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import write_bundle
from vae_tf import distributions, networks
from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import cpp_loader, tf_c_api
from vae_tf.signatures import row_rng

RUNTIMES = ("python_saved_model", "cpp_loader", "litert", "openvino")
LATENT = 4
NETWORKS = {
    "mlp": (networks.mlp_encoder, networks.mlp_decoder),
    "conv": (networks.conv_encoder, networks.conv_decoder),
    "resnet": (networks.resnet_encoder, networks.resnet_decoder),
}
CASES = [
    (name, shape, policy)
    for name in NETWORKS
    for shape in [(28, 28, 1), (7, 5, 3), (13, 10, 1), (13, 10, 3)]
    for policy in ["float32", "mixed_bfloat16"]
    if policy == "float32" or shape == (13, 10, 3)
]


def case_id(case):
    name, shape, policy = case
    return f"{name} {'x'.join(map(str, shape))} {policy}"


@pytest.fixture(scope="module")
def table(request):
    """Rows of errors, printed once the module is done, whatever pytest captures."""
    rows = {}
    yield rows
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\nlargest |error| / largest |output|, against Keras in float32")
        print(f"{'network':28s}{'signature':10s}" + "".join(f"{r:>20s}" for r in RUNTIMES))
        for (case, signature), errors in sorted(rows.items()):
            cells = "".join(
                f"{errors[r]:20.1e}" if r in errors else f"{'-':>20s}" for r in RUNTIMES
            )
            print(f"{case:28s}{signature:10s}{cells}")


def make_parts(name, shape, policy):
    """Returns write_bundle's keyword arguments, with weights like those of a trained model."""
    likelihood = distributions.GaussianPixelScale()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        encoder, decoder = NETWORKS[name]
        parts = {
            "encoder": encoder(shape, LATENT),
            "decoder": decoder(LATENT, likelihood.parameter_shapes(shape)),
        }
    finally:
        keras.config.set_dtype_policy(before)
    rng = np.random.default_rng(0)
    for weight in (w for model in parts.values() for w in model.weights):
        weight.assign(1.3 * weight.numpy() + rng.normal(0, 0.02, weight.shape))
    return parts | {
        "likelihood": likelihood,
        "prior": distributions.MixtureOfNormals(LATENT, components=20),
        "posterior": distributions.DiagonalNormal(),
    }


def keras_outputs(parts, x, z, seed, temperature):
    """Returns signature -> outputs as the parts define them; of vae_tf.exporting, noise alone."""
    normal, uniform = row_rng.normals(seed, LATENT), row_rng.uniforms(seed, 1)[:, 0]
    drawn = parts["prior"].from_noise(temperature[:, None] * normal, uniform)
    encoded, decoded, generated = (
        parts[half](value, training=False)
        for half, value in (("encoder", x), ("decoder", z), ("decoder", drawn))
    )
    outputs = {
        "encode": parts["posterior"].statistics(encoded),
        "decode": parts["likelihood"].statistics(decoded),
        "generate": {**parts["likelihood"].statistics(generated), "z": drawn},
    }
    return {s: {k: v.numpy() for k, v in o.items()} for s, o in outputs.items()}


def openvino_outputs(saved_model, x):
    openvino = pytest.importorskip("openvino", reason="the second opinion on SavedModels")
    model = openvino.Core().compile_model(saved_model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = model(x)
    return {port.any_name: results[port] for port in model.outputs}


def runtime_outputs(bundle, signature, half, batch):
    """Yields (runtime, outputs) for one signature."""
    directory = getattr(bundle, half)
    loaded = tf.saved_model.load(str(directory))
    results = loaded.signatures[signature](**{k: tf.constant(v) for k, v in batch.items()})
    yield "python_saved_model", {name: value.numpy() for name, value in results.items()}
    call = cpp_loader.Call(directory, signature, [batch])
    yield "cpp_loader", cpp_loader.run([call])[0][0]
    content = getattr(bundle, f"{half}_tflite").read_bytes()
    yield "litert", litert.run(content, signature, [batch])[0]
    if signature != "generate":
        yield "openvino", openvino_outputs(directory, *batch.values())


@pytest.mark.parametrize(
    "case",
    [
        # Of fifteen, four that differ in network, shape and precision; the rest in `make test-all`
        pytest.param(
            case, marks=pytest.mark.slow if i % 4 == 1 else pytest.mark.long, id=case_id(case)
        )
        for i, case in enumerate(CASES)
    ],
    ids=case_id,
)
def test_every_runtime_agrees_with_keras(case, tmp_path, table):
    name, shape, _ = case
    parts = make_parts(*case)
    bundle = write_bundle(**parts, directory=tmp_path)
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(3, *shape)).astype("float32")
    z = rng.standard_normal((3, LATENT)).astype("float32")
    seed, temperature = np.array([0, -1, 2**31 - 1], "int32"), np.float32([1, 0, 0.7])
    # The same seeds and weights under float32, so that the reference owes nothing to the rebuild.
    reference = keras_outputs(make_parts(name, shape, "float32"), x, z, seed, temperature)
    for signature, half, batch in (
        ("encode", "encoder", {"image": x}),
        ("decode", "decoder", {"z": z}),
        ("generate", "decoder", {"seed": seed, "temperature": temperature}),
    ):
        expected = reference[signature]
        row = table.setdefault((case_id(case), signature), {})
        for runtime, outputs in runtime_outputs(bundle, signature, half, batch):
            assert set(outputs) == set(expected), runtime
            row[runtime] = max(
                float(np.abs(outputs[key] - expected[key]).max() / np.abs(expected[key]).max())
                for key in expected
            )
            assert row[runtime] <= parity.RELATIVE, (signature, runtime)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    parts = make_parts("conv", (13, 10, 3), "float32")
    return write_bundle(**parts, directory=tmp_path_factory.mktemp("bundle"))


# TensorFlow looks for Keras without importing it, so it is the import that must fail.
WITHOUT_KERAS = """
import sys
from importlib.machinery import ModuleSpec

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"vae_tf", "keras", "tf_keras", "tensorflow_probability"}:
            return ModuleSpec(name, self, origin="/blocked/__init__.py")

    def create_module(self, spec):
        raise ImportError(f"{spec.name} is blocked")

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Blocked())
import tensorflow as tf

encoder, decoder = (tf.saved_model.load(path) for path in sys.argv[1:])
for batch in (1, 4):
    q = encoder.signatures["encode"](image=tf.ones([batch, 13, 10, 3]))
    p = decoder.signatures["decode"](z=q["z_mean"])
    assert p["image"].shape == p["scale"].shape == (batch, 13, 10, 3), p
    seed, temperature = tf.range(batch), tf.ones([batch])
    g = decoder.signatures["generate"](seed=seed, temperature=temperature)
    assert g["image"].shape == (batch, 13, 10, 3), g
    assert not {"vae_tf", "keras", "tensorflow_probability"} & set(sys.modules)
print("both ran")
"""


@pytest.mark.slow
def test_saved_models_need_neither_keras_nor_tfp_nor_vae_tf(bundle, tmp_path):
    command = [sys.executable, "-c", WITHOUT_KERAS, str(bundle.encoder), str(bundle.decoder)]
    child = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert child.stdout == "both ran\n", child.stderr


WITHOUT_SITE_PACKAGES = f"""
import sys

for name in ("tensorflow", "numpy", "keras", "vae_tf"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(name + " can be imported")
sys.argv = ["tf_c_api"]
exec(compile(open({tf_c_api.__file__!r}).read(), "tf_c_api", "exec"))
"""


def test_cpp_loader_runs_where_tensorflow_cannot_be_imported(bundle, tmp_path, monkeypatch):
    program = tmp_path / "isolated.py"
    program.write_text(WITHOUT_SITE_PACKAGES)
    monkeypatch.setattr(cpp_loader, "PROGRAM", program)
    monkeypatch.chdir(Path("/"))
    z = np.ones((2, LATENT), np.float32)
    ((outputs,),) = cpp_loader.run([cpp_loader.Call(bundle.decoder, "decode", [{"z": z}])])
    assert outputs["image"].shape == (2, 13, 10, 3)
