"""A `.tflite` file of free batch made one of a fixed batch."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from vae_tf.formats.litert import files as litert
from vae_tf.quiet import quiet


def fixed(content: bytes, batch: int) -> schema.ModelT:
    """Returns the same file, opened, with all shapes known; what follows from them is constant.

    Compilers for phones, and LiteRT.js, plan by shapes, and a delegate takes no operator whose
    shape is computed.

    Args:
        content: a file of free batch. Graphs that signatures call stay as they are.
        batch: the rows of all inputs.

    Raises:
        ExportError: if it does not run.
    """
    model = litert.opened(content)
    with quiet(), litert.running(content):
        interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        for name in litert.signatures(content):
            runner = interpreter.get_signature_runner(name)
            given = runner.get_input_details()
            runner(**{n: np.ones((batch, *d["shape"][1:]), d["dtype"]) for n, d in given.items()})
        for place in (signature.subgraphIndex for signature in model.signatureDefs):
            graph, details = model.subgraphs[place], interpreter.get_tensor_details(place)
            known = _known(model, graph)
            graph.operators = [op for op in graph.operators if int(op.outputs[0]) not in known]
            used = {int(t) for op in graph.operators for t in op.inputs} | set(graph.outputs)
            for index, tensor in enumerate(graph.tensors):
                tensor.shape, tensor.shapeSignature = details[index]["shape"], None
                if index in known & used:
                    value = np.ascontiguousarray(interpreter.get_tensor(index, place))
                    tensor.buffer = len(model.buffers)
                    model.buffers.append(schema.BufferT(data=value.ravel().view(np.uint8)))
    return model


def _known(model: schema.ModelT, graph: schema.SubGraphT) -> set[int]:
    """Returns the tensors that depend on shapes alone."""
    found: set[int] = set()
    for op in graph.operators:
        varying = {
            int(t)
            for t in op.inputs
            if t >= 0 and model.buffers[graph.tensors[t].buffer].data is None
        }
        shape = litert.operator_name(model.operatorCodes[op.opcodeIndex]) == "SHAPE"
        if shape or (varying and varying <= found):
            found |= set(map(int, op.outputs))
    return found
