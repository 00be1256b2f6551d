"""The ways of making a `.tflite` file smaller than float32."""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator

from vae_tf.errors import ExportError
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.grafting import NO_BUFFER, alone, joined, split, with_others
from vae_tf.quiet import quiet
from vae_tf.signatures.endpoint import Arrays, Endpoint

PRECISIONS = ("float32", "float16", "dynamic", "int8")  # from exact to coarse
LARGE = 1024  # elements; from there on, `dynamic` quantizes weights too
WITHOUT_INT8 = "Leave int8 out of precisions."


def of_precision(
    precision: str,
    whole: bytes,
    saved_model: Path,
    endpoints: Sequence[Endpoint],
    samples: Sequence[Arrays] = (),
) -> bytes:
    """Returns a file of a half whose network is of this precision; all else stays float32.

    Args:
        precision: one of PRECISIONS.
        whole: the half in float32.
        saved_model: that it was made from.
        endpoints: the signatures in it. The first has the network.
        samples: for int8, typical batches of the first's inputs.

    Raises:
        ExportError: there can be no such file.
    """
    first = endpoints[0].name
    if precision == "float32":
        return whole
    if precision == "float16":
        return _float16(whole, first)
    if precision == "dynamic":
        content = litert.convert(saved_model, [first], dynamic=True)
    elif not samples:
        raise ExportError(f"int8 needs typical inputs of {first}", "none", WITHOUT_INT8)
    else:
        try:
            with quiet():
                content = _int8(alone(whole, first), samples)
        except ExportError:
            raise
        except Exception as error:
            received = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            expected = f"{first} must be computable in integers"
            raise ExportError(expected, received, WITHOUT_INT8) from error
    return with_others(content, whole, {e.name for e in endpoints if e.through == first})


def _float16(content: bytes, name: str) -> bytes:
    """Returns a file in which large constants of one signature are float16, cast where used.

    TensorFlow's own way halves the small ones too: biases, a learned scale, of which 784 pixels
    lose a tenth of a nat; and the numbers of the random generator and of the prior.
    """
    model = litert.opened(content)
    (signature,) = (s for s in model.signatureDefs if s.signatureKey.decode() == name)
    own = {tensor.buffer for tensor in model.subgraphs[signature.subgraphIndex].tensors}
    halved: set[int] = set()
    dequantize = schema.OperatorCodeT(
        schema.BuiltinOperator.DEQUANTIZE, version=3, builtinCode=schema.BuiltinOperator.DEQUANTIZE
    )
    model.operatorCodes.append(dequantize)
    for graph in model.subgraphs:
        for index, tensor in enumerate(list(graph.tensors)):
            buffer = model.buffers[tensor.buffer]
            constant = buffer.data is not None and tensor.type == schema.TensorType.FLOAT32
            if not constant or tensor.buffer not in own or np.prod(tensor.shape) < LARGE:
                continue
            if tensor.buffer not in halved:  # signatures share buffers
                halved.add(tensor.buffer)
                with np.errstate(over="ignore"):  # infinities are refused when they are judged
                    buffer.data = buffer.data.view(np.float32).astype(np.float16).view(np.uint8)
            half = copy.copy(tensor)
            half.type, tensor.buffer = schema.TensorType.FLOAT16, NO_BUFFER
            half.name = tensor.name + b"_half"  # OpenVINO tells tensors apart by name
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
    model = litert.opened(content)
    named = {tensor: n for n, tensor in litert.ends(model.signatureDefs[0].inputs).items()}
    names = [named[tensor] for tensor in model.subgraphs[0].inputs]
    batches = [[rows[name] for name in names] for rows in samples]
    calibrated = Calibrator(network).calibrate(lambda: iter(batches))
    return joined(mlir_quantize(calibrated), content, cut)
