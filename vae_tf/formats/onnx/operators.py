"""Operations that tf2onnx converts wrongly, or not at all.

Each takes the graph and the node, both tf2onnx's, and rewrites the node.
"""

from typing import Any

import numpy as np

from vae_tf.formats.onnx.files import extra


def floor_mod(graph: Any, node: Any, *_: Any) -> None:
    """Converts FloorMod; ONNX's Mod of integers takes the sign of the divisor, as it must.

    tf2onnx divides and cuts off, which is wrong below zero (tensorflow-onnx#2174), and so for
    half of the words that `row_rng` shifts.
    """
    types = extra("onnx").TensorProto
    if graph.get_dtype(node.input[0]) in (types.INT32, types.INT64):
        node.type = "Mod"
    else:
        extra("tf2onnx.onnx_opset.math").FloorMod.version_7(graph, node)


def select(graph: Any, node: Any, *_: Any) -> None:
    """Converts a choice to Where.

    tf2onnx would rather add both sides, one of them times 0, which lets NaN and infinity of the
    side not chosen through.
    """
    node.set_attr("handles_nan", True)
    extra("tf2onnx.onnx_opset.controlflow").Select.version_9(graph, node)


def expm1(graph: Any, node: Any, *_: Any) -> None:
    """Converts exp(x) - 1, next to 0 as 2 tanh(x / 2) / (1 - tanh(x / 2))."""
    (x,), dtype = node.input, node.output_dtypes[0]
    make = _maker(graph, node)
    half, one = (_constant(graph, dtype, value) for value in (0.5, 1.0))
    tanh = make("Tanh", make("Mul", x, half))
    near = make("Div", make("Add", tanh, tanh), make("Sub", one, tanh))
    far = make("Sub", make("Exp", x), one)
    make("Where", make("Less", make("Abs", x), half), near, far, replace=True)


def erfc(graph: Any, node: Any, *_: Any) -> None:
    """Converts 1 - erf(x), of which gelu is made; absolute errors of 1e-7 in the tail."""
    one = _constant(graph, node.output_dtypes[0], 1.0)
    make = _maker(graph, node)
    make("Sub", one, make("Erf", node.input[0]), replace=True)


def broadcast_args(graph: Any, node: Any, *_: Any) -> None:
    """Converts the broadcasting of shapes: the shape of zeros so broadcast."""
    first, second = node.input
    dtype, int64 = node.output_dtypes[0], extra("onnx").TensorProto.INT64
    make = _maker(graph, node)
    zeros = make("ConstantOfShape", make("Cast", first, to=int64))
    wide = make("Expand", zeros, make("Cast", second, to=int64))
    make("Cast", make("Shape", wide), replace=True, to=dtype)


def multiply_no_nan(graph: Any, node: Any, *_: Any) -> None:
    """Converts x y that is 0 wherever y is 0, whatever x is."""
    x, y = node.input
    zero, make = _constant(graph, node.output_dtypes[0], 0.0), _maker(graph, node)
    make("Where", make("Equal", y, zero), zero, make("Mul", x, y), replace=True)


HANDLERS: dict[str, tuple[Any, list]] = {
    "BroadcastArgs": (broadcast_args, []),
    "Erfc": (erfc, []),
    "Expm1": (expm1, []),
    "FloorMod": (floor_mod, []),
    "MulNoNan": (multiply_no_nan, []),
    "Select": (select, []),
    "SelectV2": (select, []),
}


def _constant(graph: Any, dtype: int, value: float) -> str:
    """Returns the name of a new constant in the graph."""
    utils = extra("tf2onnx").utils
    array = np.array(value, utils.map_onnx_to_numpy_type(dtype))
    return graph.make_const(utils.make_name("constant"), array).output[0]


def _maker(graph: Any, node: Any) -> Any:
    """Returns a function that makes a node of ONNX and returns its output's name."""
    shapes, dtypes = node.output_shapes, node.output_dtypes

    def make(kind: str, *inputs: str, replace: bool = False, **attributes: Any) -> str:
        options: dict[str, Any] = {}
        if replace:
            graph.remove_node(node.name)
            options = {"name": node.name, "outputs": node.output}
            options |= {"shapes": shapes, "dtypes": dtypes}
        return graph.make_node(kind, list(inputs), attr=attributes, **options).output[0]

    return make
