"""The two serving signatures, their names, meanings and units."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError

# name -> (meaning, unit), for the manifest
INPUTS = {
    "image": ("image after the preprocessing stated here", "intensity, 0 to 1"),
    "z": ("latent vector", "dimensionless"),
}
OUTPUTS = {
    "z_mean": ("mean of q(z|x)", "dimensionless, as z"),
    "z_log_var": ("natural logarithm of the variance of q(z|x)", "ln(variance of z)"),
    "image": ("mean of p(x|z); of classes the most probable", "intensity, as the encoder takes it"),
    "scale": ("scale parameter of p(x|z), see `likelihood`", "intensity, as image"),
}
OTHER_OUTPUT = ("statistic of p(x|z), see `likelihood`", "see `likelihood`")


@dataclass(frozen=True)
class Endpoint:
    """One signature: float32 [B, *input_shape] in, a dict of float32 [B, ...] out."""

    name: str
    half: str
    input_name: str
    input_shape: tuple[int, ...]
    required: frozenset[str]
    function: Callable[[tf.Tensor], dict[str, tf.Tensor]]


def encode_endpoint(encoder: keras.Model, posterior: Any, image_shape: Sequence[int]) -> Endpoint:
    """Returns `encode(image [B, H, W, C]) -> {z_mean [B, L], z_log_var [B, L]}`."""

    def encode(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return _float32(posterior.statistics(encoder(image, training=False)))

    names = frozenset({"z_mean", "z_log_var"})
    return Endpoint("encode", "encoder", "image", tuple(image_shape), names, encode)


def decode_endpoint(decoder: keras.Model, likelihood: Any, latent_dim: int) -> Endpoint:
    """Returns `decode(z [B, L]) -> {image [B, H, W, C], ...}`."""

    def decode(z: tf.Tensor) -> dict[str, tf.Tensor]:
        return _float32(likelihood.statistics(decoder(z, training=False)))

    return Endpoint("decode", "decoder", "z", (latent_dim,), frozenset({"image"}), decode)


def image_shape_of(encoder: keras.Model) -> tuple[int, ...]:
    """Returns the shape (H, W, C) of one input of `encoder`.

    Raises:
        ExportError: if the model does not know it, or a side is free.
    """
    try:
        shape = encoder.input_shape
    except (AttributeError, ValueError):
        shape = None
    if not isinstance(shape, tuple) or not all(isinstance(side, int) for side in shape[1:]):
        raise ExportError(
            "the encoder must take one image of known height, width and channels",
            f"input_shape={shape}",
            "Pass image_shape=(height, width, channels).",
        )
    return tuple(shape[1:])


def check_outputs(endpoint: Endpoint, outputs: Mapping[str, np.ndarray], batch: int) -> None:
    """Refuses outputs that a server could not batch, or a client not find by name.

    Raises:
        ExportError: for a missing name, a missing batch dimension or a value not finite.
    """
    missing = sorted(endpoint.required - set(outputs))
    if missing:
        raise ExportError(
            f"{endpoint.name} must return {sorted(endpoint.required)}",
            f"{sorted(outputs)}",
            "Add the missing ones to statistics(params).",
        )
    for name, value in outputs.items():
        if value.ndim == 0 or value.shape[0] != batch:
            raise ExportError(
                f"{endpoint.name} must return {name!r} with the batch as first dimension",
                f"shape {value.shape} for a batch of {batch}",
                "Broadcast it in statistics(params); servers concatenate that dimension.",
            )
        if not np.isfinite(value).all():
            raise ExportError(
                f"{endpoint.name} must return finite numbers",
                f"{name!r} with {int((~np.isfinite(value)).sum())} of {value.size} not finite",
                "Look for a NaN in the weights, or for an exp() that overflows.",
            )


def describe(endpoint: Endpoint, outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the manifest's entry for one signature, given one batch of its outputs."""

    def entry(shape: Sequence[int], words: tuple[str, str]) -> dict[str, Any]:
        meaning, unit = words
        return {"shape": [None, *shape], "dtype": "float32", "meaning": meaning, "unit": unit}

    return {
        "inputs": {
            endpoint.input_name: entry(endpoint.input_shape, INPUTS[endpoint.input_name]),
        },
        "outputs": {
            name: entry(value.shape[1:], OUTPUTS.get(name, OTHER_OUTPUT))
            for name, value in outputs.items()
        },
    }


def _float32(statistics: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: tf.cast(value, tf.float32) for name, value in statistics.items()}
