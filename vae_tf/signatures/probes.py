"""Inputs on which the runtimes must agree, random and extreme."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.signatures.endpoint import Endpoint, Input, example_of

BATCH_SIZES = (1, 2, 5)
LARGE_Z = 10.0  # standard deviations; N(0, 1) leaves 1e-23 beyond
EXTREME_SEEDS = np.array([0, -1, 2**31 - 1, -(2**31), 1], np.int32)


def probes(endpoint: Endpoint) -> list[dict[str, np.ndarray]]:
    """Returns batches of all inputs, for B in BATCH_SIZES."""
    rng = np.random.default_rng(0)
    batches = []
    for size in BATCH_SIZES:
        drawn = {i.name: list(_values(i, size, rng)) for i in endpoint.inputs}
        # Inputs with fewer kinds of values begin again.
        for kind in range(max(map(len, drawn.values()))):
            batches.append({name: kinds[kind % len(kinds)] for name, kinds in drawn.items()})
    return batches


def specimens(inputs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, np.ndarray]]:
    """Returns batches of one and of two for the `inputs` of a signature in a manifest."""

    def values(spec: Mapping[str, Any], size: int) -> np.ndarray:
        if "choices" in spec or "typical" in spec:
            return filled((size,), example_of(spec), spec["dtype"])
        if spec["dtype"] == "string":
            return np.array([picture(np.random.default_rng(i)) for i in range(size)], object)
        if spec["dtype"] == "int32" and "range" not in spec:
            return np.arange(size, dtype=np.int32)
        low, high = spec.get("range", (0.0, 1.0))
        value = spec.get("only", low if spec.get("whole") else (low + high) / 2)
        return np.full((size, *spec["shape"][1:]), value, spec["dtype"])

    return [{name: values(spec, size) for name, spec in inputs.items()} for size in (1, 2)]


def filled(shape: tuple[int, ...], value: Any, dtype: str) -> np.ndarray:
    """Returns an array of one value, a word or a number."""
    if dtype != "string":
        return np.full(shape, value, dtype)
    return np.full(shape, value.encode(), object)


def picture(rng: np.random.Generator) -> bytes:
    """Returns a PNG or JPEG file of some size, grey or coloured."""
    height, width = rng.integers(1, 40, size=2)
    channels = rng.choice([1, 3, 4])
    levels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    jpeg = channels == 3 and height % 2
    return (tf.io.encode_jpeg if jpeg else tf.io.encode_png)(levels).numpy()


def _values(given: Input, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields values [size, *shape] of an input, the extremes among them."""
    shape = (size, *given.shape)
    if given.more:
        return _of_column(given, size, rng)
    if given.only is not None:
        kinds = [np.full(shape, given.only)]
    elif given.name == "seed":
        any_seed = rng.integers(-(2**31), 2**31, size=(3, *shape))
        # Every batch size has the extremes, if in several batches
        kinds = [*any_seed, *(np.resize(np.roll(EXTREME_SEEDS, -i), shape) for i in range(5))]
    elif given.name == "temperature":
        kinds = [np.ones(shape), np.zeros(shape), rng.uniform(0, 2, size=shape)]
    elif given.dtype == "string":
        files = [picture(rng) for _ in range(3 * size)]
        return iter(np.array(files, object).reshape(3, size))
    elif given.dtype == "uint8":
        any_levels = rng.integers(0, 256, size=shape)
        kinds = [any_levels, np.zeros(shape), np.full(shape, 255)]
    elif given.name == "image":
        low, high = given.bounds or (0.0, 1.0)
        kinds = [rng.uniform(low, high, size=shape), np.full(shape, low), np.full(shape, high)]
        kinds = [np.rint(kind) for kind in kinds] if given.whole else kinds
    elif given.name == "mask":
        kinds = [rng.integers(0, 2, size=shape), np.zeros(shape), np.ones(shape)]
    elif given.whole and given.bounds:
        low, high = map(int, given.bounds)
        some = [rng.integers(low, high + 1, size=shape) for _ in range(3)]
        kinds = [*some, np.full(shape, low), np.full(shape, high)]
    elif given.dtype == "int32":  # of an unknown range
        kinds = [rng.integers(0, 2, size=shape), np.zeros(shape), np.ones(shape)]
    else:
        z, large = rng.standard_normal(shape), np.full(shape, LARGE_Z)
        kinds = [z, np.zeros(shape), LARGE_Z * z, large, -large]
    return (kind.astype(given.dtype) for kind in kinds)


def _of_column(given: Input, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields values of a table's column: every choice, or typical numbers; and missing ones."""
    limits = given.more
    if "choices" in limits:
        choices = limits["choices"]
        for first in range(max(3, -(-len(choices) // size))):
            chosen = [choices[(first * size + i) % len(choices)] for i in range(size)]
            parts = [filled((1,), value, given.dtype) for value in chosen]
            yield np.concatenate(parts)
    else:
        low, high = limits["typical"]
        for kind in (rng.uniform(low, high, size), np.full(size, low), np.full(size, high)):
            yield (np.rint(kind) if "whole" in limits else kind).astype(given.dtype)
    if "missing" in limits:
        value = "" if given.dtype == "string" else np.nan
        yield filled((size,), value, given.dtype)
