"""Bundles of conditional models: the condition is an input like any other, a row's own."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import bundle_of, write_bundle
from tests.bundles import halves as halves_of
from vae_tf import distributions, networks
from vae_tf.data.batch import Batch
from vae_tf.errors import ExportError
from vae_tf.exporting import Options, verify_bundle
from vae_tf.exporting.web import model as web_model
from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import saved_model
from vae_tf.models import VAE
from vae_tf.models.parts import NAMES, Parts
from vae_tf.signatures import coding, endpoints, generation, row_rng
from vae_tf.signatures.conditions import Condition
from vae_tf.signatures.halves import Halves

pytestmark = pytest.mark.slow  # every signature of several models

SHAPE, LATENT, CLASSES, ROWS = (4, 3, 1), 2, 3, 7
RNG = np.random.default_rng(0)
LABELS = np.array([0, 1, 2, 2, 1, 0, 1], np.int32)
SEEDS = np.arange(ROWS, dtype=np.int32) - 3
ONES = np.ones(ROWS, np.float32)
UNIT = {"scale": 1 / 255, "value_range": [0.0, 1.0]}


def images(n=ROWS):
    return (np.random.default_rng(1).uniform(size=(n, *SHAPE)) < 0.4).astype("float32")


def parts_of(condition):
    """Returns a model's parts, all of which depend on the condition, and visibly so."""
    likelihood = distributions.Bernoulli()
    shapes = likelihood.parameter_shapes(SHAPE)
    prior = networks.conditional_prior_network(condition, LATENT)
    for weight in prior.weights:
        weight.assign(RNG.normal(0, 0.7, weight.shape))
    return {
        "encoder": networks.mlp_encoder(SHAPE, LATENT, (8,), condition=condition),
        "decoder": networks.mlp_decoder(LATENT, shapes, (8,), condition=condition),
        "prior": distributions.Conditional(prior),
        "posterior": distributions.DiagonalNormal(),
        "likelihood": likelihood,
    }


@pytest.fixture(scope="module")
def parts():
    keras.utils.set_random_seed(0)
    return parts_of(CLASSES)


@pytest.fixture(scope="module")
def bundle(parts, tmp_path_factory):
    """One bundle with all signatures, and LiteRT files of two precisions."""
    held_out = (images(120), np.arange(120) % CLASSES)
    one_hot = (images(120), np.eye(CLASSES)[np.arange(120) % CLASSES])
    splits = {"train": one_hot, "validation": held_out, "test": held_out}
    options = Options(
        whole=True, importance_samples=2, precisions=("float32", "int8"), batches=(1,)
    )
    return bundle_of(
        *(tmp_path_factory, "conditional"),
        **{**parts, "images": splits, "options": options, "preprocessing": UNIT},
    )


@pytest.fixture(scope="module")
def model(parts):
    return VAE(**parts)


def test_every_signature_takes_the_condition_of_its_rows(bundle):
    signatures = bundle.manifest["signatures"]
    assert set(signatures) == {
        *("encode", "sample", "encode_bytes", "decode", "generate", "generate_png"),
        *("prior_log_prob", "reconstruct", "score", "impute", "surprisal"),
    }
    for signature in signatures.values():
        spec = signature["inputs"]["condition"]
        assert (spec["shape"], spec["dtype"], spec["role"]) == ([None], "int32", "condition")
        assert (spec["range"], spec["whole"]) == ([0.0, CLASSES - 1.0], True)
    assert {"cpp_loader", "python_saved_model", "litert"} <= set(
        bundle.parity["signatures"]["decode"]
    )
    assert {"cpp_loader", "litert"} <= set(bundle.parity["signatures"]["generate"])
    assert "GATHER" in signatures["decode"]["litert_operators"]


