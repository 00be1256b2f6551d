"""The serving signatures, their names, meanings and units."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.signatures import rows

Words: TypeAlias = tuple[str, str]  # (meaning, unit), for the manifest
INPUTS: dict[str, Words] = {
    "image, float32": ("image after the preprocessing stated here", "intensity, 0 to 1"),
    "image, uint8": ("image before the preprocessing stated here", "level, 0 to 255"),
    "image_bytes": ("file of an image, of any size and colours", "PNG, JPEG, GIF, BMP or WebP"),
    "z": ("latent vector", "dimensionless"),
    "seed": ("source of the row's randomness; equal seeds give equal rows", "any int32"),
    "temperature": ("factor on the prior's normal noise, finite, >= 0", "dimensionless"),
}
OUTPUTS: dict[str, Words] = {
    "z_mean": ("mean of q(z|x)", "dimensionless, as z"),
    "z_log_var": ("natural logarithm of the variance of q(z|x)", "ln(variance of z)"),
    "z": ("draw from p(z), its normal noise times temperature", "dimensionless"),
    "image": ("mean of p(x|z); of classes the most probable", "intensity, as the encoder takes it"),
    "image_bytes": ("file of the image; empty where `generate` gives NaN", "PNG"),
    "scale": ("scale parameter of p(x|z), see `likelihood`", "intensity, as image"),
}
OTHER_OUTPUT = ("statistic of p(x|z), see `likelihood`", "see `likelihood`")


Arrays: TypeAlias = Mapping[str, np.ndarray]  # by name, all of one batch


@dataclass(frozen=True)
class Input:
    """One input of a signature, [B, *shape].

    Attributes:
        only: the one value it may have; None if it is free.
        words: what it means; None for what INPUTS has under its name.
        bounds: the smallest and largest value it may have, where they are known.
        whole: whether it takes whole numbers alone.
        role: "condition" of an input that is one, whatever its name.
        more: what else the manifest is to say of its values; `choices`, all that it may have;
            `typical`, two between which most are; `missing`, the one that stands for none.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    only: float | None = None
    words: Words | None = None
    bounds: tuple[float, float] | None = None
    whole: bool = False
    role: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def limits(self) -> dict[str, Any]:
        """What the manifest says of its values."""
        said: dict[str, Any] = {"only": self.only, "range": self.bounds}
        said |= {"whole": self.whole or None, "role": self.role, **self.more}
        return {key: value for key, value in said.items() if value is not None}


@dataclass(frozen=True)
class Endpoint:
    """One signature: named inputs [B, ...] in, a dict of float32 or string [B, ...] out.

    Attributes:
        function: takes the inputs in their order; it is what artefacts must equal.
        traced: what goes into the graph, where that is another way of writing `function`.
        litert: whether `.tflite` files are to have it. In those of lower precision the network of
            a half's first signature is quantized, and nothing else.
        through: another signature, whose inputs it makes, in whole or in part, and returns with
            what that makes of them.
        words: what outputs mean, where OUTPUTS has something else under their names.
        limits: what the manifest is to say of outputs' values, as `Input.more`.
        stepwise: whether `function` is run eagerly for that; loops over draws take too long so.
        max_rows: of a request to a SavedModel; None for any number.
    """

    name: str
    half: str
    inputs: tuple[Input, ...]
    required: frozenset[str]
    function: Callable[..., dict[str, tf.Tensor]]
    traced: Callable[..., dict[str, tf.Tensor]] | None = None
    litert: bool = True
    through: str | None = None
    words: Mapping[str, Words] = field(default_factory=dict)
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stepwise: bool = True
    max_rows: int | None = None

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """The inputs, named: unnamed, one would be called `args_0` by every client."""
        return [tf.TensorSpec((None, *i.shape), i.dtype, i.name) for i in self.inputs]

    @property
    def checked(self) -> Callable[..., dict[str, tf.Tensor]]:
        """What goes into the graph, with an error for inputs of other shapes and too many rows."""
        shapes = [i.shape for i in self.inputs]
        checked = rows.checked(self.traced or self.function, shapes, self.max_rows)
        # What a graph computes without it needs no AutoGraph, which takes seconds
        return checked if self.stepwise else tf.autograph.experimental.do_not_convert(checked)

    def limited(self, max_rows: int | None = None) -> "Endpoint":
        """Returns it with a limit of rows, by what they take of memory if none is given."""
        if max_rows is None:
            max_rows = rows.most(self.function, [(i.shape, i.dtype) for i in self.inputs])
        return dataclasses.replace(self, max_rows=max_rows)


def check_outputs(endpoint: Endpoint, outputs: Arrays, batch: int) -> None:
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
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ExportError(
                f"{endpoint.name} must return finite numbers",
                f"{name!r} with {int((~np.isfinite(value)).sum())} of {value.size} not finite",
                "Look for a NaN in the weights, or for an exp() that overflows.",
            )


def example_of(limits: Mapping[str, Any]) -> Any:
    """Returns a value that an input may have, by what the manifest says of it; else None."""
    if "choices" in limits:
        return limits["choices"][0]
    if "typical" in limits:
        return float(
            np.mean(limits["typical"]) // 1 if "whole" in limits else np.mean(limits["typical"])
        )
    return limits.get("only")


def describe(endpoint: Endpoint, outputs: Arrays) -> dict[str, Any]:
    """Returns the manifest's entry for one signature, given one batch of its outputs."""

    def entry(shape: Sequence[int], dtype: str, words: Words) -> dict[str, Any]:
        meaning, unit = words
        return {"shape": [None, *shape], "dtype": dtype, "meaning": meaning, "unit": unit}

    meanings = {**OUTPUTS, **endpoint.words}
    return {
        "max_rows": endpoint.max_rows,
        "inputs": {
            i.name: entry(i.shape, i.dtype, i.words or INPUTS[i.name]) | i.limits
            for i in endpoint.inputs
        },
        "outputs": {
            name: entry(
                value.shape[1:],
                "string" if value.dtype.kind == "O" else value.dtype.name,
                meanings.get(name, OTHER_OUTPUT),
            )
            | dict(endpoint.limits.get(name, {}))
            for name, value in outputs.items()
        },
    }
