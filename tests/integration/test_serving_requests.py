"""Clients and warm-up records of a bundle against stand-ins for TF Serving, over loopback."""

import base64
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import bundle_of
from vae_tf.exporting.serving.files import serving_files, signature_table
from vae_tf.formats.runtimes import cpp_loader

from .serving_standin import Models, Runtime, grpc_server, rest_server
from .small_model import LATENT, parts

# A proxy would be asked for loopback, too
DIRECT = os.environ | {"no_proxy": "*"}


@pytest.fixture(scope="module", autouse=True)
def no_proxy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundle_of(tmp_path_factory, "whole", **parts())


@pytest.fixture(scope="module")
def files(bundle, tmp_path_factory):
    """The directory of the bundle's serving files."""
    return write_files(bundle.manifest, tmp_path_factory.mktemp("serving"))


def write_files(manifest, directory):
    for name, text in serving_files(manifest).items():
        (directory / name).write_text(text)
    return directory


@pytest.fixture(scope="module")
def runtime():
    runtime = Runtime()
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def models(bundle, files, runtime):
    return Models((files / "models.config").read_text(), bundle.directory, runtime)


@pytest.fixture(scope="module")
def rest_port(models):
    with rest_server(models) as port:
        yield port


@pytest.fixture(scope="module")
def grpc_port(models):
    with grpc_server(models) as port:
        yield port


def client(path):
    """Returns the client's module; it is a program, too, and in no package."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=["rest", "grpc"])
def asked(request, files):
    """A client and a way to ask the server that it is for."""
    module = client(files / f"{request.param}_client.py")
    port = request.getfixturevalue(f"{request.param}_port")

    def predict(signature, inputs, **options):
        answer = module.predict(signature, inputs, "127.0.0.1", port, **options)
        dtypes = {k: s["dtype"] for k, s in module.SIGNATURES[signature]["outputs"].items()}
        return {
            name: np.asarray(rows, object if dtypes[name] == "string" else dtypes[name])
            for name, rows in answer.items()
        }

    return SimpleNamespace(client=module, port=port, predict=predict)


@pytest.fixture(scope="module")
def free_port():
    """A port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


def batch(name, spec, rows, rng):
    """Returns `rows` rows of an input as a signature's table describes it."""
    shape = (rows, *spec["shape"][1:])
    if spec["dtype"] == "string":
        return np.array([base64.b64decode(spec["example"])] * rows, object)
    if spec["dtype"] == "int32":
        return rng.integers(-(2**31), 2**31, shape).astype(np.int32)
    values = rng.uniform(size=shape)
    return (values.round() if name == "mask" else values).astype(spec["dtype"])


