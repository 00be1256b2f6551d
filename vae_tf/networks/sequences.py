"""What networks of sequences share: tokens and numbers as features, the past, padding, heads."""

import math
from collections.abc import Mapping
from typing import Any

import keras

from vae_tf.checks import real, whole
from vae_tf.errors import ConfigError
from vae_tf.networks.checks import Shape, shape_of
from vae_tf.networks.conditions import Conditions
from vae_tf.networks.heads import (
    Initializers,
    as_float32,
    head_activation,
    head_dtype,
    starts_small,
)


class Steps:
    """The inputs `x` and `mask` of a network of sequences, step by step.

    Args:
        event_shape: (T,) of tokens or single numbers, or (T, D).
        tokens: K where x are the numbers of tokens, 0 to K - 1; None where x are real numbers.
        embedding: features of a token.
        initializers: of the embedding.

    Raises:
        ConfigError: another shape, or tokens in several columns.
    """

    def __init__(self, event_shape: Shape, tokens: int | None, embedding: int, initializers: Any):
        self.shape = shape_of("event_shape", event_shape)
        if len(self.shape) not in ((1,) if tokens else (1, 2)):
            fix = "Pass (T,) for tokens, (T, D) for series of D numbers."
            raise ConfigError("`event_shape` must be that of a sequence", self.shape, fix)
        self.length = self.shape[0]
        self.tokens = None if tokens is None else whole("tokens", tokens, least=2)
        self.embedding, self.initializers = whole("embedding", embedding), initializers
        self.x = keras.Input(self.shape, name="x")

    def features(self):
        """Returns what each step holds, [B, T, F]."""
        if self.tokens is None:
            return keras.ops.reshape(self.x, (-1, self.length, math.prod(self.shape[1:])))
        # Cast at once: in half precision the number of a token would be rounded
        layer = keras.layers.Embedding(
            self.tokens, self.embedding, embeddings_initializer=self.initializers("uniform")
        )
        return layer(keras.ops.cast(self.x, "int32"))

    def past(self, word_dropout: float, seed: int | None):
        """Returns the features of the step before each step, [B, T, F]; before the first, zeros.

        Word dropout (Bowman et al. 2016, section 3.2) replaces so large a share of the steps by
        zeros in training, so that a decoder has to ask z.
        """
        before = keras.layers.ZeroPadding1D((1, 0))(self.features())[:, :-1]
        share = real("word_dropout", word_dropout, positive=False)
        if share > 1:
            fix = "Pass word_dropout=0.3 for three words in ten."
            raise ConfigError("`word_dropout` must be a share", repr(word_dropout), fix)
        if not share:
            return before
        ones = keras.ops.ones_like(before[..., :1])
        kept = keras.layers.Dropout(share, seed=seed)(ones)
        # Its sign: dropout would also enlarge what it keeps
        return keras.layers.Multiply()([before, keras.ops.sign(kept)])

    def alive(self, mask):
        """Returns which steps are no padding, bool [B, T]: up to the last observed one.

        A gap in the middle stays a step, so that time goes on in it.
        """
        seen = keras.ops.reshape(mask, (-1, self.length, math.prod(self.shape[1:])))
        seen = keras.ops.max(keras.ops.cast(seen, "int32"), axis=-1)
        return keras.ops.flip(keras.ops.cumsum(keras.ops.flip(seen, 1), axis=1), 1) > 0

    def seen(self, conditions: Conditions):
        """Returns an encoder's features [B, T, F], and which steps are no padding; None for all.

        Of real numbers the mask is among the features, which tells a 0 from a gap.
        """
        h, mask = self.features(), conditions.mask
        if mask is None:
            return h, None
        if self.tokens is None:
            shape = (-1, self.length, math.prod(self.shape[1:]))
            h = keras.layers.Concatenate()([h, keras.ops.reshape(mask, shape)])
        return h, self.alive(mask)

    def heads(self, h, outputs: Mapping[str, Shape], initializers: Initializers) -> dict[str, Any]:
        """Returns the outputs [B, *shape], each a linear function of its step of `h` [B, T, F].

        Raises:
            ConfigError: an output that does not have as many numbers for each step.
        """
        found = {}
        for name, shape in outputs.items():
            size = math.prod(shape)
            if size % self.length:
                fix = "Pass likelihood.parameter_shapes(event_shape)."
                expected = f"Outputs must have numbers for each of the {self.length} steps"
                raise ConfigError(expected, f"{name} of shape {tuple(shape)}", fix)
            kernel = initializers.small() if starts_small(name) else initializers()
            y = keras.layers.Dense(
                size // self.length,
                activation=head_activation(name),
                kernel_initializer=kernel,
                dtype=head_dtype(name),
                name=f"{name}_output",
            )(h)
            flat = keras.layers.Reshape(tuple(shape), dtype=head_dtype(name))(y)
            found[name] = as_float32(flat)
        return found
