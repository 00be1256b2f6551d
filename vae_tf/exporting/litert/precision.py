"""The ways of making a `.tflite` file smaller than float32."""

import copy
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator

from vae_tf.errors import ExportError, unknown
from vae_tf.exporting.litert import files as litert
from vae_tf.exporting.litert.splitting import NO_BUFFER, joined, split
from vae_tf.exporting.signatures.endpoint import Arrays

Converter: TypeAlias = tf.lite.TFLiteConverter
Way: TypeAlias = Callable[[Converter], bytes]
PRECISIONS = ("float32", "float16", "dynamic", "int8")
LARGE = 1024  # elements; from there on, `dynamic` quantizes weights too


def way(precision: str, samples: Sequence[Arrays] = ()) -> Way:
    """Returns what makes the file of a converter.

    Args:
        precision: one of PRECISIONS.
        samples: for int8, typical batches of the inputs.

    Raises:
        ExportError: another precision.
    """
    ways: dict[str, Way] = {
        "float32": methodcaller("convert"),
        "float16": _float16,
        "dynamic": _dynamic,
        "int8": lambda converter: _int8(converter, samples),
    }
    if precision not in ways:
        raise unknown("precision", precision, PRECISIONS, ExportError)
    return ways[precision]


def _dynamic(converter: Converter) -> bytes:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def _float16(converter: Converter) -> bytes:
    """Returns a file whose large float32 constants are float16, and cast where they are used.

    TensorFlow's own way halves the small ones too: biases, a learned scale, of which 784 pixels
    lose a tenth of a nat, and the numbers of the random generator.
    """
    model = litert.opened(converter.convert())
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


def _int8(converter: Converter, samples: Sequence[Arrays]) -> bytes:
    """Returns a file whose network is of integers; what makes statistics of its outputs is not.

    A LOGISTIC of int8 has steps of 1/256: probabilities of exactly 0, and log p(x|z) of minus
    infinity. An EXP of int8 takes all small scales for one. TensorFlow's own way of leaving
    operators out rounds between them all the same, and dies of a segmentation fault for some.
    """
    content = converter.convert()
    network, cut = split(content)
    if not cut:
        fix = "Leave int8 out of precisions."
        raise ExportError("int8 needs a layer with weights", "none", fix)
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
