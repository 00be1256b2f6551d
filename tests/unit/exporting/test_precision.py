"""Half-precision models rebuilt under float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bundles import write_bundle
from vae_tf import networks
from vae_tf.errors import ExportError
from vae_tf.formats import precision

SHAPE = (6, 5, 1)


@pytest.fixture
def policy():
    """Returns a function that sets the global dtype policy until the end of the test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


class Residual(keras.layers.Layer):
    """x + Dense(x): a layer with a layer made in __init__, under the global policy."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return x + self.dense(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Subclassed(keras.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = keras.layers.Dense(units, "relu")
        self.second = keras.layers.Dense(units)

    def call(self, x):
        return self.second(self.first(keras.ops.reshape(x, (-1, 30))))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def functional(cast):
    image = keras.Input(SHAPE)
    h = Residual(30)(keras.layers.Flatten()(image))
    inner = keras.Sequential([keras.Input((30,)), keras.layers.Dense(7, "tanh")], name="inner")
    h = keras.layers.BatchNormalization()(inner(h))
    return keras.Model(image, {"a": h, "b": keras.ops.cast(keras.layers.Dense(2)(h), cast)})


def subclassed(_):
    model = Subclassed(4)
    model(np.zeros((1, *SHAPE)))
    return model


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float64"])
@pytest.mark.parametrize("build", [functional, subclassed])
def test_same_function_in_float32(policy, build, name):
    policy(name)
    model = build("bfloat16")
    assert precision.policies(model) == [name]
    copy = precision.as_float32(model, SHAPE)
    assert keras.config.dtype_policy().name == name, "the caller's policy must come back"
    policy("float32")
    assert precision.policies(copy) == []

    reference = build("float32")
    reference.set_weights([np.float32(weight.numpy()) for weight in model.weights])
    x = np.random.default_rng(1).uniform(size=(3, *SHAPE)).astype("float32")
    results = [keras.tree.flatten(m(x, training=False)) for m in (copy, reference, model)]
    for ours, theirs, half in zip(*results, strict=True):
        assert ours.dtype == tf.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        np.testing.assert_allclose(ours, tf.cast(half, tf.float32), atol=0.05)


def test_float32_model_is_not_touched():
    model = networks.mlp_encoder(SHAPE, 2, hidden=(5,))
    assert precision.as_float32(model, SHAPE) is model


def test_config_is_replaced_at_any_depth():
    policy = {"class_name": "DTypePolicy", "config": {"name": "mixed_bfloat16"}, "module": "keras"}
    config = {
        "layers": [{"config": {"dtype": policy, "cell": {"dtype": "float16"}}}],
        "n": (1, "x"),
    }
    replaced = {"class_name": "DTypePolicy", "config": {"name": "float32"}, "module": "keras"}
    assert precision.float32_config(config) == {
        "layers": [{"config": {"dtype": replaced, "cell": {"dtype": "float32"}}}],
        "n": (1, "x"),
    }
    assert policy["config"]["name"] == "mixed_bfloat16", "the original must stay"


class Closed(keras.layers.Layer):
    """Holds what no configuration can."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def test_layer_that_cannot_be_remade(policy):
    policy("mixed_bfloat16")
    model = keras.Sequential([keras.Input((3,)), Closed(lambda x: x)])
    with pytest.raises(ExportError, match=r"must be rebuildable from its get_config\(\)"):
        precision.as_float32(model, (3,))


class Forgetful(keras.layers.Layer):
    """Does not say in its configuration what it multiplies by."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return super().get_config()


def test_copy_that_computes_something_else(policy):
    policy("mixed_bfloat16")
    model = keras.Sequential([keras.Input((3,)), Forgetful(3.0)])
    with pytest.raises(ExportError, match="must compute what it did"):
        precision.as_float32(model, (3,))


class Stubborn(keras.layers.Layer):
    """Takes no notice of the policy it is given."""

    def __init__(self, dtype=None, **kwargs):
        super().__init__(dtype="mixed_bfloat16", **kwargs)

    def call(self, x):
        return x


def test_layer_that_stays_in_half_precision():
    model = keras.Sequential([keras.Input((3,)), Stubborn()])
    with pytest.raises(ExportError, match="must be float32 once rebuilt"):
        precision.as_float32(model, (3,))


@pytest.mark.slow
def test_half_precision_vae_exports_as_float32(policy, make_parts, exported, cpp, tmp_path):
    policy("mixed_bfloat16")
    parts = make_parts()
    bundle = write_bundle(**parts, directory=tmp_path)
    assert bundle.manifest["precision"] == {
        "encoder": ["mixed_bfloat16"],
        "decoder": ["mixed_bfloat16"],
        "exported": "float32",
    }
    for half in ("encoder", "decoder"):
        data = f"{half}/1/variables/variables.data-00000-of-00001"
        sizes = [b.manifest["files"][data]["bytes"] for b in (bundle, exported.bundle)]
        assert abs(sizes[0] - sizes[1]) < 100  # names of layers, numbered as they are made
    request = {"seed": np.arange(3, dtype=np.int32), "temperature": np.ones(3, np.float32)}
    drawn = cpp(bundle.decoder, "generate", request)
    assert {value.dtype.name for value in drawn.values()} == {"float32"}
