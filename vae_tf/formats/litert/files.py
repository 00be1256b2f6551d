"""LiteRT files (`.tflite`) of builtin operators only: converted, inspected and run."""

import contextlib
import gc
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import flatbuffers
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from vae_tf.errors import ExportError
from vae_tf.formats.litert.exact import exact
from vae_tf.quiet import quiet
from vae_tf.signatures.endpoint import Arrays

# What to do about operations that LiteRT lacks, by the beginnings of their names
REMEDIES = {
    ("TensorList",): "Pass unroll=True to recurrent layers.",
    ("ResizeBicubic", "ScaleAndTranslate"): 'Take interpolation="bilinear" or "nearest".',
    ("DenseBincount",): 'Take output_mode="one_hot" and add up.',
    ("HashTable", "LookupTable", "AsString", "StringTo"): "Look up before, and pass numbers.",
    ("MaxPool3D", "AvgPool3D"): "Take a Conv3D with strides in place of pooling.",
}
OTHER_REMEDY = "Replace these operations in the model, in from_noise or in statistics(params)."
IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # kernels may use weights where they lie
BUILTIN_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


def convert(
    saved_model: Path,
    signatures: Sequence[str],
    *,
    dynamic: bool = False,
) -> bytes:
    """Returns signatures of a SavedModel as one `.tflite` file.

    What they share of the weights is in the file once.

    Args:
        saved_model: its directory.
        signatures: their names.
        dynamic: whether weights become int8, and activations as they come; else all stays
            float32.

    Raises:
        ExportError: naming each operation that no builtin operator of LiteRT can express.
    """
    with quiet(), exact(saved_model) as path:
        # from_concrete_functions(keras_model) would write a file without weights, silently.
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(path), signature_keys=list(signatures)
        )
        # Select-TF operators would convert too, and then run on no phone and in no browser.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.optimizations = [tf.lite.Optimize.DEFAULT] if dynamic else []
        # The converter has Python collect its garbage, in seconds where Keras and TFP are loaded;
        # what is frozen is not looked at.
        gc.freeze()
        try:
            content = converter.convert()
        except OSError:
            raise
        except Exception as error:
            raise _unsupported(signatures, _named_operations(str(error))) from error
        finally:
            gc.unfreeze()
    foreign = [name for name in operators(content) if name not in BUILTIN_NAMES.values()]
    if foreign:
        raise _unsupported(signatures, foreign)
    return content


def operators(content: bytes) -> list[str]:
    """Returns the names of the operators a `.tflite` file uses, custom ones by their own name."""
    model = viewed(content)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    return sorted({operator_name(schema.OperatorCodeT.InitFromObj(code)) for code in codes})


def operator_name(code: schema.OperatorCodeT) -> str:
    """Returns the name of an operator, a custom one's own."""
    # Files keep codes below 127 in the older, deprecated field.
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    custom = builtin == schema.BuiltinOperator.CUSTOM
    return code.customCode.decode() if custom else BUILTIN_NAMES[builtin]


def signatures(content: bytes) -> list[str]:
    """Returns the names of the signatures in a `.tflite` file."""
    model = viewed(content)
    defs = map(model.SignatureDefs, range(model.SignatureDefsLength()))
    return sorted(signature.SignatureKey().decode() for signature in defs)


def shapes(model: schema.ModelT) -> dict[str, dict[str, dict[str, list[int | None]]]]:
    """Returns signature -> `inputs` and `outputs` -> name -> shape, None where it is free."""

    def shape(tensor: schema.TensorT) -> list[int | None]:
        sides = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
        return [None if side < 0 else int(side) for side in ([] if sides is None else sides)]

    found = {}
    for signature in model.signatureDefs or []:
        tensors = model.subgraphs[signature.subgraphIndex].tensors
        sides = {"inputs": ends(signature.inputs), "outputs": ends(signature.outputs)}
        found[signature.signatureKey.decode()] = {
            side: {name: shape(tensors[tensor]) for name, tensor in of.items()}
            for side, of in sides.items()
        }
    return found


def viewed(content: bytes) -> schema.Model:
    """Returns a view of a `.tflite` file, which reads what it is asked for: `opened` takes long."""
    if content[4:8] != IDENTIFIER:
        received = f"{len(content)} bytes without the identifier {IDENTIFIER.decode()}"
        raise ExportError("a .tflite file was expected", received, "Pass the file's content.")
    return schema.Model.GetRootAs(content, 0)


def opened(content: bytes) -> schema.ModelT:
    """Returns all that is in a `.tflite` file, to change it; its buffers are views.

    Raises:
        ExportError: if it is none.
    """
    return schema.ModelT.InitFromObj(viewed(content))


def makers(graph: schema.SubGraphT) -> dict[int, schema.OperatorT]:
    """Returns tensor -> the operator that makes it."""
    return {int(t): op for op in graph.operators for t in op.outputs}


def ends(side: Iterable[schema.TensorMapT]) -> dict[str, int]:
    """Returns name -> tensor of a signature's inputs, or outputs."""
    return {end.name.decode(): end.tensorIndex for end in side}


def packed(model: schema.ModelT) -> bytes:
    """Returns the `.tflite` file of what is in it, its list of operators cut to those it uses."""
    operators = [op for graph in model.subgraphs for op in graph.operators]
    used = sorted({op.opcodeIndex for op in operators})
    for op in operators:
        op.opcodeIndex = used.index(op.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[i] for i in used]
    builder = _Builder(sum(len(b.data) for b in model.buffers if b.data is not None) + 65536)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):
    """A builder that aligns buffers as the schema says, which the generated code forgets."""

    def CreateNumpyVector(self, x):
        """Writes an array where LiteRT can map it into memory."""
        self.Prep(ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)


def run(content: bytes, signature: str, batches: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    """Returns the outputs for each of `batches`, by the LiteRT interpreter on one thread.

    Raises:
        ExportError: if the file does not load or run.
    """
    with quiet(), running(content):
        runner = Interpreter(model_content=content, num_threads=1).get_signature_runner(signature)
        # Copies: the next call may move the buffers under a view.
        return [
            {name: np.array(value) for name, value in runner(**batch).items()} for batch in batches
        ]


@contextlib.contextmanager
def running(content: bytes) -> Iterator[None]:
    """Turns what the interpreter refuses of a file into an ExportError."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ExportError(
            f"the .tflite file of {' and '.join(signatures(content))} must run in LiteRT",
            " ".join(str(error).split()),
            "Look for an operation whose shape depends on more than the batch.",
        ) from error


def _named_operations(message: str) -> list[str]:
    """Returns the operations a converter's message complains of, else its first line."""
    listed = re.findall(r"^\s*(?:TF Select|Flex|Custom) ops: (.+)$", message, re.MULTILINE)
    names = {name.strip() for line in listed for name in line.split(",")}
    names |= set(re.findall(r"'tf\.(\w+)' op", message))
    return sorted(names) or [(message.strip().splitlines() or ["no message"])[0]]


def _unsupported(signatures: Sequence[str], names: Sequence[str]) -> ExportError:
    """Returns the error on operations that LiteRT has not, with remedies."""
    fixes = [fix for begun, fix in REMEDIES.items() if any(n.startswith(begun) for n in names)]
    return ExportError(
        f"{' and '.join(signatures)} must be expressible in LiteRT's builtin operators",
        ", ".join(names),
        " ".join(fixes or [OTHER_REMEDY]),
    )
