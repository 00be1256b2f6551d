"""SavedModels: written with each weight once, and run by TensorFlow's Python loader."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from vae_tf.distributions.gradients import values_only
from vae_tf.errors import ExportError
from vae_tf.quiet import quiet
from vae_tf.signatures import rows
from vae_tf.signatures.endpoint import Arrays, Endpoint


def write(
    endpoints: Sequence[Endpoint], directory: Path, networks: Iterable[keras.Model] = ()
) -> None:
    """Writes `directory` as a SavedModel of one half: its signatures, the first as serving_default.

    Args:
        endpoints: the signatures.
        directory: to be created.
        networks: in which lookup tables may be, of which a graph itself does not know.

    Raises:
        ExportError: if a model cannot be traced into a graph.
    """
    # No track(): it stores each weight twice. tf.saved_model.save(model) stores it once, but
    # under names the C++ loader does not find.
    archive = keras.export.ExportArchive()
    for network in networks:
        for layer in network._flatten_layers():
            for value in vars(layer).values():
                if isinstance(value, tf.saved_model.experimental.TrackableResource):
                    archive.track(value)
    with quiet(tf.errors.OpError), values_only():
        try:
            for endpoint in endpoints:
                archive.add_endpoint(endpoint.name, endpoint.checked, endpoint.specs)
            archive.write_out(str(directory), verbose=False)
        except (OSError, tf.errors.OpError):
            raise
        except Exception as error:
            raise ExportError(
                f"the {endpoints[0].half} must be expressible as a TensorFlow graph",
                f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                "Use keras.ops or tf operations only, no NumPy and no Python branches on values.",
            ) from error


def opened(directory: Path) -> Callable[[str, Sequence[Arrays]], list[dict[str, np.ndarray]]]:
    """Returns `run` of one SavedModel, by a signature and batches, which is read once."""
    with quiet(tf.errors.OpError), tf.device("/CPU:0"):
        loaded = tf.saved_model.load(str(directory))

    def call(signature: str, batches: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        with quiet(tf.errors.OpError), tf.device("/CPU:0"):
            function = loaded.signatures[signature]
            results = [function(**{n: tf.constant(x) for n, x in b.items()}) for b in batches]
        return [{name: value.numpy() for name, value in result.items()} for result in results]

    return call


def run(directory: Path, signature: str, batches: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    """Returns the outputs for each of `batches`, of any size, by `tf.saved_model.load`."""
    call = opened(directory)

    def in_parts(batch: Arrays) -> dict[str, np.ndarray]:
        starts = range(0, max(1, len(next(iter(batch.values())))), rows.FEWEST)
        parts = [{n: x[start : start + rows.FEWEST] for n, x in batch.items()} for start in starts]
        answers = call(signature, parts)
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    return [in_parts(batch) for batch in batches]
