"""SavedModels: written with each weight once, and run by TensorFlow's Python loader."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.exporting.signatures import Endpoint
from vae_tf.quiet import quiet


def write(endpoint: Endpoint, directory: Path) -> None:
    """Writes `directory` as a SavedModel with signatures `endpoint.name` and serving_default.

    Raises:
        ExportError: if the model cannot be traced into a graph.
    """
    shape = (None, *endpoint.input_shape)
    # Unnamed, the input would be called `args_0` by every client.
    spec = tf.TensorSpec(shape, tf.float32, name=endpoint.input_name)
    # No track(): it stores each weight twice. tf.saved_model.save(model) stores it once, but
    # under names the C++ loader does not find.
    archive = keras.export.ExportArchive()
    archive.add_endpoint(endpoint.name, endpoint.function, [spec])
    with quiet(tf.errors.OpError):
        try:
            archive.write_out(str(directory), verbose=False)
        except (OSError, tf.errors.OpError):
            raise
        except Exception as error:
            raise ExportError(
                f"the {endpoint.half} must be expressible as a TensorFlow graph",
                f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                "Use keras.ops or tf operations only, no NumPy and no Python branches on values.",
            ) from error


def run(
    directory: Path, endpoint: Endpoint, inputs: Sequence[np.ndarray]
) -> list[dict[str, np.ndarray]]:
    """Returns the outputs for each of `inputs`, by `tf.saved_model.load`."""
    with quiet(tf.errors.OpError), tf.device("/CPU:0"):
        signature = tf.saved_model.load(str(directory)).signatures[endpoint.name]
        results = [signature(**{endpoint.input_name: tf.constant(x)}) for x in inputs]
    return [{name: value.numpy() for name, value in result.items()} for result in results]
