"""LiteRT files (`.tflite`) of builtin operators only: converted, inspected and run."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from vae_tf.errors import ExportError
from vae_tf.exporting.signatures import Arrays
from vae_tf.quiet import quiet

BUILTIN_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


def convert(saved_model: Path, signatures: Sequence[str]) -> bytes:
    """Returns signatures of a SavedModel as one `.tflite` file, float32, batch free.

    What they share of the weights is in the file once.

    Raises:
        ExportError: naming each operation that no builtin operator of LiteRT can express.
    """
    with quiet():
        # from_concrete_functions(keras_model) would write a file without weights, silently.
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(saved_model), signature_keys=list(signatures)
        )
        # Select-TF operators would convert too, and then run on no phone and in no browser.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            content = converter.convert()
        except OSError:
            raise
        except Exception as error:
            raise _unsupported(signatures, _named_operations(str(error))) from error
    foreign = [name for name in operators(content) if name not in BUILTIN_NAMES.values()]
    if foreign:
        raise _unsupported(signatures, foreign)
    return content


def operators(content: bytes) -> list[str]:
    """Returns the names of the operators a `.tflite` file uses, custom ones by their own name."""
    model = schema.Model.GetRootAs(content, 0)
    names = set()
    for code in map(model.OperatorCodes, range(model.OperatorCodesLength())):
        # Files keep codes below 127 in the older, deprecated field.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = builtin == schema.BuiltinOperator.CUSTOM
        names.add(code.CustomCode().decode() if custom else BUILTIN_NAMES[builtin])
    return sorted(names)


def signatures(content: bytes) -> list[str]:
    """Returns the names of the signatures in a `.tflite` file."""
    model = schema.Model.GetRootAs(content, 0)
    keys = (
        model.SignatureDefs(i).SignatureKey().decode() for i in range(model.SignatureDefsLength())
    )
    return sorted(keys)


def run(content: bytes, signature: str, batches: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    """Returns the outputs for each of `batches`, by the LiteRT interpreter on one thread.

    Raises:
        ExportError: if the file does not load or run.
    """
    with quiet():
        try:
            runner = Interpreter(model_content=content, num_threads=1).get_signature_runner(
                signature
            )
            # Copies: the next call may move the buffers under a view.
            return [
                {name: np.array(value) for name, value in runner(**batch).items()}
                for batch in batches
            ]
        except (RuntimeError, ValueError) as error:
            raise ExportError(
                f"the .tflite file of {signature} must run in LiteRT",
                " ".join(str(error).split()),
                "Look for an operation whose shape depends on more than the batch.",
            ) from error


def _named_operations(message: str) -> list[str]:
    """Returns the operations a converter's message complains of, else its first line."""
    listed = re.findall(r"^\s*(?:TF Select|Flex|Custom) ops: (.+)$", message, re.MULTILINE)
    names = {name.strip() for line in listed for name in line.split(",")}
    return sorted(names) or [(message.strip().splitlines() or ["no message"])[0]]


def _unsupported(signatures: Sequence[str], names: Sequence[str]) -> ExportError:
    return ExportError(
        f"{' and '.join(signatures)} must be expressible in LiteRT's builtin operators",
        ", ".join(names),
        "Replace these operations in the model, in from_noise or in statistics(params).",
    )