def batches(table, sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [{k: batch(k, s, n, rng) for k, s in table["inputs"].items()} for n in sizes]


@pytest.fixture(scope="module")
def verified(bundle):
    """Signature -> requests, and the C++ loader's answers by the way that exports are verified."""
    table = signature_table(bundle.manifest["signatures"])
    requests = {name: batches(entry, (1, 3)) for name, entry in table.items()}
    paths = {
        n: bundle.directory / s["saved_model"] for n, s in bundle.manifest["signatures"].items()
    }
    answers = cpp_loader.run([cpp_loader.Call(paths[n], n, r) for n, r in requests.items()])
    return {
        n: list(zip(requests[n], a, strict=True)) for n, a in zip(requests, answers, strict=True)
    }


@pytest.mark.slow
def test_every_signature_is_answered_as_the_loader_answers(asked, verified):
    assert list(asked.client.SIGNATURES) == list(verified)
    for signature, pairs in verified.items():
        for request, expected in pairs:
            # Lists of Python's numbers, as a user has them, must come through to the last bit.
            plain = {name: x.tolist() for name, x in request.items()}
            for answer in (asked.predict(signature, request), asked.predict(signature, plain)):
                assert answer.keys() == expected.keys()
                for name, value in expected.items():
                    np.testing.assert_array_equal(
                        answer[name], value, err_msg=f"{signature} {name}"
                    )


def test_examples_have_the_signature_s_shapes(asked):
    for signature, table in asked.client.SIGNATURES.items():
        answer = asked.predict(signature, asked.client.example(signature, rows=2))
        assert {k: [None, *v.shape[1:]] for k, v in answer.items()} == {
            k: s["shape"] for k, s in table["outputs"].items()
        }
        assert all(len(value) == 2 for value in answer.values())


def test_not_a_number_comes_through(asked):
    answer = asked.predict("generate", {"seed": [3, 4], "temperature": [float("nan"), 1.0]})
    finite = np.isfinite(answer["image"]).reshape(2, -1)
    assert finite.tolist() == [[False] * 30, [True] * 30]


def test_versions_can_be_chosen(asked):
    request = asked.client.example("decode")
    newest, first = asked.predict("decode", request), asked.predict("decode", request, version=1)
    np.testing.assert_array_equal(newest["image"], first["image"])
    with pytest.raises(asked.client.ServingError, match=r"(404|NOT_FOUND).*Specific\(decoder, 9\)"):
        asked.predict("decode", request, version=9)


@pytest.mark.parametrize(
    ("signature", "inputs", "complaint"),
    [
        ("decode", {"z": [[0.0, 0.0]]}, "INVALID_ARGUMENT|400.*(dimension|size|shape|Matrix)"),
        ("decode", {}, "z"),
        ("generate", {"seed": [1], "temperature": [1.0, 1.0]}, "equal 0th-dimension size"),
        ("generate", {"seed": [1.5], "temperature": [1.0]}, "int32"),
        ("generate", {"seed": [2**31], "temperature": [1.0]}, "int32"),
        ("dream", {}, "no signature 'dream' among encode"),
    ],
)
def test_bad_requests_end_in_one_line(asked, signature, inputs, complaint):
    with pytest.raises(asked.client.ServingError, match=complaint) as caught:
        asked.predict(signature, inputs)
    assert "\n" not in str(caught.value)
    asked.predict("decode", {"z": [[0.0] * LATENT]})  # the server goes on


def test_nobody_there_is_said_in_one_line(asked, free_port):
    with pytest.raises(
        asked.client.ServingError, match=r"no answer .*refused.* Start it"
    ) as caught:
        asked.client.predict("decode", {"z": [[0.0] * LATENT]}, "127.0.0.1", free_port)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["rest", "grpc"])
def test_clients_are_programs(files, free_port, name):
    # The standard library is all that REST may need.
    alone = ["-I", "-S"] if name == "rest" else []
    command = [sys.executable, *alone, files / f"{name}_client.py", "127.0.0.1", str(free_port)]
    done = subprocess.run(command, capture_output=True, text=True, env=DIRECT, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: no answer from TF Serving's")
    assert "Traceback" not in done.stderr


def test_programs_show_every_signature(asked, capsys):
    asked.client.main("127.0.0.1", str(asked.port))
    shown = {tuple(line.split()[:2]) for line in capsys.readouterr().out.splitlines()}
    assert shown == {
        (f"{signature}:", name)
        for signature, table in asked.client.SIGNATURES.items()
        for name in table["outputs"]
    }


def shell(files, directory, address):
    command = ["sh", files / "request.sh", address]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, env=DIRECT)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
def test_curl(bundle, files, runtime, rest_port, free_port, tmp_path):
    done = shell(files, tmp_path, f"127.0.0.1:{rest_port}")
    assert done.returncode == 0, done.stderr
    pieces = iter(re.split(r"^(\w+):.*\n", done.stdout, flags=re.MULTILINE)[1:])
    shown = dict(zip(pieces, pieces, strict=True))
    rest = client(files / "rest_client.py")
    for signature, table in rest.SIGNATURES.items():
        if any(len(spec["shape"]) > 2 for spec in table["inputs"].values()):
            assert signature not in shown
            continue
        dtypes = {name: spec["dtype"] for name, spec in table["inputs"].items()}
        ones = {
            name: np.asarray(rows, object if dtypes[name] == "string" else dtypes[name])
            for name, rows in rest.example(signature).items()
        }
        path = bundle.directory / bundle.manifest["signatures"][signature]["saved_model"]
        expected = runtime(path, signature, ones)
        if "image_bytes" in expected:
            assert (tmp_path / f"{signature}.png").read_bytes() == expected["image_bytes"][0]
            continue
        (row,) = json.loads(shown[signature])["predictions"]
        # Of a single output the server leaves out the name
        row = row if len(expected) > 1 else {next(iter(expected)): row}
        assert row.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(np.float32(row[name]), value[0], err_msg=signature)
    done = shell(files, tmp_path, f"127.0.0.1:{free_port}")
    assert done.returncode == 7  # curl's code for no connection
    assert "Failed to connect" in done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
