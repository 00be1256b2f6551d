"""The C++ loader in its child process."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from vae_tf.errors import ExportError
from vae_tf.formats.runtimes import cpp_loader, tf_c_api


@pytest.fixture
def call(exported):
    x = np.random.default_rng(0).uniform(size=(2, 6, 5, 1)).astype("float32")
    return cpp_loader.Call(exported.bundle.encoder, "encode", [{"image": x}, {"image": x[:1]}])


def test_runs_several_inputs_and_models(exported, call):
    z = np.zeros((3, 3), np.float32)
    decode = cpp_loader.Call(exported.bundle.decoder, "decode", [{"z": z}])
    encoded, decoded = cpp_loader.run([call, decode])
    assert [answer["z_mean"].shape for answer in encoded] == [(2, 3), (1, 3)]
    np.testing.assert_allclose(encoded[0]["z_mean"][:1], encoded[1]["z_mean"], atol=1e-6)
    assert decoded[0]["image"].shape == (3, 6, 5, 1)


def test_empty_batch(exported):
    z = np.zeros((0, 3), np.float32)
    ((answer,),) = cpp_loader.run([cpp_loader.Call(exported.bundle.decoder, "decode", [{"z": z}])])
    assert answer["image"].shape == (0, 6, 5, 1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"signature": "serve"}, "no signature 'serve' among .*'encode'"),
        ({"batches": [{"x": np.zeros(1)}]}, r"inputs are \['image'\], not \['x'\]"),
        ({"batches": [{"image": np.zeros((1, 2, 2, 1), np.float32)}]}, "encode"),
    ],
)
def test_wrong_requests_are_refused(call, change, complaint):
    with pytest.raises(ExportError, match=complaint):
        cpp_loader.run([cpp_loader.Call(**(vars(call) | change))])


def test_missing_variables_are_noticed(call, tmp_path):
    # The loader itself does not mind; only the run does.
    path = shutil.copytree(call.saved_model, tmp_path / "1")
    shutil.rmtree(path / "variables")
    with pytest.raises(ExportError, match=r"must run in the C\+\+ loader"):
        cpp_loader.run([cpp_loader.Call(path, "encode", call.batches)])


def test_dead_child_is_an_error(call, tmp_path, monkeypatch):
    program = tmp_path / "dies.py"
    program.write_text("import sys; sys.exit('killed by the test')")
    monkeypatch.setattr(cpp_loader, "PROGRAM", program)
    with pytest.raises(ExportError, match="exit status 1: killed by the test"):
        cpp_loader.run([call])


def test_silent_child_is_an_error(call, tmp_path, monkeypatch):
    program = tmp_path / "sleeps.py"
    program.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(cpp_loader, "PROGRAM", program)
    monkeypatch.setattr(cpp_loader, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(ExportError, match="no answer in"):
        cpp_loader.run([call])


@pytest.mark.parametrize("pattern", ["lib{}.so.2", "lib{}.2.dylib"])
def test_libraries_of_linux_and_macos(tmp_path, pattern):
    names = [pattern.format(f"tensorflow_{part}") for part in ("framework", "cc")]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in cpp_loader.libraries(tmp_path)] == names


def test_child_can_import_nothing_but_the_standard_library():
    command = [sys.executable, "-I", "-S", "-c", "import numpy"]
    assert b"ModuleNotFoundError" in subprocess.run(command, capture_output=True).stderr


def test_varints():
    assert tf_c_api.varint(b"\x96\x01", 0) == (150, 2)
    message = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x19" + bytes(8) + b"\x25" + bytes(4)
    assert list(tf_c_api.fields(message)) == [(2, b"hi")]
