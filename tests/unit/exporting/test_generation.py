"""`generate`: the trained prior's draws in every runtime, row by row."""

import json
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.bundles import halves as halves_of
from tests.bundles import write_bundle
from vae_tf import distributions, networks
from vae_tf.errors import ExportError
from vae_tf.exporting import manifest, verify_bundle
from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures import generation, row_rng
from vae_tf.signatures.coding import decode_endpoint

SHAPE, LATENT = (6, 5, 1), 3
SEEDS = np.array([0, -1, 2**31 - 1, -(2**31), 7, 8, 9, 123_456_789], np.int32)


class Bent(distributions.Prior):
    """A user's prior: Keras weights, one of them a layer's, and no mixture of normals."""

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.scale = self.add_weight(name="scale", shape=(latent_dim,), initializer="ones")
        self.bend = keras.layers.Dense(latent_dim, "tanh", bias_initializer="random_normal")
        self.bend.build((None, latent_dim))

    def from_noise(self, normal, uniform):
        return self.scale * normal + 2 * self.bend(normal) + uniform[:, None]


class HeavyTailed(distributions.Prior):
    """A prior that can only be sampled, from a weight it has."""

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.loc = self.add_weight(name="loc", shape=(latent_dim,), initializer="ones")

    def distribution(self):
        return tfd.Independent(tfd.StudentT(5.0, tf.convert_to_tensor(self.loc), 2.0), 1)


def mixture(components=200):
    prior = distributions.MixtureOfNormals(LATENT, components=components, seed=3)
    rng = np.random.default_rng(0)
    prior.logits.assign(rng.normal(size=components))
    prior.log_scales.assign(rng.uniform(-3, 0, size=(components, LATENT)))
    return prior


PRIORS = {
    "normal": lambda: distributions.StandardNormal(LATENT),
    "mixture": mixture,
    "user's": lambda: Bent(LATENT),
}


RUNTIMES = ["python", "cpp", "litert"]


