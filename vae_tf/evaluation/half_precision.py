"""Networks run in bfloat16 where they were made for float32, their weights being the same."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keras

from vae_tf.errors import unknown

PRECISIONS = ("float32", "bfloat16", "auto")
# Instructions without which bfloat16 is emulated, and slower than float32.
INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16"})


def wants_bfloat16(precision: str) -> bool:
    """Returns whether `precision`, one of PRECISIONS, asks for bfloat16 on this machine.

    Raises:
        ConfigError: it is none of them.
    """
    if precision not in PRECISIONS:
        raise unknown("`precision`", str(precision), PRECISIONS)
    return precision == "bfloat16" or (precision == "auto" and _has_instructions())


@contextlib.contextmanager
def in_bfloat16(network: keras.Model) -> Iterator[None]:
    """Lets the float32 layers of `network` compute in bfloat16 while it is called or traced.

    Products are summed in float32, as the CPU's instructions do; the variables stay as they are.
    A user's own network need not be rebuildable for that, as a copy would have it.
    """
    layers = network._flatten_layers(include_self=True, recursive=True)
    before = [(layer, layer.dtype_policy) for layer in layers if _is_float32(layer)]
    try:
        for layer, _ in before:
            layer.dtype_policy = "mixed_bfloat16"
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy


def _is_float32(layer: keras.layers.Layer) -> bool:
    return layer.dtype_policy.name == "float32"


def _has_instructions() -> bool:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:  # not Linux
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not INSTRUCTIONS.isdisjoint(flags.split())
