"""What a bundle is made of."""

from typing import Any, NamedTuple

import keras


class Parts(NamedTuple):
    """A model, float32.

    Attributes:
        encoder: x [B, *event] -> whatever `posterior` takes.
        decoder: z [B, L] -> whatever `likelihood` takes.
        prior: p(z).
        posterior: q(z|x).
        likelihood: p(x|z).
    """

    encoder: keras.Model
    decoder: keras.Model
    prior: Any
    posterior: Any
    likelihood: Any
