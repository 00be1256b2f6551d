"""`.tflite` files taken apart and put together: a network alone, a file of parts of two others."""

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from vae_tf.formats.litert import files as litert

# Where weights meet activations.
WEIGHTED = {"FULLY_CONNECTED", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"}
NO_BUFFER = 0
Place = Callable[[int], int]


def split(content: bytes) -> tuple[bytes, list[int]]:
    """Returns the network in a file of one signature, and which tensors of the file it puts out.

    These are the results of the last operators with weights on each way to an output. What is
    done with them makes statistics of p(x|z) or q(z|x) out of their parameters.
    """
    model = litert.opened(content)
    (graph,) = model.subgraphs
    makers = litert.makers(graph)
    cut: dict[int, None] = {}
    pending, seen = list(graph.outputs), set()
    while pending:
        tensor = int(pending.pop())
        if tensor in seen or tensor not in makers:
            continue
        seen.add(tensor)
        op = makers[tensor]
        if litert.operator_name(model.operatorCodes[op.opcodeIndex]) in WEIGHTED:
            cut[tensor] = None
        else:
            pending += list(op.inputs)
    graph.operators = _needed(graph, cut, graph.inputs)
    graph.outputs = np.int32(list(cut))
    model.signatureDefs = None
    return litert.packed(model), list(cut)


def joined(network: bytes, content: bytes, cut: Sequence[int]) -> bytes:
    """Returns a file that computes what `content` does, its tensors `cut` by `network`."""
    whole, model = litert.opened(content), litert.opened(network)
    (old,), (graph,) = whole.subgraphs, model.subgraphs
    places = dict(zip([*old.inputs, *cut], [*graph.inputs, *graph.outputs], strict=True))
    place = _mover(whole, model)(old, _needed(old, old.outputs, cut), graph, places)
    graph.outputs = np.int32([place(int(tensor)) for tensor in old.outputs])
    for signature in whole.signatureDefs:
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = place(end.tensorIndex)
    model.signatureDefs = whole.signatureDefs
    return litert.packed(model)


def alone(content: bytes, name: str) -> bytes:
    """Returns a file that has one of a file's signatures, with the weights of that."""
    whole = litert.opened(content)
    model = schema.ModelT()
    model.version, model.operatorCodes, model.signatureDefs = whole.version, [], []
    model.subgraphs, model.buffers = [], [schema.BufferT()]
    (signature,) = (s for s in whole.signatureDefs if s.signatureKey.decode() == name)
    graph, place = _added(model), _mover(whole, model)
    old = whole.subgraphs[signature.subgraphIndex]
    _sign(model, signature, graph, place(old, old.operators, graph, {}))
    return litert.packed(model)


def with_others(content: bytes, whole: bytes, through: Collection[str]) -> bytes:
    """Returns a file of one signature with the others of another file, of the same half.

    Args:
        content: the file, whose network may be quantized.
        whole: float32; its first signature is that of `content`. The file has all others if it
            calls no graphs but those of signatures, and else none.
        through: names of those that make inputs of the first signature, by their names among
            outputs, and return what that makes of them. Here `content` makes it.
    """
    model, source = litert.opened(content), litert.opened(whole)
    if len(source.subgraphs) > len(source.signatureDefs):
        return content
    (network,), (first,) = model.subgraphs, model.signatureDefs
    move, repeat = _mover(source, model), _mover(model, model)
    for signature in source.signatureDefs:
        name, old = signature.signatureKey.decode(), source.subgraphs[signature.subgraphIndex]
        if signature.signatureKey == first.signatureKey:
            continue
        graph = _added(model)
        if name not in through:
            _sign(model, signature, graph, move(old, old.operators, graph, {}))
            continue
        given = litert.ends(signature.inputs) | litert.ends(signature.outputs)
        own = {n: given[n] for n in litert.ends(first.inputs)}
        place = move(old, _needed(old, own.values(), old.inputs), graph, {})
        places = {t: place(own[n]) for n, t in litert.ends(first.inputs).items()}
        made = repeat(network, network.operators, graph, places)
        ends = {given[n]: made(t) for n, t in litert.ends(first.outputs).items()}
        others = [t for t in given.values() if t not in ends]
        _sign(model, signature, graph, (ends | {t: place(t) for t in others}).__getitem__)
    return litert.packed(model)


def _added(model: schema.ModelT) -> schema.SubGraphT:
    """Returns a new, empty graph of the model."""
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    model.subgraphs.append(graph)
    return graph


def _sign(
    model: schema.ModelT, signature: schema.SignatureDefT, graph: schema.SubGraphT, place: Place
) -> None:
    """Gives a model a signature of another, `graph` being its last."""
    for side in ("inputs", "outputs"):
        for end in getattr(signature, side):
            end.tensorIndex = place(end.tensorIndex)
        setattr(graph, side, np.int32([end.tensorIndex for end in getattr(signature, side)]))
    signature.subgraphIndex = len(model.subgraphs) - 1
    graph.name = signature.signatureKey
    model.signatureDefs.append(signature)


def _mover(source: schema.ModelT, model: schema.ModelT) -> Callable[..., Place]:
    """Returns a function that adds operators of a graph in `source` to one in `model`.

    It returns where a tensor is then. What is moved twice shares its buffers.
    """
    codes: dict[int, int] = {}
    buffers = {NO_BUFFER: NO_BUFFER}

    def number(old: int, known: dict[int, int], theirs: list, ours: list) -> int:
        if source is not model and old not in known:
            known[old] = len(ours)
            ours.append(theirs[old])
        return known.get(old, old)

    def move(
        old: schema.SubGraphT,
        operators: Iterable[schema.OperatorT],
        graph: schema.SubGraphT,
        places: Mapping[int, int],
    ) -> Place:
        known = dict(places)

        def place(tensor: int) -> int:
            if tensor >= 0 and tensor not in known:
                known[tensor] = len(graph.tensors)
                moved = copy.copy(old.tensors[tensor])
                moved.name += b"_%d" % len(graph.tensors)  # OpenVINO tells tensors apart by name
                empty = source.buffers[moved.buffer].data is None
                moved.buffer = (
                    NO_BUFFER
                    if empty
                    else number(moved.buffer, buffers, source.buffers, model.buffers)
                )
                graph.tensors.append(moved)
            return known.get(tensor, tensor)  # -1 is no tensor

        for op in operators:
            moved = copy.copy(op)
            moved.opcodeIndex = number(
                op.opcodeIndex, codes, source.operatorCodes, model.operatorCodes
            )
            moved.inputs, moved.outputs = (
                np.int32([place(int(t)) for t in e]) for e in (op.inputs, op.outputs)
            )
            graph.operators.append(moved)
        return place

    return move


def _needed(
    graph: schema.SubGraphT, wanted: Iterable[int], given: Iterable[int]
) -> list[schema.OperatorT]:
    """Returns the operators that make the tensors `wanted` of those `given`, in their order."""
    makers, found, known = litert.makers(graph), set(), set(map(int, given))
    pending = [int(tensor) for tensor in wanted]
    while pending:
        tensor = pending.pop()
        if tensor in makers and tensor not in known:
            known.add(tensor)
            found.add(id(makers[tensor]))
            pending += map(int, makers[tensor].inputs)
    return [op for op in graph.operators if id(op) in found]
