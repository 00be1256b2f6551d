"""Statistics of p(x|z) and q(z|x) in LiteRT, at all sizes of their parameters.

What the probes of `decode` and `encode` make of a network, trained or not, leaves most of a
parameter's range alone; data of use may go there all the same.
"""

import contextlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures.endpoint import Arrays, Endpoint, Input
from vae_tf.signatures.halves import Halves

SIZES = (1.0, 10.0, 100.0, 1000.0)
NUMBERS, ROWS = 20_000, 64  # at most, of a batch


def statistics_endpoint(halves: Halves, half: str) -> Endpoint:
    """Returns what a half puts out as a function of its network's outputs."""
    if half == "encoder":
        part, params = halves.parts.posterior, halves.example
    else:
        taken = halves.condition("decoder")
        z = tf.zeros([1, halves.latent])
        part, params = halves.parts.likelihood, halves.decode(z, taken.value(taken.example(1)))
    shapes = [value.shape[1:] for value in keras.tree.flatten(params)]
    inputs = tuple(Input(f"p{i}", "float32", tuple(s)) for i, s in enumerate(shapes))

    def statistics(*flat: tf.Tensor) -> dict[str, tf.Tensor]:
        found = part.statistics(keras.tree.pack_sequence_as(params, flat))
        return {name: tf.cast(value, tf.float32) for name, value in found.items()}

    return Endpoint("statistics", half, inputs, frozenset(), statistics)


def check(endpoint: Endpoint) -> None:
    """Refuses a part of which LiteRT makes something else than Keras.

    Sizes that are too much for Keras itself are left out.

    Raises:
        ExportError: naming the output.
    """
    tried: list[tuple[Arrays, Arrays]] = []
    for batch in _batches(endpoint):
        with contextlib.suppress(ExportError):
            tried += [(batch, parity.reference(endpoint, [batch])[0])]
    batches, expected = zip(*tried, strict=True)
    with tempfile.TemporaryDirectory() as directory:
        saved_model.write([endpoint], Path(directory) / "1")
        content = litert.convert(Path(directory) / "1", [endpoint.name])
    parity.compare("litert", endpoint.name, expected, litert.run(content, endpoint.name, batches))


def _batches(endpoint: Endpoint) -> Iterator[Arrays]:
    """Yields parameters of normal distributions whose scales are SIZES, each of its own."""
    rng = np.random.default_rng(0)
    numbers = sum(math.prod(i.shape) for i in endpoint.inputs)
    rows = max(1, min(ROWS, NUMBERS // numbers))
    for size in SIZES:
        yield {
            i.name: (size * rng.standard_normal((rows, *i.shape))).astype("float32")
            for i in endpoint.inputs
        }
