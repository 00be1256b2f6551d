"""SavedModels converted to ONNX by tf2onnx, and what it gets wrong put right.

Nothing here vouches for the numbers: `onnx_extra` compares them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.formats.onnx.files import SUFFIX, extra, nodes
from vae_tf.formats.onnx.operators import HANDLERS
from vae_tf.quiet import quiet
from vae_tf.version import __version__

OPSET = 18  # the first with BitwiseXor, which seeds need; the last that tf2onnx writes


def convert(saved_model: Path, signature: str, described: Mapping[str, Any] | None = None) -> bytes:
    """Returns a signature of a SavedModel as an `.onnx` file, with a free dimension `batch`.

    Inputs and outputs keep their names, but an output called like an input gets SUFFIX.

    Args:
        saved_model: its directory.
        signature: its name.
        described: what `onnx_files.metadata` is to say of inputs and outputs: their meanings and
            units, as `describe` of an endpoint has them.

    Raises:
        ExportError: if the extra is missing, or naming each operation that ONNX cannot express.
    """
    onnx, tf2onnx = extra("onnx"), extra("tf2onnx")
    with quiet(tf.errors.OpError):
        loaded = tf.saved_model.load(str(saved_model))  # has the variables, while it is referenced
        function = loaded.signatures[signature]
        given: Mapping[str, tf.TensorSpec] = function.structured_input_signature[1]
        specs = [tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in given.items()]

        @tf.function
        def renamed(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = function(**dict(zip(given, tensors, strict=True)))
            return {name + SUFFIX * (name in given): value for name, value in outputs.items()}

        try:
            model, _ = tf2onnx.convert.from_function(
                renamed, specs, opset=OPSET, custom_op_handlers=HANDLERS
            )
            foreign = _foreign(model)
            if not foreign:
                _count_axes_from_the_front(model)
                _label(model, signature, described or {})
                onnx.checker.check_model(model, full_check=True)
                return model.SerializeToString()
        except OSError:
            raise
        except Exception as error:
            first_line = (str(error).strip().splitlines() or ["no message"])[0]
            raise _unsupported(signature, f"{type(error).__name__}: {first_line}") from error
    raise _unsupported(signature, ", ".join(foreign))


def _foreign(model: Any) -> list[str]:
    """Returns the operations left as they were, which tf2onnx does no more than log."""
    has = extra("onnx").defs.has
    kinds = {(node.op_type, node.domain) for node in nodes(model.graph)}
    return sorted(kind for kind, domain in kinds if domain or not has(kind))


def _count_axes_from_the_front(model: Any) -> None:
    """Replaces negative axes of reductions: ONNX Runtime forgets those if the batch is empty."""
    onnx = extra("onnx")
    inferred = onnx.shape_inference.infer_shapes(model).graph
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
        if value.type.tensor_type.HasField("shape")
    }
    constants = {constant.name: constant for constant in model.graph.initializer}
    replaced = set()
    for node in model.graph.node:
        if not node.op_type.startswith("Reduce") or len(node.input) < 2:
            continue
        data, axes = node.input
        if data in ranks and axes in constants:
            counted = onnx.numpy_helper.to_array(constants[axes]) % ranks[data]
            node.input[1] = f"{node.name}/axes"
            model.graph.initializer.append(onnx.numpy_helper.from_array(counted, node.input[1]))
            replaced.add(axes)
    used = {name for node in nodes(model.graph) for name in node.input}
    for axes in replaced - used:
        model.graph.initializer.remove(constants[axes])


def _label(model: Any, signature: str, described: Mapping[str, Any]) -> None:
    """Names the batch dimension, and says in `metadata_props` what the file is."""
    graph = model.graph
    graph.name = signature
    # These call free dimensions by names of tf2onnx's own; runtimes infer shapes anew.
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    facts = {"vae_tf": __version__, "signature": signature, **described}
    texts = {key: json.dumps(value) for key, value in facts.items()}
    extra("onnx").helper.set_model_props(model, texts)


def _unsupported(signature: str, received: str) -> ExportError:
    """Returns the error on operations that ONNX has not."""
    return ExportError(
        f"{signature} must be expressible in ONNX's operators",
        received,
        "Replace these operations in the model, in from_noise or in statistics(params).",
    )