def test_halves_are_those_of_the_model(bundle, model, ask):
    x = images()
    q, encoded = model.encode((x, LABELS)), {"image": x, "condition": LABELS}
    told = ask(bundle.encoder, "encode", encoded)
    np.testing.assert_allclose(told["z_mean"], q.mean(), atol=1e-5)
    np.testing.assert_allclose(np.exp(told["z_log_var"] / 2), q.stddev(), rtol=1e-5)
    z = RNG.normal(size=(ROWS, LATENT)).astype("float32")
    want = model.decode(z, LABELS).mean()
    requests = {"z": z, "condition": LABELS}
    np.testing.assert_allclose(ask(bundle.decoder, "decode", requests)["image"], want, atol=1e-5)
    (told,) = litert.run(bundle.decoder_tflite.read_bytes(), "decode", [requests])
    np.testing.assert_allclose(told["image"], want, atol=1e-5)
    told = ask(bundle.whole, "reconstruct", encoded)
    np.testing.assert_allclose(told["image"], model.reconstruct((x, LABELS)), atol=1e-5)


@pytest.mark.parametrize("runtime", ["cpp", "litert"])
def test_a_row_is_generated_of_its_own_condition(bundle, parts, ask, runtime):
    def generate(seeds, labels):
        batch = {"seed": seeds, "temperature": ONES[: len(seeds)], "condition": labels}
        if runtime == "litert":
            return litert.run(bundle.decoder_tflite.read_bytes(), "generate", [batch])[0]
        return ask(bundle.decoder, "generate", batch)

    told = generate(SEEDS, LABELS)
    seeds = tf.constant(SEEDS)
    noise = row_rng.normals(seeds, LATENT), row_rng.uniforms(seeds, 1)[:, 0]
    z = parts["prior"].from_noise(*noise, LABELS)
    np.testing.assert_allclose(told["z"], z, atol=1e-5)
    for row in range(ROWS):
        alone = generate(SEEDS[row : row + 1], LABELS[row : row + 1])
        np.testing.assert_allclose(alone["image"][0], told["image"][row], atol=1e-5)
    others = generate(SEEDS, (LABELS + 1) % CLASSES)
    assert np.abs(others["z"] - told["z"]).max(1).min() > 0.01


def test_scores_are_bounds_of_what_the_model_says(bundle, parts, ask):
    own = Parts(**{name: parts[name] for name in NAMES})
    x, batch = images(), Batch(tf.constant(images()), condition=tf.constant(LABELS))
    n = 2000
    many = {"image": np.repeat(x, n, 0), "condition": np.repeat(LABELS, n)}
    many["seed"] = np.arange(n * ROWS, dtype=np.int32)
    pieces = [  # a request may have 4096 rows
        ask(
            bundle.whole,
            "score",
            {name: values[start : start + n] for name, values in many.items()},
        )
        for start in range(0, n * ROWS, n)
    ]
    told = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    kl = own.q(batch).kl_divergence(own.p(batch))
    np.testing.assert_allclose(told["kl"].reshape(ROWS, n)[:, 0], kl, rtol=1e-4)
    qz = own.q(batch)
    log_px = own.log_px(qz.sample(4000, seed=[1, 2]), batch).numpy().astype(float)
    reconstruction = told["reconstruction"].astype(float).reshape(ROWS, n)
    error = np.hypot(reconstruction.std(1) / np.sqrt(n), log_px.std(0) / np.sqrt(4000))
    assert (np.abs(reconstruction.mean(1) + log_px.mean(0)) < 4.5 * error).all()


@pytest.mark.parametrize("label", [-1, CLASSES, 2**31 - 1])
@pytest.mark.parametrize("runtime", ["cpp", "litert"])
def test_a_class_that_is_none_spoils_its_row_alone(bundle, ask, label, runtime):
    labels = LABELS.copy()
    labels[2] = label
    for half, name, inputs in (
        ("encoder", "encode", {"image": images()}),
        ("decoder", "decode", {"z": np.ones((ROWS, LATENT), np.float32)}),
        ("decoder", "generate", {"seed": SEEDS, "temperature": ONES}),
    ):
        inputs = {**inputs, "condition": labels}
        if runtime == "litert":
            content = getattr(bundle, f"{half}_tflite").read_bytes()
            (told,) = litert.run(content, name, [inputs])
        else:
            told = ask(getattr(bundle, half), name, inputs)
        for value in told.values():
            bad = np.isnan(value.reshape(ROWS, -1))
            assert bad.all(1).tolist() == bad.any(1).tolist() == [i == 2 for i in range(ROWS)]


