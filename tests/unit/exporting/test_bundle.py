"""What stands in a bundle."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tensorflow.core.protobuf import saved_model_pb2

from tests.bundles import write_bundle
from vae_tf.distributions import MixtureOfNormals
from vae_tf.errors import ExportError
from vae_tf.exporting import verify_bundle
from vae_tf.formats.litert import files as litert


def files(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}


def signature_defs(saved_model: Path):
    message = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    return message.meta_graphs[0].signature_def


def test_layout_has_nothing_else(exported):
    half = {
        "fingerprint.pb",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
        "assets.extra/tf_serving_warmup_requests",
    }
    clients = {"request.sh", "rest_client.py", "grpc_client.py", "compose.yaml"}
    configs = {"models.config", "batching.config", "monitoring.config"}
    assert files(exported.bundle.directory) == {
        "README.md",
        "manifest.json",
        "parity.json",
        *(f"serving/{name}" for name in clients | configs),
        *(f"golden/1/{name}.npz" for name in exported.bundle.manifest["signatures"]),
        "encoder.tflite",
        "decoder.tflite",
        *(f"encoder/1/{name}" for name in half),
        *(f"decoder/1/{name}" for name in half),
        "decoder/1/assets.extra/prior.npz",
    }


def test_manifest_and_parity_are_what_is_on_disk(exported):
    bundle = exported.bundle
    assert json.loads(bundle.manifest_path.read_text()) == bundle.manifest
    assert json.loads(bundle.parity_path.read_text()) == bundle.parity


def test_manifest_hashes_every_file_but_itself(exported):
    root, listed = exported.bundle.directory, exported.bundle.manifest["files"]
    assert set(listed) == files(root) - {"manifest.json"}
    for name, entry in listed.items():
        content = (root / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def test_manifest_says_what_goes_in_and_comes_out(exported):
    manifest = exported.bundle.manifest
    encode, decode = (manifest["signatures"][name] for name in ("encode", "decode"))
    assert encode["inputs"]["image"]["shape"] == [None, 6, 5, 1]
    assert {name: o["shape"] for name, o in encode["outputs"].items()} == {
        "z_mean": [None, 3],
        "z_log_var": [None, 3],
    }
    assert encode["outputs"]["z_log_var"]["meaning"].startswith("natural logarithm of the variance")
    assert decode["inputs"]["z"]["shape"] == [None, 3]
    assert decode["outputs"]["image"]["shape"] == [None, 6, 5, 1]
    assert manifest["prior"] == {"class_name": "StandardNormal", "config": {"latent_dim": 3}}
    assert manifest["posterior"]["class_name"] == "DiagonalNormal"
    assert manifest["likelihood"]["class_name"] == "Bernoulli"
    assert manifest["preprocessing"] == {"scale": "divide by 255"}
    assert manifest["provenance"] == {"run": "runs/7"}
    assert set(manifest["packages"]) >= {"vae_tf", "tensorflow", "keras", "python"}


@pytest.mark.parametrize(
    ("half", "name", "inputs", "outputs"),
    [
        ("encoder", "encode", {"image"}, {"z_mean", "z_log_var"}),
        ("decoder", "decode", {"z"}, {"image"}),
    ],
)
def test_signatures_and_tensors_have_the_agreed_names(exported, half, name, inputs, outputs):
    directory = exported.bundle.directory
    definitions = signature_defs(directory / half / "1")
    for key in (name, "serving_default"):
        assert set(definitions[key].inputs) == inputs
        assert set(definitions[key].outputs) == outputs
        for info in (*definitions[key].inputs.values(), *definitions[key].outputs.values()):
            assert info.tensor_shape.dim[0].size == -1, "the batch dimension must be free"
            assert info.dtype == 1, "float32"
    signatures = Interpreter(str(directory / f"{half}.tflite")).get_signature_list()
    others = {"generate", "prior_log_prob"} if half == "decoder" else set()
    assert set(signatures) == {name} | others
    assert set(signatures[name]["inputs"]) == inputs
    assert set(signatures[name]["outputs"]) == outputs


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_each_weight_is_stored_once(exported, half):
    weights = sum(w.numpy().nbytes for w in exported.parts[half].weights)
    directory = exported.bundle.directory / half / "1" / "variables"
    stored = (directory / "variables.data-00000-of-00001").stat().st_size
    assert weights <= stored <= 1.2 * weights


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_tflite_has_builtin_operators_only(exported, half):
    operators = litert.operators((exported.bundle.directory / f"{half}.tflite").read_bytes())
    assert "FULLY_CONNECTED" in operators
    assert set(operators) <= set(litert.BUILTIN_NAMES.values()) - {"CUSTOM"}


def test_parity_covers_every_signature_and_runtime(exported):
    parity = exported.bundle.parity
    for name, outputs in (("encode", {"z_mean", "z_log_var"}), ("decode", {"image"})):
        assert set(parity["signatures"][name]) == {"python_saved_model", "cpp_loader", "litert"}
        for errors in parity["signatures"][name].values():
            assert set(errors) == outputs
            for error in errors.values():
                assert error["max_relative_error"] <= parity["tolerance"]["relative"]


def test_verify_accepts_the_bundle(exported):
    assert verify_bundle(exported.bundle.directory) == exported.bundle


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"format_version": 99}'])
def test_verify_refuses_what_is_no_manifest(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ExportError, match=r"manifest\.json must"):
        verify_bundle(tmp_path)


def assert_can_be_drawn_from_without_us(bundle, prior):
    """The README's lines: their draws have the moments of the prior's own."""
    path = bundle.directory / bundle.manifest["prior_parameters"]
    assert bundle.manifest["prior_parameters"] in bundle.manifest["files"]
    saved, rng, n = np.load(path), np.random.default_rng(0), 100_000
    k = rng.choice(len(saved["weights"]), size=n, p=saved["weights"] / saved["weights"].sum())
    z = saved["loc"][k] + saved["scale"][k] * rng.standard_normal((n, saved["loc"].shape[1]))
    own = prior.distribution().sample(n, seed=[1, 2]).numpy()
    for power in (1, 2):
        error = np.sqrt((z**power).var(0) / n + (own**power).var(0) / n)
        assert (np.abs((z**power).mean(0) - (own**power).mean(0)) < 5 * error).all()


def test_the_prior_can_be_drawn_from_without_us(exported):
    assert_can_be_drawn_from_without_us(exported.bundle, exported.parts["prior"])


@pytest.mark.slow
def test_a_second_version(exported, make_parts, tmp_path, capfd):
    """With a learned prior, and a provenance that is no JSON."""
    directory = shutil.copytree(exported.bundle.directory, tmp_path / "bundle")
    prior = MixtureOfNormals(3, components=4, seed=5)
    prior.logits.assign([0.0, 1.0, 2.0, -1.0])
    prior.log_scales.assign(np.linspace(-1, 1, 12).reshape(4, 3))
    facts = {"loss": np.float32("nan"), "shape": (6, np.int64(5)), "path": Path("a/b")}
    capfd.readouterr()
    second = write_bundle(
        **make_parts(prior=prior), directory=directory, version=2, provenance=facts
    )
    assert capfd.readouterr() == ("", ""), "nothing may be printed"
    assert second.manifest["provenance"] == {"loss": "nan", "shape": [6, 5], "path": "a/b"}
    assert_can_be_drawn_from_without_us(second, prior)

    assert set(second.manifest["other_versions"]) == {"1"}
    verify_bundle(directory)
    for name in (
        "decoder.tflite",
        "encoder/2/variables/variables.index",
        "encoder/1/saved_model.pb",
    ):
        path = directory / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ExportError, match=f"{name} must have sha256"):
            verify_bundle(directory)
        path.write_bytes(content)
    verify_bundle(directory)