@pytest.fixture(scope="module")
def draw(ask):
    """Returns a function: a decoder, runtime, seeds, temperature -> outputs of `generate`."""

    def run(made, runtime, seeds, temperature=1.0):
        seeds = np.asarray(seeds, np.int32)
        heat = np.broadcast_to(np.asarray(temperature, np.float32), seeds.shape)
        batch = {"seed": seeds, "temperature": heat}
        if runtime == "litert":
            return litert.run(made.tflite, "generate", [batch])[0]
        return ask(made.path, "generate", batch, runtime)

    return run


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A function: name of a prior -> an exported decoder and its parts, made once."""
    made = {}

    def make(name):
        if name not in made:
            likelihood, prior = distributions.GaussianPixelScale(), PRIORS[name]()
            parameters = likelihood.parameter_shapes(SHAPE)
            decoder = networks.mlp_decoder(LATENT, parameters, hidden=(300, 200))
            named = {"decoder": decoder, "prior": prior, "likelihood": likelihood}
            model = halves_of(SHAPE, LATENT, **named)
            decode = decode_endpoint(model)
            directory = tmp_path_factory.mktemp("generation")
            generate, remark = generation.offer(model, decode, parity.trial(directory))
            assert remark is None
            saved_model.write([decode, generate], directory / "1")
            made[name] = SimpleNamespace(
                path=directory / "1",
                tflite=litert.convert(directory / "1", ["decode", "generate"]),
                decoder=decoder,
                prior=prior,
                likelihood=likelihood,
            )
        return made[name]

    return make


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_draws_what_the_prior_draws(small, draw, name, runtime):
    parts = small(name)
    seeds, heat = np.r_[SEEDS, np.arange(2000)], 0.7
    have = draw(parts, runtime, seeds, heat)
    seeds = tf.constant(seeds, tf.int32)
    noise = heat * row_rng.normals(seeds, LATENT), row_rng.uniforms(seeds, 1)[:, 0]
    z = parts.prior.from_noise(*noise)
    # Absolute: a component chosen differently would be off by whole units.
    np.testing.assert_allclose(have["z"], z, atol=1e-5)
    want = parts.likelihood.statistics(parts.decoder(z))
    assert set(have) == {"z", *want}
    for key, value in want.items():
        np.testing.assert_allclose(have[key], value, atol=1e-5 * float(tf.reduce_max(value)))


@pytest.mark.parametrize("name", ["normal", "mixture"])
def test_draws_have_the_moments_of_the_prior(small, draw, name):
    parts, n = small(name), 200_000
    seeds = np.arange(n) - n // 2
    z = draw(parts, "python", seeds)["z"]
    for rows in (slice(1), slice(-3, None), slice(n // 2, n // 2 + 7)):  # many threads or one
        np.testing.assert_array_equal(draw(parts, "python", seeds[rows])["z"], z[rows])
    z = z.astype(np.float64)
    own = parts.prior.distribution().sample(n, seed=[1, 2]).numpy().astype(np.float64)
    powers = [lambda x: x, lambda x: x**2, lambda x: x**3, lambda x: x * np.roll(x, 1, 1)]
    for power in powers:
        have, want = power(z), power(own)
        error = np.sqrt(have.var(0) / n + want.var(0) / n)
        assert (np.abs(have.mean(0) - want.mean(0)) < 4.5 * error).all()


@pytest.mark.parametrize("name", ["normal", "mixture"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_row_is_the_same_alone_and_in_any_batch(small, draw, name, runtime):
    made = small(name)
    heat = np.linspace(0, 2, len(SEEDS))
    whole = draw(made, runtime, SEEDS, heat)
    order = np.random.default_rng(0).permutation(len(SEEDS))
    mixed = draw(made, runtime, SEEDS[order], heat[order])
    np.testing.assert_array_equal(mixed["z"], whole["z"][order])
    for rows in ([0], [1], [2, 3, 4], [7, 7]):
        some = draw(made, runtime, SEEDS[rows], heat[rows])
        np.testing.assert_array_equal(some["z"], whole["z"][rows])
        np.testing.assert_allclose(some["image"], whole["image"][rows], atol=1e-6)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_matrix_product_may_differ_in_the_last_bits(small, draw, runtime):
    made = small("user's")
    whole = draw(made, runtime, SEEDS)["z"]
    alone = np.concatenate([draw(made, runtime, [seed])["z"] for seed in SEEDS])
    np.testing.assert_allclose(alone, whole, atol=2e-6)


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_temperature_that_is_none_spoils_its_row_alone(small, draw, name, runtime):
    made = small(name)
    heat = np.array([1, np.nan, 0.5, np.inf, -np.inf, -1e-3, 2, -0.0], np.float32)
    spoilt = np.isin(np.arange(8), [1, 3, 4, 5])
    outputs = draw(made, runtime, SEEDS, heat)
    clean = draw(made, runtime, SEEDS, np.where(spoilt, 1, heat))
    for key, value in outputs.items():
        assert np.isnan(value[spoilt]).all(), key
        np.testing.assert_array_equal(value[~spoilt], clean[key][~spoilt])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_temperature_zero_is_the_centre(small, draw, runtime):
    np.testing.assert_array_equal(draw(small("normal"), runtime, SEEDS, 0.0)["z"], 0.0)
    parts = small("mixture")
    z = draw(parts, runtime, SEEDS, 0.0)["z"]
    means = parts.prior.means.numpy()
    assert {tuple(row) for row in z} <= {tuple(row) for row in means}


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_empty_batch(small, draw, name, runtime):
    outputs = draw(small(name), runtime, [])
    assert outputs["z"].shape == (0, LATENT)
    assert outputs["image"].shape == (0, *SHAPE)


@pytest.mark.parametrize("name", PRIORS)
def test_weights_are_there_once(small, name):
    parts = small(name)
    weights = sum(w.numpy().nbytes for w in parts.decoder.weights)
    stored = parts.path / "variables" / "variables.data-00000-of-00001"
    assert weights <= stored.stat().st_size <= weights + 2000
    content, alone = parts.tflite, litert.convert(parts.path, ["decode"])
    own = sum(w.numpy().nbytes for w in parts.prior.weights)
    assert len(content) <= len(alone) + own + 40_000 < len(alone) + weights
    for weight in (w.numpy() for w in parts.decoder.weights if w.shape == (300, 200)):
        assert content.count(weight.T.tobytes()) == 1


@pytest.mark.slow
def test_manifest_and_parity_tell_of_it(exported):
    bundle = exported.bundle
    entry = bundle.manifest["signatures"]["generate"]
    assert bundle.manifest["generate"] == {"available": True, "litert": True, "reason": None}
    assert (entry["saved_model"], entry["litert"]) == ("decoder/1", "decoder.tflite")
    seed, temperature = entry["inputs"]["seed"], entry["inputs"]["temperature"]
    assert (seed["shape"], seed["dtype"]) == ([None], "int32")
    assert (temperature["shape"], temperature["dtype"]) == ([None], "float32")
    assert all(spec["meaning"] and spec["unit"] for spec in (seed, temperature))
    assert {k: v["shape"] for k, v in entry["outputs"].items()} == {
        "z": [None, LATENT],
        "image": [None, *SHAPE],
    }
    report = bundle.parity["signatures"]["generate"]
    assert set(report) == {"python_saved_model", "cpp_loader", "litert"}
    assert all(set(errors) == {"z", "image"} for errors in report.values())
    assert verify_bundle(bundle.directory) == bundle


@pytest.mark.slow
def test_a_prior_that_can_only_be_sampled(make_parts, draw, tmp_path):
    prior = HeavyTailed(LATENT)
    bundle = write_bundle(**make_parts(prior=prior), directory=tmp_path)
    facts = bundle.manifest
    assert (facts["generate"]["available"], facts["generate"]["litert"]) == (True, False)
    assert "no from_noise" in facts["generate"]["reason"]
    assert facts["signatures"]["generate"]["litert"] is None
    assert facts["signatures"]["generate"]["inputs"]["temperature"]["only"] == 1
    assert litert.signatures(bundle.decoder_tflite.read_bytes()) == ["decode", "prior_log_prob"]
    assert set(bundle.parity["signatures"]["generate"]) == {"python_saved_model", "cpp_loader"}
    verify_bundle(tmp_path)

    made = SimpleNamespace(path=bundle.decoder)
    want = [prior.distribution().sample(seed=[seed, 0]) for seed in SEEDS.tolist()]
    for runtime in ("python", "cpp"):
        z = draw(made, runtime, SEEDS)["z"]
        np.testing.assert_allclose(z, want, atol=1e-5)
        np.testing.assert_array_equal(draw(made, runtime, SEEDS[2:3])["z"], z[2:3])
        heat = np.where(np.arange(len(SEEDS)) == 4, 0.5, 1)
        outputs = draw(made, runtime, SEEDS, heat)
        assert np.isnan(outputs["z"][4]).all()
        assert np.isnan(outputs["image"][4]).all()
        np.testing.assert_array_equal(np.delete(outputs["z"], 4, 0), np.delete(z, 4, 0))


class Unseeded(HeavyTailed):
    """Its draws come from nowhere."""

    def distribution(self):
        return SimpleNamespace(sample=lambda seed: tf.random.normal([self.latent_dim]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prior", "reason"),
    [
        pytest.param(
            lambda: distributions.Prior(LATENT),
            "must define `distribution`",
            marks=pytest.mark.slow,
        ),
        (lambda: Unseeded(LATENT), "must agree with the reference"),
    ],
)
def test_no_way_of_drawing_is_told_in_the_manifest(make_parts, tmp_path, prior, reason):
    bundle = write_bundle(**make_parts(prior=prior()), directory=tmp_path)
    told = bundle.manifest["generate"]
    assert (told["available"], told["litert"]) == (False, False)
    assert reason in told["reason"]
    assert "\n" not in told["reason"]
    assert set(bundle.manifest["signatures"]) == {"encode", "sample", "decode"}
    assert litert.signatures(bundle.decoder_tflite.read_bytes()) == ["decode"]
    assert not list(tmp_path.glob(".staging*"))
    verify_bundle(tmp_path)


def noisy(function):
    """A prior of latent dimension LATENT whose from_noise is `function`."""
    prior = distributions.StandardNormal(LATENT)
    prior.from_noise = function
    return prior


@pytest.mark.slow
def test_from_noise_beyond_litert_is_on_servers_only(make_parts, tmp_path):
    def function(normal, uniform):
        return tf.reduce_sum(tf.linalg.inv(tf.linalg.diag(1 + normal**2)), -1)

    bundle = write_bundle(**make_parts(prior=noisy(function)), directory=tmp_path)
    told = bundle.manifest["generate"]
    assert (told["available"], told["litert"]) == (True, False)
    assert "MatrixInverse" in told["reason"]
    assert bundle.manifest["signatures"]["generate"]["litert"] is None
    verify_bundle(tmp_path)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda normal, uniform: normal + tf.random.normal([LATENT]), "a row of its noise alone"),
        (lambda normal, uniform: normal - tf.reduce_mean(normal, 0), "a row of its noise alone"),
        (lambda normal, uniform: tf.constant(normal.numpy()), "from_noise must turn normal"),
        (lambda normal, uniform: tf.zeros([2, LATENT]), r"must return z \[B, 3\]"),
        (lambda normal, uniform: normal[:1], r"must return z \[B, 3\]"),
        (lambda normal, uniform: normal[:, :2], r"must return z \[B, 3\]"),
        (lambda normal, uniform: normal / 0.0, "generate must return finite numbers"),
    ],
)
def test_a_from_noise_that_is_none_is_refused(make_parts, tmp_path, function, complaint):
    target = tmp_path / "bundle"
    with pytest.raises(ExportError, match=complaint) as caught:
        write_bundle(**make_parts(prior=noisy(function)), directory=target)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_a_bundle_from_before_generate_is_read(exported, tmp_path):
    path = shutil.copytree(exported.bundle.directory, tmp_path / "bundle")
    facts = json.loads((path / "manifest.json").read_text())
    del facts["generate"], facts["signatures"]["generate"]
    facts.pop("sha256", None)
    manifest.write(path, facts)
    assert set(verify_bundle(path).manifest["signatures"]) == {
        "encode",
        "sample",
        "decode",
        "prior_log_prob",
    }