def test_what_is_made_around_it_knows_the_condition(bundle, tmp_path):
    assert verify_bundle(bundle.directory).manifest == bundle.manifest
    assert 0 < bundle.manifest["anomaly"]["threshold"] < 100
    kept = {entry["file"]: entry for entry in bundle.manifest["litert"]["files"]}
    assert "decoder-float32-batch1.tflite" in kept
    assert kept["encoder-float32-batch1.tflite"]["delta_nll"] == pytest.approx(0, abs=1e-3)
    assert not [e for e in bundle.manifest["litert"]["refused"] if "int8" in e]
    assert "conditional on `condition`" in (bundle.directory / "README.md").read_text("utf-8")
    assert "'condition'" in (bundle.directory / "serving" / "rest_client.py").read_text("utf-8")
    web_model.write(bundle.directory, bundle.manifest, tmp_path / "model")
    page = json.loads((tmp_path / "model" / web_model.NAME).read_text("utf-8"))
    (condition,) = page["conditions"]
    assert condition["shape"] == []
    assert condition["range"] == [0, CLASSES - 1]
    takes = {name: ["condition"] for name in ("decode", "generate", "prior_log_prob")}
    assert page["models"]["decoder"]["signatures"] == takes
    assert page["models"]["encoder"]["signatures"] == {"encode": ["condition"]}


def test_a_dict_is_an_input_for_each_key(tmp_path, ask):
    parts = parts_of({"digit": CLASSES, "seed": (2,)})
    halves = Halves(VAE(**parts).parts, SHAPE, vectors=("seed",))
    decode = coding.decode_endpoint(halves)
    generate, remark = generation.offer(halves, decode, parity.trial(tmp_path))
    assert remark is None
    # `seed` is what another input is called
    names = ["seed", "temperature", "digit", "condition_seed"]
    assert sorted(i.name for i in generate.inputs) == sorted(names)
    saved_model.write([decode, generate], tmp_path / "1")
    for endpoint in (decode, generate):
        batches = parity.probes(endpoint)
        want = parity.reference(endpoint, batches)
        content = litert.convert(tmp_path / "1", [endpoint.name])
        parity.compare("litert", endpoint.name, want, litert.run(content, endpoint.name, batches))
    values = RNG.normal(size=(ROWS, 2)).astype("float32")
    batch = {"seed": SEEDS, "temperature": ONES, "digit": LABELS, "condition_seed": values}
    told = ask(tmp_path / "1", "generate", batch)
    model = VAE(**parts)
    condition = {"digit": LABELS, "seed": values}
    want = model.decode(told["z"], condition).mean()
    np.testing.assert_allclose(told["image"], want, atol=1e-5)
    values[3, 0] = np.nan
    told = ask(tmp_path / "1", "generate", {**batch, "condition_seed": values})
    assert np.isnan(told["z"]).all(1).tolist() == [i == 3 for i in range(ROWS)]


def test_vectors_that_are_no_classes_are_sent_as_they_are():
    parts = parts_of((CLASSES,))
    halves = halves_of(SHAPE, LATENT, **parts)
    soft = RNG.uniform(size=(ROWS, CLASSES)).astype("float32")
    with pytest.raises(ExportError, match="vectors="):
        halves.examples((images(), soft), "test")
    with pytest.raises(ExportError, match="classes from 0 to 2"):
        halves.examples((images(), LABELS + 1), "test")
    with pytest.raises(ExportError, match="must have 'condition'"):
        halves.examples(images(), "test")
    (spec,) = type(halves)(halves.parts, SHAPE, vectors=("condition",)).condition().inputs
    assert (spec.dtype, spec.shape, spec.bounds) == ("float32", (CLASSES,), None)


