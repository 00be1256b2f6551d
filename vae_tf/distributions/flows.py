"""Networks inside normalizing flows: plain weights of a part, no Keras layers."""

import itertools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from vae_tf.distributions.base import ModelPart

# exp(+-3) a step: wide enough to learn, too narrow to overflow in a chain of steps
MAX_LOG_SCALE = 3.0


class Conditioner(ModelPart):
    """shift and log-scale of an affine step, functions of `inputs` and of a context.

    The last layer starts at zero: the step starts as the identity.

    Args:
        inputs: what the step is conditioned on, in numbers of latents.
        outputs: what it transforms.
        hidden: widths of the hidden layers.
        autoregressive: output i depends on inputs before i alone (Germain et al. 2015, MADE).
        context: numbers from elsewhere that all outputs may depend on.
        seed: of the initial weights.
    """

    use = "It is a piece of a flow."

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int],
        *,
        autoregressive: bool,
        context: int = 0,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        widths = [inputs, *hidden, 2 * outputs]
        self.masks = _masks(inputs, hidden, outputs) if autoregressive else [None] * len(widths)
        self.kernels, self.biases = [], []
        for i, shape in enumerate(itertools.pairwise(widths)):
            last = i == len(hidden)
            start = "zeros" if last else keras.initializers.GlorotUniform(seed=seed + i)
            self.kernels.append(self.add_weight(name=f"kernel_{i}", shape=shape, initializer=start))
            bias = {"shape": shape[1:], "initializer": "zeros"}
            self.biases.append(self.add_weight(name=f"bias_{i}", **bias))
        self.context_kernel = None
        if context:
            start = keras.initializers.GlorotUniform(seed=seed + len(widths))
            shape = (context, widths[1])
            self.context_kernel = self.add_weight(name="context", shape=shape, initializer=start)

    def shift_and_log_scale(
        self, z: tf.Tensor, context: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns both, [..., outputs], for z [..., inputs] and a context [B, C]."""
        h = z
        for i, (kernel, bias, mask) in enumerate(
            zip(self.kernels, self.biases, self.masks, strict=False)
        ):
            matrix = tf.convert_to_tensor(kernel)
            h = tf.tanh(h) if i else h
            h = tf.linalg.matmul(_at_least_2d(h), matrix if mask is None else matrix * mask)
            h = (h if z.shape.rank > 1 else h[0]) + tf.convert_to_tensor(bias)
            if i == 0 and context is not None:
                h += tf.linalg.matmul(context, tf.convert_to_tensor(self.context_kernel))
        shift, raw = tf.split(h, 2, -1)
        return shift, MAX_LOG_SCALE * tf.tanh(raw / MAX_LOG_SCALE)


def _at_least_2d(h: tf.Tensor) -> tf.Tensor:
    return h if h.shape.rank > 1 else h[None]


def _masks(size: int, hidden: Sequence[int], outputs: int) -> list[np.ndarray]:
    """Returns a mask for each kernel, so that output i sees inputs before i alone.

    Units have degrees, and see units of no higher degree; outputs see lower ones alone.
    """
    degrees = [np.arange(1, size + 1)]
    degrees += [np.arange(width) % max(1, size - 1) + min(1, size - 1) for width in hidden]
    masks = [
        (below[:, None] <= above[None]).astype("float32")
        for below, above in itertools.pairwise(degrees)
    ]
    last = degrees[-1][:, None] < np.tile(np.arange(1, outputs + 1), 2)[None]
    return [*masks, last.astype("float32")]


def chain(steps: Sequence[tfb.Bijector], size: int) -> tfb.Bijector:
    """Returns the steps applied one after the other, the first one first, reversing between."""
    reverse = list(range(size))[::-1]
    links: list[tfb.Bijector] = []
    for i, step in enumerate(steps):
        links += [tfb.Permute(reverse), step] if i else [step]
    return tfb.Chain(links[::-1])


def masked_autoregressive(function: Callable, *, inverse: bool) -> tfb.Bijector:
    """Returns a step whose density, or with `inverse` whose draws, take one pass."""
    step = tfb.MaskedAutoregressiveFlow(function, is_constant_jacobian=False)
    return tfb.Invert(step) if inverse else step
