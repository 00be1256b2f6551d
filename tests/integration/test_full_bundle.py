"""A bundle with all it can hold, of a small model that has learned something."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

import vae_tf
from vae_tf.errors import ExportError
from vae_tf.exporting import FULL, Options, manifest, verify_bundle
from vae_tf.formats import golden
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.metadata import read_metadata

pytestmark = pytest.mark.slow  # six exports

SHAPE, LATENT = (8, 8, 1), 4
LEVELS = {"scale": 1 / 255, "value_range": [0.0, 1.0]}


@pytest.fixture(scope="module")
def x():
    return (load_digits().images[..., None] > 8).astype("float32")


@pytest.fixture(scope="module")
def vae(x):
    likelihood = vae_tf.likelihoods.Bernoulli()
    parameters = likelihood.parameter_shapes(SHAPE)
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder(SHAPE, LATENT, hidden=(64,), seed=0),
        vae_tf.networks.mlp_decoder(LATENT, parameters, hidden=(64,), seed=1),
        likelihood=likelihood,
        prior=vae_tf.priors.MixtureOfNormals(LATENT, components=5),
        seed=0,
    )
    vae.compile(optimizer="adam")
    vae.fit(x[:1200], epochs=10, batch_size=50, verbose=0)
    return vae


@pytest.fixture(scope="module")
def bundle(vae, x, tmp_path_factory):
    picture = tmp_path_factory.mktemp("picture") / "p.png"
    Image.fromarray(np.zeros((4, 4), "uint8")).save(picture)
    return vae_tf.export(
        vae,
        tmp_path_factory.mktemp("bundle"),
        train=x[:1200],
        validation=x[1200:1500],
        test=x[1500:],
        preprocessing=LEVELS,
        pictures={"samples": picture.read_bytes()},
    )


def test_it_holds_every_signature(bundle):
    assert set(bundle.manifest["signatures"]) == {
        *("encode", "sample", "encode_bytes", "decode", "generate", "generate_png"),
        *("prior_log_prob", "reconstruct", "score", "impute", "surprisal"),
    }
    assert bundle.manifest["remarks"] == {}


def test_it_verifies(bundle):
    assert verify_bundle(bundle.directory).version == 1


def test_litert_files_are_judged_and_chosen_among(bundle):
    told = bundle.manifest["litert"]
    directory = bundle.directory / "litert/1"
    files = {entry["file"]: entry for entry in told["files"]}
    assert len(files) + len(told["refused"]) == 24
    assert {p.name for p in directory.glob("*.tflite")} == set(files)
    for name, entry in files.items():
        content = (directory / name).read_bytes()
        assert entry["bytes"] == len(content)
        assert read_metadata(content)["fingerprint"] == bundle.manifest["fingerprint"]
        assert abs(entry["delta_nll"]) <= 0.5
        batch = entry["batch"]
        shapes = litert.shapes(litert.opened(content))[entry["signatures"][0]]["inputs"]
        assert {shape[0] for shape in shapes.values()} == {batch}
    for half, name in told["recommended"].items():
        assert files[name]["half"] == half
        assert files[name]["recommended"]
        smallest = min(e["bytes"] for e in files.values() if (e["half"], e["batch"]) == (half, 1))
        assert files[name]["bytes"] <= 1.1 * smallest
    assert told["signatures"]["generate"] == told["recommended"]["decoder"]


def test_nats_that_int8_costs_agree_with_the_evaluation(bundle, vae, x):
    """log p(x|z) by the file, at the posterior's mean, against Keras's: another estimate."""
    content = (bundle.directory / "litert/1/decoder-int8.tflite").read_bytes()
    z = vae.encode(x[1500:]).mean().numpy()
    (outputs,) = litert.run(content, "decode", [{"z": z}])
    p = np.clip(outputs["image"], 1e-7, 1 - 1e-7)
    by_file = np.where(x[1500:] > 0, np.log(p), np.log1p(-p)).sum((1, 2, 3))
    lost = vae.decode(z).log_prob(x[1500:]).numpy() - by_file
    entry = next(
        e for e in bundle.manifest["litert"]["files"] if e["file"] == "decoder-int8.tflite"
    )
    spread = np.hypot(lost.std() / np.sqrt(len(lost)), entry["delta_nll_stderr"])
    assert abs(lost.mean() - entry["delta_nll"]) <= 4.5 * spread


def test_threshold_is_passed_by_few_images_and_by_negatives(bundle, x):
    score = tf.saved_model.load(str(bundle.whole)).signatures["score"]
    threshold = bundle.manifest["anomaly"]["threshold"]
    held_out = x[1500:]

    def above(images):
        seed = tf.range(len(images)) + 10_000
        return score(image=tf.constant(images), seed=seed)["nll"].numpy() > threshold

    rate, n = 0.01, len(held_out)
    # Of 300 scores the 298th is passed with a probability that is Beta(3, 298), sd 0.0057
    assert above(held_out).mean() <= rate + 4.5 * np.hypot(np.sqrt(rate * (1 - rate) / n), 0.0057)
    assert above(1 - held_out).mean() > 0.9


def test_score_is_the_evaluation_s(bundle, vae, x):
    """The importance-weighted bound of the server against `log_likelihood`, as many draws."""
    images = x[1500:]
    score = tf.saved_model.load(str(bundle.whole)).signatures["score"]
    served = score(image=tf.constant(images), seed=tf.range(len(images)))
    result = vae_tf.log_likelihood(vae, images, num_samples=64, seed=1)
    spread = np.sqrt(2) * max(result.monte_carlo_stderr, 1e-3)
    assert abs(served["nll"].numpy().mean() - result.nll) <= 4.5 * spread


def test_golden_vectors_are_of_test_images(bundle, x):
    inputs, _ = golden.read(bundle.directory / "golden/1/encode.npz")
    np.testing.assert_array_equal(inputs["image"], x[1500:1505])


def test_card_links_lead_somewhere(bundle):
    text = (bundle.directory / "README.md").read_text()
    links = re.findall(r"\]\((.*?)\)", text)
    assert links == ["pictures/1/samples.png"]
    assert (bundle.directory / links[0]).is_file()
    assert f"{bundle.manifest['anomaly']['threshold']:.2f} nats" in text
    for half in ("encoder", "decoder"):
        assert f"**`{bundle.manifest['litert']['recommended'][half]}`**" in text


def test_second_version_keeps_the_first(vae, x, bundle):
    again = vae_tf.export(vae, bundle.directory, version=2, options=Options())
    assert (bundle.directory / "litert/1/report.json").is_file()
    assert again.whole is None
    assert set(again.manifest["other_versions"]) == {"1"}
    (bundle.directory / "golden/1/score.npz").write_bytes(b"")
    with pytest.raises(ExportError, match=r"golden/1/score.npz must have sha256"):
        verify_bundle(bundle.directory)


def test_images_as_bytes(vae, x, tmp_path):
    options = Options(image_dtype="uint8", whole=True, precisions=("float32", "int8"), batches=(1,))
    splits = {"train": x[:200], "validation": x[1200:1400], "test": x[1500:1600]}
    bundle = vae_tf.export(vae, tmp_path, **splits, preprocessing=LEVELS, options=options)
    levels = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype="uint8")
    expected = vae.encode((levels / 255).astype("float32")).mean().numpy()
    encode = tf.saved_model.load(str(bundle.encoder)).signatures["encode"]
    np.testing.assert_allclose(encode(image=tf.constant(levels))["z_mean"], expected, atol=1e-4)
    content = (tmp_path / "litert/1/encoder-float32-batch1.tflite").read_bytes()
    (outputs,) = litert.run(content, "encode", [{"image": levels[:1]}])
    np.testing.assert_allclose(outputs["z_mean"], expected[:1], atol=1e-4)
    assert all(e["delta_nll"] <= 0.5 for e in bundle.manifest["litert"]["files"])
    verify_bundle(tmp_path)


def test_without_images_there_is_no_int8_and_it_is_said(vae, tmp_path):
    options = Options(precisions=("float32", "int8"), batches=(1,))
    bundle = vae_tf.export(vae, tmp_path, options=options)
    told = bundle.manifest["litert"]
    assert {entry["precision"] for entry in told["files"]} == {"float32"}
    assert "No training images" in told["remarks"][0]
    assert bundle.manifest["anomaly"] is None
    assert {entry["delta_nll"] for entry in told["files"]} == {None}
    json.loads((tmp_path / "litert/1/report.json").read_text())
    assert manifest.read(tmp_path)["image_dtype"] == "float32"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"train": np.zeros((3, 8, 8))}, r"train images must have shape \[N, 8, 8, 1\]"),
        ({"test": np.zeros((0, 8, 8, 1))}, "test images must have shape"),
        ({"validation": np.full((2, 8, 8, 1), np.nan)}, "validation images must be finite"),
    ],
)
def test_images_that_are_none(vae, tmp_path, images, message):
    with pytest.raises(ExportError, match=message):
        vae_tf.export(vae, tmp_path / "out", **images)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_dtype": "int8"},
        {"importance_samples": 0},
        {"false_alarm_rate": 1.0},
        {"precisions": ("int4",)},
    ],
)
def test_options_that_are_none(wrong):
    with pytest.raises(ExportError):
        Options(**{**FULL.__dict__, **wrong})
