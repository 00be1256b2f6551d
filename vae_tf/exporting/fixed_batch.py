"""LiteRT files whose batch is fixed, as LiteRT.js wants them, made from a SavedModel."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from vae_tf.exporting import litert
from vae_tf.quiet import quiet


def fixed_batch(saved_model: Path, signatures: Sequence[str], batch: int) -> bytes:
    """Returns signatures of a SavedModel as one `.tflite` file, float32, of `batch` rows.

    Raises:
        ExportError: naming what LiteRT's builtin operators cannot express.
    """
    with quiet(tf.errors.OpError), tempfile.TemporaryDirectory() as scratch:
        loaded = tf.saved_model.load(str(saved_model))
        fixed = {name: _fixed(loaded.signatures[name], batch) for name in signatures}
        tf.saved_model.save(loaded, scratch, signatures=fixed)
        return litert.convert(Path(scratch), signatures)


def _fixed(signature: Any, batch: int) -> Any:
    """Returns a concrete function, a signature with its first dimension known."""
    _, specs = signature.structured_input_signature
    specs = {
        name: tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype, name)
        for name, spec in specs.items()
    }
    return tf.function(lambda **inputs: signature(**inputs)).get_concrete_function(**specs)
