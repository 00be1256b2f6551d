"""Networks of a user's own classes, or with a lookup table in them, from training to a bundle."""

import keras
import numpy as np
import pytest

import vae_tf
from vae_tf.exporting import Options, verify_bundle
from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import cpp_loader

L = keras.layers
SHAPE, LATENT = (6, 5, 1), 2
NUMBERS = [10, 20, 30]


@keras.saving.register_keras_serializable("test_own_networks")
class Encoder(keras.Model):
    """Tells no input shape of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flat, self.hidden = L.Flatten(), L.Dense(8, activation="softplus")
        self.mean, self.log_var = L.Dense(LATENT), L.Dense(LATENT)

    def call(self, x):
        h = self.hidden(self.flat(x))
        return {"z_mean": self.mean(h), "z_log_var": self.log_var(h)}


@keras.saving.register_keras_serializable("test_own_networks")
class Decoder(keras.Model):
    """With a branch, and a layer that repeats pixels."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.start, self.grid, self.up = L.Dense(15), L.Reshape((3, 5, 1)), L.UpSampling2D((2, 1))
        self.loc, self.spread = L.Conv2D(1, 3, padding="same"), L.Conv2D(1, 1)

    def call(self, z, training=False):
        h = self.up(self.grid(keras.ops.gelu(self.start(z))))
        return {"loc": self.loc(h), "log_scale": self.spread(h)}


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(size=(32, *SHAPE)).astype("float32")


@pytest.mark.parametrize(
    "policy", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_subclasses_of_model_saved_and_loaded(tmp_path, x, policy):
    keras.config.set_dtype_policy(policy)
    try:
        likelihood = vae_tf.likelihoods.GaussianPixelScale()
        prior = vae_tf.priors.StandardNormal(LATENT)
        vae = vae_tf.VAE(Encoder(), Decoder(), likelihood=likelihood, prior=prior)
        vae.compile("adam")
        vae.fit(x, verbose=0)
        vae.save(tmp_path / "own.keras")
        loaded = keras.models.load_model(tmp_path / "own.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    bundle = vae_tf.export(loaded, tmp_path / "bundle", options=Options())
    assert set(bundle.manifest["remarks"]) == {"encode_bytes", "generate_png"}  # no value_range
    for signature, half, batch in (
        ("encode", bundle.encoder_tflite, {"image": x}),
        ("decode", bundle.decoder_tflite, {"z": np.zeros((3, LATENT), "float32")}),
    ):
        (answer,) = litert.run(half.read_bytes(), signature, [batch])
        if signature == "encode":
            want = vae.encode(x)
            pairs = (
                (answer["z_mean"], want.mean()),
                (answer["z_log_var"], 2 * np.log(want.stddev())),
            )
        else:
            want = vae.decode(batch["z"])
            pairs = ((answer["image"], want.mean()), (answer["scale"], want.stddev()))
        for have, expected in pairs:
            tolerance = 1e-5 if policy == "float32" else 0.05
            np.testing.assert_allclose(have, expected, rtol=tolerance, atol=tolerance)


def conditional(lookup):
    """Returns a model of x given a number that is looked up in both networks."""
    x, c = keras.Input(SHAPE, name="x"), keras.Input((), dtype="int32", name="condition")
    h = L.Concatenate()([L.Flatten()(x), L.Embedding(5, 3)(lookup()(c))])
    encoder = keras.Model([x, c], {n: L.Dense(LATENT)(h) for n in ("z_mean", "z_log_var")})
    z, c = keras.Input((LATENT,), name="z"), keras.Input((), dtype="int32", name="condition")
    h = L.Concatenate()([z, L.Embedding(5, 3)(lookup()(c))])
    return vae_tf.VAE(encoder, keras.Model([z, c], {"logits": L.Reshape(SHAPE)(L.Dense(30)(h))}))


@pytest.mark.slow
def test_a_lookup_table_is_on_servers_and_not_in_litert(tmp_path, x):
    vae = conditional(lambda: L.IntegerLookup(vocabulary=NUMBERS))
    vae.compile("adam")
    given = np.resize(NUMBERS, len(x)).astype("int32")
    vae.fit((x > 0.5).astype("float32"), given, verbose=0)
    bundle = vae_tf.export(vae, tmp_path, options=Options())
    assert verify_bundle(tmp_path).manifest == bundle.manifest
    for half in ("encoder", "decoder"):
        assert "LookupTableFind" in bundle.manifest["remarks"][f"{half}.tflite"]
    assert (bundle.encoder_tflite, bundle.decoder_tflite) == (None, None)
    assert "LookupTableFind" in bundle.manifest["generate"]["reason"]
    z = np.random.default_rng(1).normal(size=(4, LATENT)).astype("float32")
    numbers = np.array([30, 10, 20, 99], "int32")  # the last is in no vocabulary
    call = cpp_loader.Call(bundle.decoder, "decode", [{"z": z, "condition": numbers}])
    ((answer,),) = cpp_loader.run([call])
    want = keras.ops.sigmoid(vae.decoder([z, numbers])["logits"])
    np.testing.assert_allclose(answer["image"], want, atol=1e-5)
