import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf import networks
from vae_tf.errors import ConfigError
from vae_tf.formats.litert import files as litert
from vae_tf.networks import (
    conditional_prior_network,
    conv_decoder,
    conv_encoder,
    mlp_decoder,
    mlp_encoder,
    resnet_encoder,
)

KINDS = ("mlp", "conv", "resnet")
BUILDERS = {
    kind: tuple(getattr(networks, f"{kind}_{half}") for half in ("encoder", "decoder"))
    for kind in KINDS
}
SMALL = {"mlp": {"hidden": (5,)}, "conv": {"filters": (4, 4), "hidden": 5}}
SMALL["resnet"] = SMALL["conv"]
UPSAMPLING = ("transposed", "nearest", "bilinear")


@pytest.mark.slow_but(1)
@pytest.mark.parametrize("kind", BUILDERS)
@settings(max_examples=8, deadline=None)
@given(st.tuples(st.integers(1, 33), st.integers(1, 33), st.integers(1, 4)), st.integers(1, 5))
def test_any_size_comes_back(kind, shape, latent_dim):
    make_encoder, make_decoder = BUILDERS[kind]
    heads = {"loc": shape, "log_scale": shape}
    encoder = make_encoder(shape, latent_dim, **SMALL[kind])
    decoder = make_decoder(latent_dim, heads, **SMALL[kind])
    assert shapes_of(encoder) == dict.fromkeys(("z_mean", "z_log_var"), (latent_dim,))
    assert shapes_of(decoder) == heads
    outputs = decoder(np.zeros((2, latent_dim), "float32"))
    assert {name: value.shape[1:] for name, value in outputs.items()} == heads


@pytest.mark.slow_but(4)
@pytest.mark.parametrize("upsampling", UPSAMPLING)
@pytest.mark.parametrize("kind", ["conv", "resnet"])
@pytest.mark.parametrize("filters", [(4,), (4, 4, 4)])
def test_every_way_up_ends_at_the_size(kind, upsampling, filters):
    for shape in [(1, 1, 1), (5, 7, 2), (13, 28, 1), (33, 64, 3)]:
        decoder = BUILDERS[kind][1](2, {"logits": shape}, filters, hidden=4, upsampling=upsampling)
        assert decoder(np.ones((1, 2), "float32"))["logits"].shape == (1, *shape)


def shapes_of(model):
    return {name: tuple(value.shape[1:]) for name, value in model.output.items()}


@pytest.mark.parametrize("kind", BUILDERS)
def test_seed_decides_the_weights(kind):
    first, again, other = (BUILDERS[kind][0]((9, 7, 1), 3, seed=seed) for seed in (5, 5, 6))
    pairs = list(zip(first.get_weights(), again.get_weights(), other.get_weights(), strict=True))
    assert all(np.array_equal(a, b) for a, b, _ in pairs)
    assert any(not np.array_equal(a, c) for a, _, c in pairs)


