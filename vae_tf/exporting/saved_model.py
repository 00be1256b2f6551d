"""SavedModels: written with each weight once, and run by TensorFlow's Python loader."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.exporting.signatures import Arrays, Endpoint
from vae_tf.quiet import quiet

UNEQUAL = "all inputs must have the same number of rows"


def write(endpoints: Sequence[Endpoint], directory: Path) -> None:
    """Writes `directory` as a SavedModel of one half: its signatures, the first as serving_default.

    Raises:
        ExportError: if a model cannot be traced into a graph.
    """
    # No track(): it stores each weight twice. tf.saved_model.save(model) stores it once, but
    # under names the C++ loader does not find.
    archive = keras.export.ExportArchive()
    with quiet(tf.errors.OpError):
        try:
            for endpoint in endpoints:
                # Unnamed, an input would be called `args_0` by every client.
                specs = [tf.TensorSpec((None, *i.shape), i.dtype, i.name) for i in endpoint.inputs]
                archive.add_endpoint(endpoint.name, guarded(endpoint), specs)
            archive.write_out(str(directory), verbose=False)
        except (OSError, tf.errors.OpError):
            raise
        except Exception as error:
            raise ExportError(
                f"the {endpoints[0].half} must be expressible as a TensorFlow graph",
                f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                "Use keras.ops or tf operations only, no NumPy and no Python branches on values.",
            ) from error


def guarded(endpoint: Endpoint) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns what goes into the graph: an error, and nothing else, for inputs of another shape.

    The C++ runtime feeds a graph whatever it is given. A convolution of oneDNN then aborts the
    process for an image without channels, takes one with twice the channels for two groups, and
    for an empty batch returns another number of channels; a batch of 1 would be stretched to
    that of its neighbour.
    """
    function = endpoint.traced or endpoint.function

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        given = zip(tensors, endpoint.inputs, strict=True)
        first, *rest = [tf.ensure_shape(tensor, (None, *i.shape)) for tensor, i in given]
        rows = tf.shape(first)[0]
        equal = [tf.debugging.assert_equal(tf.shape(x)[0], rows, UNEQUAL) for x in rest]
        with tf.control_dependencies(equal):
            inputs = [tf.identity(x) for x in (first, *rest)]
        outputs = function(*inputs)
        return {name: tf.ensure_shape(value, value.shape) for name, value in outputs.items()}

    return call


def run(directory: Path, signature: str, batches: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    """Returns the outputs for each of `batches`, by `tf.saved_model.load`."""
    with quiet(tf.errors.OpError), tf.device("/CPU:0"):
        function = tf.saved_model.load(str(directory)).signatures[signature]
        results = [function(**{n: tf.constant(x) for n, x in b.items()}) for b in batches]
    return [{name: value.numpy() for name, value in result.items()} for result in results]
