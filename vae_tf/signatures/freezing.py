"""Functions whose variables, and all that is computed from them alone, have become constants.

A prior may compute much from its variables before it meets any noise: an encoder's outputs, a
cumulative sum. An artefact should not do that at each call, and runtimes that round it in
different ways would not choose the same component.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

Function = Callable[..., tf.Tensor]
CHOICES = ("If", "StatelessIf")


def frozen(function: Function, arguments: Sequence[tf.TensorSpec]) -> Function:
    """Returns `function` with its variables' present values as constants, for use in graphs.

    Args:
        function: from tensors to one tensor that depends on some of them.
        arguments: their specifications.
    """
    traced = tf.function(function, autograph=False).get_concrete_function(*arguments)
    constant = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    (result,) = constant.outputs
    varying = _varying(constant)
    cuts = {
        tensor.name: tensor
        for operation in constant.graph.get_operations()
        if operation.name in varying
        for tensor in operation.inputs
        if tensor.op.name not in varying
    }
    # A GPU would round matrix products to TF32.
    with tf.device("/CPU:0"):
        values = constant.prune([], list(cuts.values()))() if cuts else []
    folded = {name: value.numpy() for name, value in zip(cuts, values, strict=True)}
    definition = constant.graph.as_graph_def()
    inputs = [tensor.name for tensor in constant.inputs]
    placeholders = {name.split(":")[0] for name in inputs}
    rest = tf.compat.v1.GraphDef(versions=definition.versions, library=definition.library)
    for node in definition.node:
        if node.name in varying - placeholders:
            kept = rest.node.add()
            kept.CopyFrom(node)
            # Control edges order side effects, of which a frozen function has none.
            del kept.input[:]
            # Nobody differentiates it, and a gradient of one's own may hold tensors left behind.
            kept.attr.pop("_gradient_op_type", None)
            kept.input.extend(name for name in node.input if not name.startswith("^"))
            if node.op in CHOICES and (choice := _tensor_name(node.input[0])) in folded:
                _take(kept, bool(folded[choice]))
    used = {_tensor_name(edge) for node in rest.node for edge in node.input}

    def call(*tensors: tf.Tensor) -> tf.Tensor:
        given = {n: t for n, t in zip(inputs, tensors, strict=True) if n in used}
        given |= {name: tf.constant(value) for name, value in folded.items() if name in used}
        (z,) = tf.graph_util.import_graph_def(
            rest, input_map=given, return_elements=[result.name], name=""
        )
        z.set_shape(result.shape)
        return z

    return call


def _take(node, then: bool) -> None:
    """Turns an `if` whose condition is a constant into a call of the branch that is taken."""
    branch = node.attr["then_branch" if then else "else_branch"]
    kept = {"f": branch, "Tin": node.attr["Tin"], "Tout": node.attr["Tout"]}
    called = tf.compat.v1.NodeDef(name=node.name, op="PartitionedCall", input=node.input[1:])
    for name, value in kept.items():
        called.attr[name].CopyFrom(value)
    node.CopyFrom(called)


def _tensor_name(edge: str) -> str:
    """Returns the name of the tensor that a node's input is."""
    return edge if ":" in edge else f"{edge}:0"


def _varying(function) -> set[str]:
    """Returns the names of the operations that depend on an argument or cannot be constants."""
    names: set[str] = set()
    # A FuncGraph lists its operations in the order in which they were made, inputs first.
    for operation in function.graph.get_operations():
        unfit = any(t.dtype in (tf.resource, tf.variant, tf.string) for t in operation.outputs)
        if (
            operation.type == "Placeholder"
            or operation.op_def.is_stateful
            or unfit
            or any(tensor.op.name in names for tensor in operation.inputs)
        ):
            names.add(operation.name)
    return names