@pytest.mark.parametrize("kind", BUILDERS)
def test_outputs_are_float32_under_mixed_precision(kind, set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    make_encoder, make_decoder = BUILDERS[kind]
    encoder, decoder = make_encoder((8, 8, 1), 2), make_decoder(2, {"logits": (8, 8, 1)})
    assert decoder(np.zeros((1, 2), "float32"))["logits"].dtype == "float32"
    assert encoder(np.zeros((1, 8, 8, 1), "float32"))["z_mean"].dtype == "float32"
    assert any(layer.compute_dtype == "bfloat16" for layer in decoder.layers)


def test_input_dropout_acts_in_training_alone():
    encoder = mlp_encoder((4, 4, 1), 2, input_dropout=0.5)
    x = np.ones((1, 4, 4, 1), "float32")
    calm = [encoder(x)["z_mean"].numpy() for _ in range(2)]
    noisy = [encoder(x, training=True)["z_mean"].numpy() for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    assert not np.array_equal(*noisy)


SHAPE, LATENT = (9, 6, 2), 3
INPUTS = {"z": (LATENT,), "condition": (4,)}


def pair(kind, condition=None, encoder=(), decoder=(), **both):
    """Returns a small encoder and decoder of one kind."""
    make_encoder, make_decoder = BUILDERS[kind]
    both = {**SMALL[kind], "condition": condition, **both}
    heads = {"loc": SHAPE, "log_scale": SHAPE}
    return (
        make_encoder(SHAPE, LATENT, **both, **dict(encoder)),
        make_decoder(LATENT, heads, **both, **dict(decoder)),
    )


CONDITIONS = {
    "none": None,
    "classes": 4,
    "shape": (2, 3),
    "scalar": (),
    "several": {"digit": 4, "place": (2,)},
}


def inputs_of(model, rng, count=6):
    values = {
        i.name: rng.normal(size=(count, *i.shape[1:])).astype("float32") for i in model.inputs
    }
    return values if len(values) > 1 else next(iter(values.values()))


def total(outputs, rng):
    """Returns a number that depends on every output, each in its own way."""
    parts = []
    for _, value in sorted(outputs.items()):
        parts.append(tf.reduce_sum(value * rng.normal(size=value.shape).astype("float32")))
    return tf.add_n(parts)


VARIANTS = {
    **{kind: (kind, {}, {}) for kind in KINDS},
    **{f"conv, {up}": ("conv", {}, {"upsampling": up}) for up in UPSAMPLING[1:]},
    "resnet, group": ("resnet", {"normalization": "group", "groups": 2}, {}),
    "resnet, layer": ("resnet", {"normalization": "layer"}, {}),
    "resnet, batch": ("resnet", {"normalization": "batch"}, {}),
    "resnet, none": ("resnet", {"normalization": "none"}, {}),
    "resnet, deep": ("resnet", {"depth": 2}, {"upsampling": "bilinear"}),
}


@pytest.mark.slow_but(4)
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_reach_every_variable(variant):
    kind, both, own = VARIANTS[variant]
    for model in pair(kind, 4, decoder=own, **both):
        rng = np.random.default_rng(0)
        with tf.GradientTape() as tape:
            loss = total(model(inputs_of(model, rng), training=True), rng)
        gradients = tape.gradient(loss, model.trainable_variables)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            assert gradient is not None, variable.path
            assert np.any(gradient.numpy()), variable.path


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_batch_normalization_mixes_examples(variant):
    kind, both, own = VARIANTS[variant]
    for model in pair(kind, decoder=own, **both):
        x = inputs_of(model, np.random.default_rng(1))
        together, alone = model(x, training=True), model(x[:1], training=True)
        alike = [
            np.allclose(together[name][:1], alone[name], rtol=1e-4, atol=1e-5) for name in alone
        ]
        assert all(alike) == ("batch" not in variant)


@pytest.mark.slow_but(6)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_conditions_are_inputs_by_name(kind, condition):
    wanted = {"none": [], "several": ["digit", "place"]}.get(condition, ["condition"])
    rng = np.random.default_rng(2)
    for model, main in zip(pair(kind, CONDITIONS[condition]), ("x", "z"), strict=True):
        names = [i.name for i in model.inputs]
        if not wanted:
            assert names == ["image" if main == "x" else "z"]
            continue
        assert sorted(names) == sorted([main, *wanted])
        # Modulation begins as the identity: weights that are not those of the start show it
        model.set_weights([w + 0.3 * rng.normal(size=w.shape) for w in model.get_weights()])
        values = inputs_of(model, rng)
        before = model(values)
        for name in names:
            changed = model({**values, name: values[name] + 1})
            assert all(np.any(changed[key] != before[key]) for key in before), name


@pytest.mark.parametrize("kind", ["conv", "resnet"])
def test_a_condition_modulates_each_channel_of_a_place_alike(kind):
    """What FiLM promises: the condition changes maps by a scale and a shift of each channel."""
    encoder, _ = pair(kind, 4)
    rng = np.random.default_rng(3)
    encoder.set_weights([w + rng.normal(size=w.shape) for w in encoder.get_weights()])
    added = next(layer for layer in encoder.layers if type(layer).__name__ == "Add")
    film = keras.Model(encoder.input, [added.input[0], added.output])
    values = inputs_of(encoder, rng)
    h, y = (np.asarray(v) for v in film(values))
    for example in range(len(h)):
        for channel in range(h.shape[-1]):
            a, b = h[example, ..., channel].ravel(), y[example, ..., channel].ravel()
            residual = np.polynomial.polynomial.polyfit(a, b, 1, full=True)[1][0]
            assert np.all(residual <= 1e-6 * np.sum(b**2))


def test_a_conditional_prior_begins_near_the_standard_normal():
    network = conditional_prior_network(10, 5)
    outputs = network({"condition": np.eye(10, dtype="float32")})
    assert {name: value.shape for name, value in outputs.items()} == {
        "loc": (10, 5),
        "log_scale": (10, 5),
    }
    # 0.1 is the scale of the last kernels' weights, against 1
    assert all(0 < np.abs(value).max() < 0.3 for value in outputs.values())
    assert all(len(np.unique(np.asarray(v), axis=0)) == 10 for v in outputs.values())
    linear = conditional_prior_network({"a": 3, "b": (2,)}, 5, hidden=())
    assert sorted(i.name for i in linear.inputs) == ["a", "b"]
    with pytest.raises(ConfigError, match="must have a condition"):
        conditional_prior_network(None, 5)


@pytest.mark.parametrize("kind", ["conv", "resnet"])
@pytest.mark.parametrize("condition", [None, 4])
def test_encoders_of_free_size(kind, condition):
    encoder = BUILDERS[kind][0]((None, None, 1), LATENT, **SMALL[kind], condition=condition)
    rng = np.random.default_rng(4)
    for size in [(1, 1), (5, 9), (28, 28)]:
        x = rng.normal(size=(2, *size, 1)).astype("float32")
        values = {"x": x, "condition": np.eye(4, dtype="float32")[:2]} if condition else x
        assert encoder(values)["z_mean"].shape == (2, LATENT)
    half_free = BUILDERS[kind][0]((None, 8, 1), LATENT, **SMALL[kind])
    assert half_free(np.zeros((1, 11, 8, 1), "float32"))["z_mean"].shape == (1, LATENT)


@pytest.mark.slow_but(2)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("condition", ["none", "several"])
def test_saved_and_loaded_alike(kind, condition, tmp_path):
    for model in pair(kind, CONDITIONS[condition]):
        model.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        values = inputs_of(model, np.random.default_rng(5))
        for name, value in model(values).items():
            np.testing.assert_array_equal(loaded(values)[name], value)


def decoding(decoder):
    return lambda z, condition: decoder({"z": z, "condition": condition})


@pytest.mark.slow
def test_decoders_convert_to_builtin_operators(tmp_path):
    """Of all kinds at once: the converter's time is much the same for one signature and many."""
    archive, decoders = keras.export.ExportArchive(), {}
    for variant, (kind, both, own) in VARIANTS.items():
        name = re.sub(r"\W+", "_", variant)
        decoders[name] = decoder = pair(kind, 4, decoder=own, **both)[1]
        specs = [tf.TensorSpec([None, *shape], name=i) for i, shape in INPUTS.items()]
        archive.add_endpoint(name, decoding(decoder), specs)
    archive.write_out(str(tmp_path / "model"), verbose=False)
    content = litert.convert(tmp_path / "model", list(decoders))  # raises for other operators
    for name, decoder in decoders.items():
        values = inputs_of(decoder, np.random.default_rng(6))
        (run,) = litert.run(content, name, [values])
        for key, value in decoder(values).items():
            np.testing.assert_allclose(run[key], value, rtol=1e-4, atol=1e-5)


REFUSED = {
    "`latent_dim` must be a whole number of at least 1": lambda: mlp_encoder((8, 8, 1), 0),
    "`hidden`": lambda: mlp_decoder(2, {"logits": (8, 8, 1)}, (10, 0)),
    "`hidden` must be the widths": lambda: mlp_decoder(2, {"logits": (8,)}, 10),
    "`filters`": lambda: conv_encoder((8, 8, 1), 2, (0,)),
    "`filters` must have at least 1": lambda: conv_decoder(2, {"logits": (8, 8, 1)}, ()),
    "`filters` must be multiples of groups=8": lambda: resnet_encoder(
        (8, 8, 1), 2, (12,), normalization="group"
    ),
    "`depth`": lambda: resnet_encoder((8, 8, 1), 2, depth=0),
    "`groups`": lambda: resnet_encoder((8, 8, 1), 2, normalization="group", groups=0),
    "`normalization` must be a known name.*Did you mean group": lambda: resnet_encoder(
        (8, 8, 1), 2, normalization="grupo"
    ),
    "`upsampling` must be a known name": lambda: conv_decoder(
        2, {"logits": (8, 8, 1)}, upsampling="cubic"
    ),
    "`activation` must be known to Keras": lambda: conv_encoder((8, 8, 1), 2, activation="so"),
    "`dropout` must be a share below 1": lambda: mlp_encoder((8,), 2, dropout=1.0),
    "`event_shape` must be the shape of one example.*28": lambda: mlp_encoder(28, latent_dim=2),
    "`event_shape` must be the shape": lambda: mlp_encoder("28", 2),
    "`event_shape` must be a whole number": lambda: mlp_encoder((8, True), 2),
    "`event_shape` must be a whole number of": lambda: mlp_encoder((None, 8), 2),
    "`event_shape` must be a whole number of at": lambda: conv_encoder((8, 8, None), 2),
    "`event_shape`.*a last axis of channels": lambda: conv_encoder((28, 28), 2),
    "logits.*a last axis of channels": lambda: conv_decoder(4, {"logits": (28, 28)}),
    "one height and width": lambda: conv_decoder(4, {"loc": (8, 8, 1), "log_scale": (1, 1, 1)}),
    "`outputs` must be a dict": lambda: mlp_decoder(4, (28, 28, 1)),
    "`outputs` must be a dict of": lambda: mlp_decoder(4, {}),
    "`condition` must be a whole number of at least 2": lambda: mlp_encoder((8,), 2, condition=1),
    "`condition` must be a whole number": lambda: mlp_encoder((8,), 2, condition=True),
    "`condition` must be the shape": lambda: mlp_encoder((8,), 2, condition="label"),
    "Names in `condition`.*'x'": lambda: mlp_encoder((8,), 2, condition={"x": 3}),
    "Names in `condition`.*'the digit'": lambda: mlp_encoder((8,), 2, condition={"the digit": 3}),
    "`condition` must name": lambda: mlp_encoder((8,), 2, condition={}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_built_is_refused(message):
    with pytest.raises(ConfigError, match=message) as refusal:
        REFUSED[message]()
    assert "\n" not in str(refusal.value)


def test_a_shortcut_adds_a_linear_map_of_latents_and_condition():
    decoder = mlp_decoder(3, {"loc": (5,)}, (8,), condition=(2,), shortcut=True)
    hidden = next(layer for layer in decoder.layers if isinstance(layer, keras.layers.Dense))
    kernel, bias = hidden.get_weights()
    hidden.set_weights([0 * kernel, 0 * bias])  # and what is left is linear, silu(0) being 0
    assert decoder.get_layer("loc_output").kernel.shape == (3 + 2 + 8, 5)
    rng = np.random.default_rng(0)
    z, condition = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    found = decoder({"z": z, "condition": condition})["loc"]
    kernel, bias = decoder.get_layer("loc_output").get_weights()
    expected = np.concatenate([z, condition], 1) @ kernel[:5] + bias
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
