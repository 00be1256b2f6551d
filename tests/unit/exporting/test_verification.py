"""`verify_bundle`: what it notices that hashes alone would, and what they would not."""

import json
import shutil

import numpy as np
import pytest

from vae_tf.cli import export as door
from vae_tf.errors import ExportError
from vae_tf.exporting import manifest, verify_bundle
from vae_tf.formats import golden


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported.bundle.directory, tmp_path / "copy")


def forge(directory, name):
    """Makes the manifest agree with a changed file."""
    facts = manifest.read(directory)
    del facts["sha256"]
    facts["files"][name] = manifest.digest(directory / name)
    manifest.write(directory, facts)


def test_a_whole_bundle(copy, capsys):
    assert verify_bundle(copy).manifest["format_version"] == manifest.FORMAT_VERSION
    assert door.main(["--verify", str(copy)]) == 0
    assert "run as they did" in capsys.readouterr().out


def test_every_file_counts(copy):
    for name in json.loads((copy / "manifest.json").read_text())["files"]:
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ExportError, match="must have sha256"):
            verify_bundle(copy)
        (copy / name).unlink()
        with pytest.raises(ExportError, match="no such file"):
            verify_bundle(copy)
        (copy / name).write_bytes(content)
    verify_bundle(copy)


def test_a_file_nobody_listed(copy):
    (copy / "decoder/1/assets.extra/more").write_text("planted")
    with pytest.raises(ExportError, match=r"decoder/1/assets.extra/more as well"):
        verify_bundle(copy)


@pytest.mark.parametrize("signature", ["encode", "decode", "generate"])
def test_other_numbers_than_keras_gave(copy, signature):
    name = f"golden/1/{signature}.npz"
    inputs, outputs = golden.read(copy / name)
    key = sorted(outputs)[0]
    changed = {**outputs, key: outputs[key] + np.float32(0.01) * np.abs(outputs[key]).max()}
    golden.write(copy / name, inputs, changed)
    forge(copy, name)
    with pytest.raises(ExportError, match=f"{signature} in cpp_loader must agree"):
        verify_bundle(copy)


def test_a_litert_file_of_another_model(copy):
    shutil.copy(copy / "encoder.tflite", copy / "decoder.tflite")
    forge(copy, "decoder.tflite")
    with pytest.raises(ExportError, match="must run in LiteRT"):
        verify_bundle(copy)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--verify", "nowhere"], "must be the manifest of an exported bundle"),
        (["runs/x", "--verify", "y"], "--verify takes no run"),
        (["runs/x"], "needs a run and an --output"),
        ([], "needs a run and an --output"),
    ],
)
def test_messages(flags, message, capsys):
    assert door.main(flags) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