def test_a_prior_without_from_noise_is_drawn_row_by_row(tmp_path, ask):
    class Drawn(distributions.Conditional):
        def from_noise(self, normal, uniform, condition=None):
            return None

    parts = parts_of(CLASSES)
    parts["prior"] = Drawn(parts["prior"].network)
    halves = halves_of(SHAPE, LATENT, **parts)
    decode = coding.decode_endpoint(halves)
    generate, remark = generation.offer(halves, decode, parity.trial(tmp_path))
    assert remark == generation.SAMPLED
    saved_model.write([decode, generate], tmp_path / "1")
    n = 3000
    batch = {"seed": np.arange(3 * n, dtype=np.int32), "temperature": np.ones(3 * n, np.float32)}
    batch["condition"] = np.repeat(np.int32([0, 1, 2]), n)
    z = ask(tmp_path / "1", "generate", {**batch, "condition": np.repeat(np.int32([0, 1, 2]), n)})[
        "z"
    ]
    pz = parts["prior"].distribution(np.arange(3))
    error = 4.5 * pz.stddev().numpy() / np.sqrt(n)
    assert (np.abs(z.reshape(3, n, LATENT).mean(1) - pz.mean().numpy()) < error).all()


def test_networks_of_a_mask_are_given_a_complete_one():
    x, mask = keras.Input(SHAPE, name="x"), keras.Input(SHAPE, name="mask")
    h = keras.layers.Dense(5)(keras.layers.Flatten()(keras.layers.Concatenate()([x, mask])))
    outputs = {name: keras.layers.Dense(LATENT)(h) for name in ("z_mean", "z_log_var")}
    encoder = keras.Model({"x": x, "mask": mask}, outputs)
    halves = halves_of(SHAPE, LATENT, encoder=encoder)
    made, _ = endpoints.vae_endpoints(halves, 2)
    assert [e.name for e in made] == ["reconstruct", "score", "impute", "surprisal"]
    encode = coding.encode_endpoint(halves)
    assert [i.name for i in encode.inputs] == ["image"]
    (told,) = parity.reference(encode, [{"image": images()}])
    want = encoder({"x": images(), "mask": np.ones_like(images())})["z_mean"]
    np.testing.assert_allclose(told["z_mean"], want, atol=1e-6)


def test_an_unconditional_model_has_none():
    assert halves_of(SHAPE, LATENT).condition() == Condition()


@pytest.mark.parametrize("shape", [(), (1,)])
def test_classes_of_an_embedding_are_as_many_as_it_has(shape, serve):
    z, label = keras.Input((LATENT,), name="z"), keras.Input(shape, name="c", dtype="int32")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(CLASSES, 4)(label))
    h = keras.layers.Concatenate()([z, embedded])
    logits = keras.layers.Reshape(SHAPE)(keras.layers.Dense(12)(h))
    decoder = keras.Model({"z": z, "c": label}, logits)
    decode = coding.decode_endpoint(halves_of(SHAPE, LATENT, decoder=decoder))
    _, given = decode.inputs
    assert (given.name, given.shape, given.bounds) == ("c", (), (0.0, CLASSES - 1.0))
    z = np.ones((3, LATENT), np.float32)
    told = serve([decode])("decode", z=z, c=np.int32([1, CLASSES, 2]))["image"]
    assert np.isnan(told).all((1, 2, 3)).tolist() == [False, True, False]
    own = tf.sigmoid(decoder({"z": z, "c": np.int32([1, 1, 2]).reshape(3, *shape)}))
    np.testing.assert_allclose(told[[0, 2]], own.numpy()[[0, 2]], atol=1e-6)


@keras.saving.register_keras_serializable("tests")
class Own(keras.Model):
    """An encoder whose Keras shape nobody knows, under a name of its own for x."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flat = keras.layers.Flatten()
        self.mean, self.log_var = keras.layers.Dense(LATENT), keras.layers.Dense(LATENT)

    def call(self, data, condition):
        h = tf.concat([self.flat(data), tf.one_hot(condition, CLASSES)], 1)
        return {"z_mean": self.mean(h), "z_log_var": self.log_var(h)}


def test_an_encoder_that_is_a_subclass(parts, serve):
    own = VAE(Own(), parts["decoder"], prior=parts["prior"])
    told = own.encode((images(), LABELS))
    with pytest.raises(ExportError, match="known height, width and channels"):
        write_bundle(**{**parts, "encoder": own.encoder}, directory="nowhere")
    encode = coding.encode_endpoint(Halves(own.parts, SHAPE))
    have = serve([encode])("encode", image=images(), condition=LABELS)
    np.testing.assert_allclose(have["z_mean"], told.mean(), atol=1e-6)
