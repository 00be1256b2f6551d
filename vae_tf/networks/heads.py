"""What every network shares: repeatable initial weights, and float32 output layers."""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from vae_tf.checks import whole

Shape = Sequence[int]


class Initializers:
    """A stream of initializers, each with a seed of its own derived from one seed."""

    def __init__(self, seed: int | None):
        self._seeds = np.random.default_rng(seed)

    def __call__(self, name: str = "glorot_uniform") -> keras.initializers.Initializer:
        """Returns a new Keras initializer of that `name`."""
        seed = int(self._seeds.integers(2**31))
        return keras.initializers.get({"class_name": name, "config": {"seed": seed}})


def dense_heads(h, shapes: Mapping[str, Shape], initializers: Initializers) -> dict:
    """Returns one tensor `[B, *shape]` for each name, a linear function of `h` [B, D].

    The layers are float32 under any policy: half-precision logits round a likelihood away.
    """
    outputs = {}
    for name, shape in shapes.items():
        size = math.prod(shape)
        # "output" ends the layer's name: a parameter and a Keras layer may not share one
        y = keras.layers.Dense(
            size, kernel_initializer=initializers(), dtype="float32", name=f"{name}_output"
        )(h)
        outputs[name] = (
            y
            if len(shape) == 1
            else keras.layers.Reshape(tuple(shape), dtype="float32", name=f"{name}_image")(y)
        )
    return outputs


def check_sizes(**sizes: object) -> None:
    """Raises ConfigError unless every size, or every member of a sequence of them, is >= 1."""
    for name, value in sizes.items():
        members = value if isinstance(value, (tuple, list)) else (value,)
        for size in members:
            whole(name, size)
