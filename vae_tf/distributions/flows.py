"""Networks inside normalizing flows: plain weights of a part, no Keras layers."""

import itertools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from vae_tf.checks import whole
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
        hidden = [whole("hidden", width) for width in hidden]
        widths = [inputs, *hidden, 2 * outputs]
        self.masks: list[np.ndarray | None] = [None] * (len(widths) - 1)
        if autoregressive:
            self.masks = [*_masks(inputs, hidden, outputs, bool(context))]
        self.kernels, self.biases = [], []
        for i, shape in enumerate(itertools.pairwise(widths)):
            last = i == len(hidden)
            start = "zeros" if last else keras.initializers.GlorotUniform(seed=seed + i)
            self.kernels.append(self.add_weight(name=f"kernel_{i}", shape=shape, initializer=start))
            bias = {"shape": shape[1:], "initializer": "zeros"}
            self.biases.append(self.add_weight(name=f"bias_{i}", **bias))
        self.context_kernel = None
        if context:
            random = keras.initializers.GlorotUniform(seed=seed + len(widths))
            start = random if hidden else "zeros"
            shape = (context, widths[1])
            self.context_kernel = self.add_weight(name="context", shape=shape, initializer=start)

    def shift_and_log_scale(
        self, z: tf.Tensor, context: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns both, [..., outputs], for z [..., inputs] and a context [B, C]."""
        h = tf.convert_to_tensor(z)
        for i, (kernel, bias, mask) in enumerate(
            zip(self.kernels, self.biases, self.masks, strict=True)
        ):
            matrix = tf.convert_to_tensor(kernel)
            h = tf.tanh(h) if i else h
            h = _product(h, matrix if mask is None else matrix * mask) + tf.convert_to_tensor(bias)
            if i == 0 and context is not None:
                h += tf.linalg.matmul(context, tf.convert_to_tensor(self.context_kernel))
        shift, raw = tf.split(h, 2, -1)
        return shift, MAX_LOG_SCALE * tf.tanh(raw / MAX_LOG_SCALE)


def _product(h: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    return tf.linalg.matmul(h, matrix) if h.shape.rank > 1 else tf.linalg.matmul(h[None], matrix)[0]


def _masks(size: int, hidden: Sequence[int], outputs: int, context: bool) -> list[np.ndarray]:
    """Returns a mask for each kernel, so that output i sees inputs before i alone.

    Units have degrees, and see units of no higher degree; outputs see lower ones alone. Units
    of degree 0 see the context alone, and bring it to the first output too.
    """
    degrees = [np.arange(1, size + 1), *(_degrees(size, width, context) for width in hidden)]
    masks = [
        (below[:, None] <= above[None]).astype("float32")
        for below, above in itertools.pairwise(degrees)
    ]
    last = degrees[-1][:, None] < np.tile(np.arange(1, outputs + 1), 2)[None]
    return [*masks, last.astype("float32")]


def _degrees(size: int, width: int, context: bool) -> np.ndarray:
    least = 0 if context or size == 1 else 1
    if width >= size - least:
        return least + np.arange(width) % (size - least)
    # Too few units for all degrees: the highest among them, or the last inputs went unseen
    spread = np.linspace(1, size - 1, width - 1 if context else width).round().astype(int)
    return np.append(0, spread) if context else spread


def chain(steps: Sequence[tfb.Bijector], size: int, *, restore: bool = False) -> tfb.Bijector:
    """Returns the steps applied one after the other, the first one first, reversing between.

    Args:
        steps: bijectors of vectors.
        size: of the vectors.
        restore: the order at the end is that at the start, whatever the number of steps.
    """
    reverse = list(range(size))[::-1]
    links: list[tfb.Bijector] = []
    for i, step in enumerate(steps):
        links += [tfb.Permute(reverse), step] if i else [step]
    if restore and len(steps) % 2 == 0:
        links.append(tfb.Permute(reverse))
    return tfb.Chain(links[::-1])


def masked_autoregressive(function: Callable, *, inverse: bool) -> tfb.Bijector:
    """Returns a step whose density, or with `inverse` whose draws, take one pass."""
    step = tfb.MaskedAutoregressiveFlow(function, is_constant_jacobian=False)
    return tfb.Invert(step) if inverse else step
