"""The ways of making a `.tflite` file smaller than float32."""

import copy
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator

from vae_tf.errors import ExportError
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.splitting import NO_BUFFER, joined, split
from vae_tf.quiet import quiet
from vae_tf.signatures.endpoint import Arrays

PRECISIONS = ("float32", "float16", "dynamic", "int8")
LARGE = 1024  # elements; from there on, `dynamic` quantizes weights too
WITHOUT_INT8 = "Leave int8 out of precisions."


class Source:
    """A SavedModel and the files of it; all that is not `dynamic` is made of the float32 one.

    Args:
        path: its directory.
        samples: for int8, typical batches of the inputs.
    """

    def __init__(self, path: Path, samples: Sequence[Arrays] = ()):
        self.path, self.samples = path, samples
        self._float32 = functools.cache(functools.partial(litert.convert, path))

    def file(self, precision: str, names: Sequence[str]) -> bytes:
        """Returns these signatures as one `.tflite` file.

        Args:
            precision: one of PRECISIONS.
            names: of the signatures.

        Raises:
            ExportError: there can be no such file of a signature.
        """
        if precision == "dynamic":
            return litert.convert(self.path, names, dynamic=True)
        content = self._float32(tuple(names))
        if precision == "float16":
            return _float16(content)
        if precision != "int8":
            return content
        try:
            with quiet():
                return _int8(content, self.samples)
        except ExportError:
            raise
        except Exception as error:
            expected = f"{' and '.join(names)} must be computable in integers"
            received = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            raise ExportError(expected, received, WITHOUT_INT8) from error


def _float16(content: bytes) -> bytes:
    """Returns a file whose large float32 constants are float16, and cast where they are used.

    TensorFlow's own way halves the small ones too: biases, a learned scale, of which 784 pixels
    lose a tenth of a nat, and the numbers of the random generator.
    """
    model = litert.opened(content)
    halved: set[int] = set()
    dequantize = schema.OperatorCodeT(
        schema.BuiltinOperator.DEQUANTIZE, version=3, builtinCode=schema.BuiltinOperator.DEQUANTIZE
    )
    model.operatorCodes.append(dequantize)
    for graph in model.subgraphs:
        for index, tensor in enumerate(list(graph.tensors)):
            buffer = model.buffers[tensor.buffer]
            constant = buffer.data is not None and tensor.type == schema.TensorType.FLOAT32
            if not constant or np.prod(tensor.shape) < LARGE:
                continue
            if tensor.buffer not in halved:  # signatures share buffers
                halved.add(tensor.buffer)
                with np.errstate(over="ignore"):  # infinities are refused when they are judged
                    buffer.data = buffer.data.view(np.float32).astype(np.float16).view(np.uint8)
            half = copy.copy(tensor)
            half.type, tensor.buffer = schema.TensorType.FLOAT16, NO_BUFFER
            graph.tensors.append(half)
            cast = schema.OperatorT(len(model.operatorCodes) - 1)
            cast.inputs, cast.outputs = np.int32([len(graph.tensors) - 1]), np.int32([index])
            graph.operators.insert(0, cast)
    return litert.packed(model)


def _int8(content: bytes, samples: Sequence[Arrays]) -> bytes:
    """Returns a file whose network is of integers; what makes statistics of its outputs is not.

    A LOGISTIC of int8 has steps of 1/256: probabilities of exactly 0, and log p(x|z) of minus
    infinity. An EXP of int8 takes all small scales for one. TensorFlow's own way of leaving
    operators out rounds between them all the same, and dies of a segmentation fault for some.
    """
    network, cut = split(content)
    if not cut:
        raise ExportError("int8 needs a layer with weights", "none", WITHOUT_INT8)
    names = _inputs(content)
    batches = [[rows[name] for name in names] for rows in samples]
    calibrated = Calibrator(network).calibrate(lambda: iter(batches))
    return joined(mlir_quantize(calibrated), content, cut)


def _inputs(content: bytes) -> list[str]:
    """Returns the names of the inputs of a file's one signature, in the order of its graph."""
    model = litert.opened(content)
    (signature,), (graph,) = model.signatureDefs, model.subgraphs
    names = {end.tensorIndex: end.name.decode() for end in signature.inputs}
    return [names[tensor] for tensor in graph.inputs]
