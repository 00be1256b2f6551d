"""A `.tflite` file cut after its last weights, so that only what comes before is quantized."""

import copy
from collections.abc import Iterable, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from vae_tf.formats.litert import files as litert

# Where weights meet activations.
WEIGHTED = {"FULLY_CONNECTED", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"}
NO_BUFFER = 0


def split(content: bytes) -> tuple[bytes, list[int]]:
    """Returns the network in a file of one signature, and which tensors of the file it puts out.

    These are the results of the last operators with weights on each way to an output. What is
    done with them makes statistics of p(x|z) or q(z|x) out of their parameters.
    """
    model = litert.opened(content)
    (graph,) = model.subgraphs
    makers = _makers(graph)
    cut: dict[int, None] = {}
    pending, seen = list(graph.outputs), set()
    while pending:
        tensor = int(pending.pop())
        if tensor in seen or tensor not in makers:
            continue
        seen.add(tensor)
        op = graph.operators[makers[tensor]]
        if litert.operator_name(model.operatorCodes[op.opcodeIndex]) in WEIGHTED:
            cut[tensor] = None
        else:
            pending += list(op.inputs)
    graph.operators = _needed(graph, cut, graph.inputs)
    # The calibrator refuses operators that are listed and not used
    used = sorted({op.opcodeIndex for op in graph.operators})
    for op in graph.operators:
        op.opcodeIndex = used.index(op.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[i] for i in used]
    graph.outputs = np.int32(list(cut))
    model.signatureDefs = None
    return litert.packed(model), list(cut)


def joined(network: bytes, content: bytes, cut: Sequence[int]) -> bytes:
    """Returns a file that computes what `content` does, its tensors `cut` by `network`."""
    whole, model = litert.opened(content), litert.opened(network)
    (old,), (graph,) = whole.subgraphs, model.subgraphs
    places = dict(zip([*old.inputs, *cut], [*graph.inputs, *graph.outputs], strict=True))
    codes: dict[int, int] = {}

    def place(tensor: int) -> int:
        if tensor >= 0 and tensor not in places:
            places[tensor] = len(graph.tensors)
            moved = copy.copy(old.tensors[tensor])
            buffer = whole.buffers[moved.buffer]
            moved.buffer = NO_BUFFER if buffer.data is None else len(model.buffers)
            model.buffers += [] if buffer.data is None else [buffer]
            graph.tensors.append(moved)
        return places.get(tensor, tensor)  # -1 is no tensor

    for op in _needed(old, old.outputs, cut):
        if op.opcodeIndex not in codes:
            codes[op.opcodeIndex] = len(model.operatorCodes)
            model.operatorCodes.append(whole.operatorCodes[op.opcodeIndex])
        op.opcodeIndex = codes[op.opcodeIndex]
        op.inputs, op.outputs = (
            np.int32([place(int(t)) for t in e]) for e in (op.inputs, op.outputs)
        )
        graph.operators.append(op)
    graph.outputs = np.int32([place(int(tensor)) for tensor in old.outputs])
    for signature in whole.signatureDefs:
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = place(end.tensorIndex)
    model.signatureDefs = whole.signatureDefs
    return litert.packed(model)


def _makers(graph: schema.SubGraphT) -> dict[int, int]:
    """Returns tensor -> position of the operator that makes it."""
    return {int(t): i for i, op in enumerate(graph.operators) for t in op.outputs}


def _needed(
    graph: schema.SubGraphT, wanted: Iterable[int], given: Iterable[int]
) -> list[schema.OperatorT]:
    """Returns the operators that make the tensors `wanted` of those `given`, in their order."""
    makers, found, known = _makers(graph), set(), set(map(int, given))
    pending = [int(tensor) for tensor in wanted]
    while pending:
        tensor = pending.pop()
        if tensor in makers and tensor not in known:
            known.add(tensor)
            found.add(makers[tensor])
            pending += map(int, graph.operators[makers[tensor]].inputs)
    return [graph.operators[i] for i in sorted(found)]
