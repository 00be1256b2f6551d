"""Half-precision models rebuilt under float32, as artefacts need them.

A model under `mixed_bfloat16` would export half-precision outputs and does not convert to
LiteRT's builtin operators. Its variables are float32 already; only the policies must go.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.networks.policies import dtype_policy

FOREIGN = frozenset({"bfloat16", "float16", "float64", "mixed_bfloat16", "mixed_float16"})
# bfloat16 keeps 8 bits; a mean error above 5 % of the largest output is another function.
DRIFT = 0.05


def policies(model: keras.Model) -> list[str]:
    """Returns the names of the dtype policies in `model` that are not float32."""
    found = set()
    for layer in model._flatten_layers(include_self=True, recursive=True):
        if {layer.compute_dtype, layer.variable_dtype} & FOREIGN:
            found.add(layer.dtype_policy.name)
    return sorted(found)


def _plain(model: keras.Model, x: tf.Tensor) -> Any:
    """Returns the outputs of a model for x."""
    return model(x, training=False)


def as_float32(
    model: keras.Model,
    input_shape: Sequence[int],
    call: Callable[[keras.Model, tf.Tensor], Any] = _plain,
) -> keras.Model:
    """Returns `model` with the same weights and float32 everywhere; itself if it is so already.

    Args:
        model: a built Keras model. Layers, nested models and subclasses are remade from
            `get_config`.
        input_shape: shape of its main input without the batch.
        call: the outputs, in any structure, of such a model for its main input.

    Raises:
        ExportError: if the model cannot be remade from its configuration, if a layer keeps
            another precision all the same, or if the copy computes something else.
    """
    if not policies(model):
        return model
    try:
        with dtype_policy("float32"):
            copy = _remade(model)
            call(copy, tf.zeros((1, *input_shape)))
    except Exception as error:
        raise ExportError(
            f"{model.name!r} under {policies(model)} must be rebuildable from its get_config()",
            f"{type(error).__name__}: {_first_line(error)}",
            "Give each custom layer a get_config(), or build the model under float32.",
        ) from error
    if policies(copy):
        raise ExportError(
            f"{model.name!r} must be float32 once rebuilt from its configuration",
            f"layers under {policies(copy)}",
            "Pass **kwargs of each custom layer on to keras.layers.Layer, dtype among them.",
        )
    _copy_weights(model, copy)
    _check_drift(model, copy, input_shape, call)
    return copy


def float32_config(config: Any) -> Any:
    """Returns a serialized Keras object with each dtype and dtype policy replaced by float32."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {**config["config"], "name": "float32"}}
        return {
            key: "float32"
            if str(key).endswith("dtype") and isinstance(value, str) and value in FOREIGN
            else float32_config(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(float32_config(value) for value in config)
    return config


def _remade(model: keras.Model) -> keras.Model:
    """Returns a model made anew of the configuration of another."""
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    layers = model._flatten_layers(include_self=True, recursive=True)
    # Classes defined in a notebook or a function are found in no module.
    classes = {type(layer).__name__: type(layer) for layer in layers}
    # Safe mode guards against other people's files; this configuration was made a line above.
    return keras.saving.deserialize_keras_object(
        float32_config(config), custom_objects=classes, safe_mode=False
    )


def _copy_weights(model: keras.Model, copy: keras.Model) -> None:
    """Copies the weights into a model that must have the same ones."""
    theirs, ours = model.weights, copy.weights
    if [w.shape for w in theirs] != [w.shape for w in ours]:
        raise ExportError(
            f"{model.name!r} rebuilt from its configuration must have the same weights",
            f"{len(ours)} instead of {len(theirs)}, or other shapes",
            "Let get_config() return every argument of __init__.",
        )
    for source, target in zip(theirs, ours, strict=True):
        target.assign(keras.ops.cast(source.value, target.dtype))


def _check_drift(
    model: keras.Model,
    copy: keras.Model,
    input_shape: Sequence[int],
    call: Callable[[keras.Model, tf.Tensor], Any],
) -> None:
    """Refuses a copy whose outputs are others than those of the model."""
    x = tf.constant(np.random.default_rng(0).uniform(size=(4, *input_shape)), tf.float32)
    outputs = [keras.tree.flatten(call(network, x)) for network in (model, copy)]
    pairs = zip(*outputs, strict=True)
    for before, after in pairs:
        before, after = (tf.cast(t, tf.float32).numpy() for t in (before, after))
        drift, scale = np.abs(before - after).mean(), np.abs(after).max()
        if not drift <= DRIFT * scale + 1e-6:
            raise ExportError(
                f"{model.name!r} rebuilt under float32 must compute what it did",
                f"a mean difference of {drift:.3g} where outputs reach {scale:.3g}",
                "Let get_config() return every argument of __init__ that changes the result.",
            )


def _first_line(error: BaseException) -> str:
    """Returns the first line of what an error says."""
    return (str(error).strip().splitlines() or ["no message"])[0]