def test_curl_shows_the_server_s_error(files, tmp_path, runtime):
    with rest_server(Models("", tmp_path, runtime)) as port:
        done = shell(files, tmp_path, f"127.0.0.1:{port}")
    assert done.returncode == 22  # curl's code for an HTTP error
    assert "Servable not found for request: Latest(" in done.stdout


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        # As api_rest.md has it: rows bare or as objects, columns bare or as an object
        ({"instances": [[0, 0, 0], [1, 1, 1.5]]}, "predictions"),
        ({"instances": [{"z": [0, 0, 0]}, {"z": [1, 1, 1.5]}]}, "predictions"),
        ({"inputs": [[0, 0, 0], [1, 1, 1.5]]}, "outputs"),
        ({"inputs": {"z": [[0, 0, 0], [1, 1, 1.5]]}}, "outputs"),
        ({"signature_name": "decode", "inputs": [[0, 0, 0], [1, 1, 1.5]]}, "outputs"),
        ({"instances": [], "signature_name": "decode"}, "No values in 'instances'"),
        ({"instances": [[0, 0, 0]], "inputs": [[0, 0, 0]]}, "or both"),
        ({"instances": [["0", 0, 0]]}, "not of expected type: float"),
        ({"instances": [[0, 0, 0], [0, 0]]}, "no tensor"),
        ({"instances": [{"y": [0, 0, 0]}]}, "keys must be equal to: z"),
        ({"signature_name": "dream", "instances": [[0, 0, 0]]}, '"dream" not found'),
    ],
)
def test_documented_forms_of_json(files, rest_port, runtime, bundle, body, answer):
    rest = client(files / "rest_client.py")
    arguments = f"http://127.0.0.1:{rest_port}", "/v1/models/decoder:predict", body, 60
    if answer not in ("predictions", "outputs"):
        with pytest.raises(rest.ServingError, match=answer):
            rest._post(*arguments)
        return
    content = rest._post(*arguments)[answer]
    image = content["image"] if answer == "outputs" else [row["image"] for row in content]
    z = np.array([[0, 0, 0], [1, 1, 1.5]], np.float32)
    expected = runtime(bundle.decoder, "decode", {"z": z})
    np.testing.assert_array_equal(np.float32(image), expected["image"])


EXACT = {"generate": {"z"}}  # made of integers and elementwise functions alone


def test_batching_changes_no_row(bundle, runtime):
    """As the server's: rows of several requests run as one, and the answers are cut apart."""
    for signature, table in signature_table(bundle.manifest["signatures"]).items():
        path = bundle.directory / bundle.manifest["signatures"][signature]["saved_model"]
        requests = batches(table, (1, 4, 2, 1, 8))
        joined = {name: np.concatenate([r[name] for r in requests]) for name in requests[0]}
        together = runtime(path, signature, joined)
        at = 0
        for request in requests:
            rows = len(next(iter(request.values())))
            for name, alone in runtime(path, signature, request).items():
                cut, where = together[name][at : at + rows], f"{signature} {name}"
                if name in EXACT.get(signature, ()) or alone.dtype.kind != "f":
                    np.testing.assert_array_equal(cut, alone, err_msg=where)
                else:
                    atol = (1e-6 if name == "image" else 1e-5) * np.nanmax(np.abs(alone))
                    np.testing.assert_allclose(cut, alone, rtol=0, atol=atol, err_msg=where)
            at += rows
        assert at == 16


def test_files_go_in_and_come_out(asked):
    request = {"seed": [7, 8, 2], "temperature": [1.0, 0.5, float("nan")]}
    *pictures, none = asked.predict("generate_png", request)["image_bytes"]
    assert none == b""
    levels = np.array([tf.io.decode_png(picture).numpy() for picture in pictures])
    image = asked.predict("generate", request)["image"][:2]
    np.testing.assert_allclose(levels, 255 * image.clip(0, 1), rtol=0, atol=0.501)
    encoded = asked.predict("encode_bytes", {"image_bytes": [*pictures, b"no picture"]})
    expected = asked.predict("encode", {"image": np.float32(levels) / 255})
    for name, value in expected.items():
        np.testing.assert_allclose(encoded[name][:2], value, rtol=0, atol=1e-5)
        assert np.isnan(encoded[name][2]).all()
