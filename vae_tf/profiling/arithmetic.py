"""Operations of a graph's matmuls and convolutions, and the matmul that shows what is possible."""

import math
import re
from collections.abc import Callable

import tensorflow as tf

PROBE = 1024  # rows and columns: large enough for every core, small enough for milliseconds
_MATMUL = re.compile(r"(_Fused)?(Batch)?MatMul(V\d)?")
_CONV = re.compile(r"(DepthwiseConv2dNative|Conv[23]D)(Backprop(Filter|Input)(V2)?)?")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def flop(graph: tf.Graph) -> int:
    """Returns the operations, multiply and add apart, of all matmuls and convolutions in `graph`.

    The bodies of loops are left out: how often they run is not known.
    """
    total = 0
    for op in graph.get_operations():
        if op.type in _CALLS:
            total += flop(graph._get_function(op.get_attr("f").name).graph)
        elif _MATMUL.fullmatch(op.type):
            total += _matmul(op)
        elif match := _CONV.fullmatch(op.type):
            total += _convolution(op, depthwise=match[1].startswith("Depthwise"), way=match[3])
    return total


def _matmul(op: tf.Operation) -> int:
    left = op.inputs[0].shape.as_list()
    transposed = any(
        op.get_attr(name) for name in ("transpose_a", "adj_x") if name in op.node_def.attr
    )
    shared = left[-2] if transposed else left[-1]
    return 2 * shared * _size(op.outputs[0].shape)


def _convolution(op: tf.Operation, depthwise: bool, way: str | None) -> int:
    # Each way is the same sums: one product for each element of the forward output and of the
    # kernel's window.
    forward = op.outputs[0] if way is None else op.inputs[2]
    kernel = op.outputs[0] if way == "Filter" else op.inputs[1]
    window = kernel.shape.as_list()[: -2 if depthwise else -1]
    return 2 * math.prod(window) * _size(forward.shape)


def _size(shape: tf.TensorShape) -> int:
    return math.prod(shape.as_list())


def matmul_probe(dtype: str) -> Callable[[], object]:
    """Returns a function that multiplies two square matrices of `PROBE` rows."""
    matrix = tf.ones([PROBE, PROBE], dtype) / PROBE
    multiply = tf.function(lambda a: tf.matmul(a, a))
    return lambda: multiply(matrix)
