"""The ways of making a `.tflite` file smaller than float32."""

import warnings
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import TypeAlias

import tensorflow as tf

from vae_tf.errors import ExportError, unknown
from vae_tf.exporting import litert
from vae_tf.exporting.signatures import Arrays

Converter: TypeAlias = tf.lite.TFLiteConverter
PRECISIONS = ("float32", "float16", "dynamic", "int8")
# Where weights meet activations.
WEIGHTED = {
    *("FULLY_CONNECTED", "BATCH_MATMUL", "UNIDIRECTIONAL_SEQUENCE_LSTM", "WHILE"),
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "CONV_3D", "CONV_3D_TRANSPOSE"),
}


def way(precision: str, samples: Sequence[Arrays] = ()) -> Callable[[Converter], bytes]:
    """Returns what makes the file of a converter.

    Args:
        precision: one of PRECISIONS.
        samples: for int8, typical batches of the inputs.

    Raises:
        ExportError: another precision.
    """
    ways: dict[str, Callable[[Converter], bytes]] = {
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
    converter.target_spec.supported_types = [tf.float16]
    return _dynamic(converter)


def _int8(converter: Converter, samples: Sequence[Arrays]) -> bytes:
    """Returns a file of integers but for the operators that make statistics of the outputs.

    A LOGISTIC of int8 has steps of 1/256: probabilities of exactly 0, and log p(x|z) of minus
    infinity. Whole scales are rounded away by an EXP of int8.
    """
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter(samples)
    with warnings.catch_warnings():
        # The debugger, the converter's only door to partial quantization, opens TensorFlow's
        # own interpreter, which warns that it will go.
        warnings.simplefilter("ignore")
        debugger = tf.lite.experimental.QuantizationDebugger(converter=converter)
        debugger.options = tf.lite.experimental.QuantizationDebugOptions(
            denylisted_nodes=_last_nodes(debugger.calibrated_model)
        )
        return debugger.get_nondebug_quantized_model()


def _last_nodes(content: bytes) -> list[str]:
    """Returns the tensors made after the last operator with weights, on each way to an output."""
    model = litert.opened(content)
    (graph,) = model.subgraphs
    makers = {output: op for op in graph.operators for output in op.outputs}
    found: dict[int, str] = {}
    pending = list(graph.outputs)
    while pending:
        tensor = pending.pop()
        op = makers.get(tensor)
        if op and tensor not in found:
            code = model.operatorCodes[op.opcodeIndex]
            if litert.operator_name(code) not in WEIGHTED:
                found[tensor] = graph.tensors[tensor].name.decode()
                pending += list(op.inputs)
    return sorted(found.values())
