"""What every network shares: repeatable initial weights, and float32 output layers."""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from vae_tf.networks.checks import Shape


class Initializers:
    """A stream of initializers, each with a seed of its own derived from one seed."""

    def __init__(self, seed: int | Sequence[int] | None):
        self._seeds = np.random.default_rng(seed)

    def __call__(self, name: str = "glorot_uniform", **config) -> keras.initializers.Initializer:
        """Returns a new Keras initializer of that `name`."""
        seed = int(self._seeds.integers(2**31))
        return keras.initializers.get({"class_name": name, "config": {"seed": seed, **config}})

    def small(self) -> keras.initializers.Initializer:
        """Returns an initializer of a tenth of the usual size, for layers that begin near zero.

        Not zero, with which no gradient would reach the layers before in the first step.
        """
        return self("VarianceScaling", scale=0.01)


def head_dtype(name: str) -> str | None:
    """Returns in which precision the output layer of the parameter `name` computes: its policy.

    Half-precision means and scales round a likelihood away, so these are float32 under any
    policy. Log-odds l are not hurt: bfloat16 moves one by at most 2^-9 |l|, and so the
    log-probability of an outcome by at most 2^-9 |l| sigmoid(-|l|) < 0.0006 nat where the
    outcome is the likelier one; errors of this size, of either sign, leave no trace in a sum.
    """
    return None if name == "logits" else "float32"


def head_activation(name: str) -> str | None:
    """Returns the activation of the output layer of the parameter `name`: none but for `probs`."""
    return "sigmoid" if name.rpartition("_")[-1] == "probs" else None


def starts_small(name: str) -> bool:
    """Returns whether the output layer of the parameter `name` begins near zero.

    A scale that begins at a tenth of what it should be makes gradients a hundred times too large,
    which Adam remembers for a thousand steps.
    """
    return name.endswith(("log_scale", "log_mean", "log_dispersion"))


def posterior_heads(latent_dim: int, outputs: Mapping[str, Shape] | None) -> Mapping[str, Shape]:
    """Returns the outputs of an encoder: what a DiagonalNormal needs if none are named."""
    return outputs or {"z_mean": (latent_dim,), "z_log_var": (latent_dim,)}


def dense_heads(h, shapes: Mapping[str, Shape], initializer) -> dict:
    """Returns one float32 tensor `[B, *shape]` for each name, a linear function of `h` [B, D].

    Args:
        h: features.
        shapes: name -> shape.
        initializer: returns an initializer for each kernel.
    """
    outputs = {}
    for name, shape in shapes.items():
        small = isinstance(initializer, Initializers) and starts_small(name)
        # "output" ends the layer's name: a parameter and a Keras layer may not share one
        y = keras.layers.Dense(
            math.prod(shape),
            activation=head_activation(name),
            kernel_initializer=initializer.small() if small else initializer(),
            dtype=head_dtype(name),
            name=f"{name}_output",
        )(h)
        outputs[name] = (
            as_float32(y)
            if len(shape) == 1
            else keras.layers.Reshape(tuple(shape), dtype="float32", name=f"{name}_image")(y)
        )
    return outputs


def as_float32(y):
    """Returns a Keras tensor in float32."""
    if y.dtype == "float32":
        return y
    return keras.layers.Activation("linear", dtype="float32")(y)
