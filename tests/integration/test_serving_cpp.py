"""export/serving/predict.cc: a C++ program on TensorFlow's SavedModelBundle, as TF Serving is."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import bundle_of
from vae_tf.formats import parity
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures import row_rng

from .small_model import LATENT, SHAPE, parts

SOURCES = Path(__file__).parents[2] / "export" / "serving"

pytestmark = [
    pytest.mark.slow,  # g++ takes up to a minute
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in ("g++", "make")), reason="g++ or make is missing"
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Returns a function: arguments -> the finished process."""
    path = tmp_path_factory.mktemp("program") / "predict"
    command = ["make", "-C", SOURCES, f"PYTHON={sys.executable}", f"OUT={path}"]
    subprocess.run(command, check=True, capture_output=True, timeout=600)

    def run(*arguments):
        command = [path, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = parts()
    bundle = bundle_of(tmp_path_factory, "whole", **model)
    return SimpleNamespace(**model, bundle=bundle)


def outputs(done):
    assert done.returncode == 0, done.stderr
    return {
        name: np.array(value["values"]).reshape(value["shape"])
        for name, value in json.loads(done.stdout.splitlines()[0]).items()
    }


def numbers(array):
    return ",".join(map(repr, array.ravel().tolist()))


def assert_agree(received, expected):
    assert set(received) == set(expected)
    for name, value in expected.items():
        error = np.abs(received[name] - np.asarray(value)).max()
        assert error <= parity.RELATIVE * np.abs(value).max() + parity.ABSOLUTE, name


def test_encode(program, exported, tmp_path):
    x = np.random.default_rng(0).uniform(size=(4, *SHAPE)).astype(np.float32)
    (tmp_path / "x.txt").write_text("\n".join(map(repr, x.ravel().tolist())))
    expected = exported.posterior.statistics(exported.encoder(x))
    for signature in ("encode", "serving_default"):
        done = program(exported.bundle.encoder, signature, f"image=@{tmp_path / 'x.txt'}")
        assert_agree(outputs(done), expected)


def test_decode(program, exported):
    z = np.random.default_rng(1).standard_normal((5, LATENT)).astype(np.float32)
    expected = exported.likelihood.statistics(exported.decoder(z))
    for signature in ("decode", "serving_default"):
        done = program(exported.bundle.decoder, signature, f"z={numbers(z)}")
        assert_agree(outputs(done), expected)


def test_generate(program, exported):
    seed = np.array([0, -1, 2**31 - 1, -(2**31)], np.int32)
    temperature = np.float32([1, 0, 0.7, 1.5])
    noise = temperature[:, None] * row_rng.normals(seed, LATENT)
    z = exported.prior.from_noise(noise, row_rng.uniforms(seed, 1)[:, 0])
    expected = {"z": z, **exported.likelihood.statistics(exported.decoder(z))}
    given = f"seed={numbers(seed)}", f"temperature={numbers(temperature)}"
    done = program(exported.bundle.decoder, "generate", *given)
    assert_agree(outputs(done), expected)


def test_not_a_number(program, exported):
    done = program(exported.bundle.decoder, "generate", "seed=1,2", "temperature=nan,1")
    assert np.isnan(outputs(done)["image"]).reshape(2, -1).all(1).tolist() == [True, False]


def test_sample(program, exported):
    x = np.random.default_rng(2).uniform(size=(2, *SHAPE)).astype(np.float32)
    seed = np.array([5, -6], np.int32)
    given = f"image={numbers(x)}", f"seed={numbers(seed)}"
    z = exported.posterior.from_noise(exported.encoder(x), row_rng.normals(seed, LATENT))
    assert_agree(outputs(program(exported.bundle.encoder, "sample", *given)), {"z": z})


def test_encode_bytes(program, exported, tmp_path):
    levels = np.random.default_rng(3).integers(0, 256, (2, *SHAPE)).astype(np.uint8)
    for i, image in enumerate(levels):
        (tmp_path / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    given = [f"image_bytes=@{tmp_path / f'{i}.png'}" for i in range(2)]
    expected = exported.posterior.statistics(exported.encoder(levels / np.float32(255)))
    assert_agree(outputs(program(exported.bundle.encoder, "encode_bytes", *given)), expected)


def test_generate_png(program, exported):
    given = "seed=7,8", "temperature=1,1"
    pictures = outputs(program(exported.bundle.decoder, "generate_png", *given))["image_bytes"]
    image = outputs(program(exported.bundle.decoder, "generate", *given))["image"]
    levels = [tf.io.decode_png(base64.b64decode(picture)).numpy() for picture in pictures]
    np.testing.assert_allclose(levels, 255 * image.clip(0, 1), rtol=0, atol=0.501)


def test_reconstruct(program, exported):
    x = np.random.default_rng(4).uniform(size=(2, *SHAPE)).astype(np.float32)
    mean = exported.posterior.statistics(exported.encoder(x))["z_mean"]
    expected = exported.likelihood.statistics(exported.decoder(mean))
    answer = program(exported.bundle.whole, "reconstruct", f"image={numbers(x)}")
    assert_agree(outputs(answer), expected)


def test_score(program, exported):
    # Against Python's loader; the export compares that with Keras.
    x = np.random.default_rng(5).uniform(size=(2, *SHAPE)).astype(np.float32)
    seed = np.array([5, -6], np.int32)
    (expected,) = saved_model.run(exported.bundle.whole, "score", [{"image": x, "seed": seed}])
    given = f"image={numbers(x)}", f"seed={numbers(seed)}"
    assert_agree(outputs(program(exported.bundle.whole, "score", *given)), expected)


def test_lists_the_manifest_s_signatures(program, exported):
    manifest = exported.bundle.manifest["signatures"]
    listed = {}
    for path in dict.fromkeys(entry["saved_model"] for entry in manifest.values()):
        for line in program(exported.bundle.directory / path).stdout.splitlines():
            if not line.startswith("  "):
                signature = listed.setdefault(line, {"inputs": {}, "outputs": {}})
                continue
            end, name, dtype, shape = line.split()
            sizes = [None if s == "?" else int(s) for s in shape.strip("[]").split(",")]
            signature[f"{end}s"][name] = {"float": "float32"}.get(dtype, dtype), sizes
    assert listed.pop("serving_default")
    assert listed == {
        name: {
            ends: {k: (s["dtype"], s["shape"]) for k, s in entry[ends].items()}
            for ends in ("inputs", "outputs")
        }
        for name, entry in manifest.items()
    }


def test_bench_reports_latencies(program, exported):
    done = program(exported.bundle.decoder, "decode", "z=0,0,0", "--bench", 20)
    report = json.loads(done.stdout.splitlines()[1])
    assert report["runs"] == 20
    assert 0 < report["p50_us"] <= report["p99_us"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["dream", "z=0,0,0"], "no signature dream"),
        (["decode"], "give z="),
        (["decode", "z=0,0"], "z takes rows of 3 numbers, not 2"),
        (["decode", "z=0,0,a"], "z has no number in a"),
        (["decode", "z=0,0,0", "y=1"], "no input y"),
        (["decode", "z=@nowhere"], "cannot read nowhere"),
        (["decode", "z"], "NAME=VALUE expected, not z"),
        (["generate", "seed=1.5", "temperature=1"], "seed must be int32"),
        (["generate", "seed=2147483648", "temperature=1"], "seed must be int32"),
    ],
)
def test_bad_arguments_end_in_one_line(program, exported, arguments, complaint):
    done = program(exported.bundle.decoder, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == f"predict: {complaint}"


def test_no_saved_model(program, tmp_path):
    done = program(tmp_path)
    assert done.returncode == 1
    assert "Could not find SavedModel" in done.stderr
