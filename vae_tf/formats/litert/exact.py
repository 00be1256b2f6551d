"""SavedModels as LiteRT's converter should see them: functions written out that it gets wrong.

It makes softplus(x) a log(exp(x) + 1), infinite from x = 89 on; log1p(x) a log(x + 1) and expm1(x)
an exp(x) - 1, in which the digits of a small x are lost. Its rsqrt(0) is NaN, also where the next
operation would bound it.
"""

import contextlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import function_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2

NAME = "saved_model.pb"
LEAST = 2e-38  # below are numbers that LiteRT takes for 0


@contextlib.contextmanager
def exact(saved_model: Path) -> Iterator[Path]:
    """Yields a SavedModel of the same functions, in float32 without those."""
    model = saved_model_pb2.SavedModel.FromString((saved_model / NAME).read_bytes())
    library = model.meta_graphs[0].graph_def.library
    used = set()
    for node in (node for function in library.function for node in function.node_def):
        if node.op in WAYS and node.attr["T"].type == types_pb2.DT_FLOAT:
            used.add(node.op)
            node.op = _name(node.op)
            del node.attr["T"]  # a call has none
    if not used:
        yield saved_model
        return
    library.function.extend(_definition(op) for op in sorted(used))
    with tempfile.TemporaryDirectory() as directory:
        for path in saved_model.iterdir():
            if path.name != NAME:
                (Path(directory) / path.name).symlink_to(path.absolute())
        (Path(directory) / NAME).write_bytes(model.SerializeToString())
        yield Path(directory)


def softplus(x: tf.Tensor) -> tf.Tensor:
    """Returns log(1 + exp(x))."""
    return tf.maximum(x, 0.0) + log1p(tf.exp(-tf.abs(x)))


def log1p(x: tf.Tensor) -> tf.Tensor:
    """Returns log(1 + x): where LiteRT loses digits, 2 artanh(x / (2 + x)) by its series."""
    y = x / (2.0 + x)
    series = 2.0 * y * _polynomial(y * y, [1 / (2 * k + 1) for k in range(8)])
    return tf.where((x > -0.5) & (x <= 1.0), series, tf.math.log(1.0 + x))


def expm1(x: tf.Tensor) -> tf.Tensor:
    """Returns exp(x) - 1, for small x by its series."""
    series = x * _polynomial(x, [1 / math.factorial(k + 1) for k in range(9)])
    return tf.where(tf.abs(x) < 0.5, series, tf.exp(x) - 1.0)


def rsqrt(x: tf.Tensor) -> tf.Tensor:
    """Returns 1 / sqrt(x) of x >= 0, and 7e18 where that is infinite."""
    return tf.math.rsqrt(tf.maximum(x, LEAST))


def _polynomial(x: tf.Tensor, coefficients: Sequence[float]) -> tf.Tensor:
    """Returns the polynomial with these coefficients, by Horner, the constant first."""
    *others, value = coefficients
    for coefficient in reversed(others):
        value = coefficient + x * value
    return value


# Operation -> the name of its output, and the way
WAYS = {
    "Softplus": ("activations", softplus),
    "Log1p": ("y", log1p),
    "Expm1": ("y", expm1),
    "Rsqrt": ("y", rsqrt),
}


def _name(op: str) -> str:
    """Returns the name of what stands in for an operation."""
    return f"exact_{op}"


def _definition(op: str) -> function_pb2.FunctionDef:
    """Returns a function that can stand where the operation `op` does."""
    output, way = WAYS[op]
    traced = tf.function(way, input_signature=[tf.TensorSpec(None, tf.float32)], autograph=False)
    definition = traced.get_concrete_function().function_def
    definition.signature.name = _name(op)
    (end,) = definition.signature.output_arg
    definition.ret[output] = definition.ret.pop(end.name)
    end.name = output
    return definition
