"""ONNX files (`.onnx`), one a signature: converted from a SavedModel, inspected, run and timed.

Needs `pip install "vae_tf[onnx]"`: tf2onnx converts, onnxruntime runs.
"""

import importlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.exporting.signatures import INPUTS, OTHER_OUTPUT, OUTPUTS, Arrays
from vae_tf.quiet import quiet
from vae_tf.version import __version__

OPSET = 18  # the first with BitwiseXor, which seeds need; the last that tf2onnx writes
# Inputs and outputs share one namespace there: the image that `reconstruct` returns, of an image.
SUFFIX = "_out"


def convert(saved_model: Path, signature: str) -> bytes:
    """Returns a signature of a SavedModel as an `.onnx` file: float32, dimension `batch` free.

    Inputs and outputs keep their names, but an output called like an input gets SUFFIX. What
    they mean, in which units, is in `metadata`.

    Raises:
        ExportError: if the extra is missing, or naming each operation that ONNX cannot express.
    """
    onnx, tf2onnx = _extra("onnx"), _extra("tf2onnx")
    with quiet(tf.errors.OpError):
        loaded = tf.saved_model.load(str(saved_model))  # holds the variables while it is held
        function = loaded.signatures[signature]
        given: Mapping[str, tf.TensorSpec] = function.structured_input_signature[1]
        specs = [tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in given.items()]

        @tf.function
        def renamed(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            outputs = function(**dict(zip(given, tensors, strict=True)))
            return {key + SUFFIX * (key in given): value for key, value in outputs.items()}

        try:
            model, _ = tf2onnx.convert.from_function(
                renamed, specs, opset=OPSET, custom_op_handlers={"FloorMod": (_floor_mod, [])}
            )
            foreign = _foreign(model, onnx)
            if not foreign:
                _label(model, signature, onnx)
                onnx.checker.check_model(model, full_check=True)
                return model.SerializeToString()
        except OSError:
            raise
        except Exception as error:
            raise _unsupported(signature, f"{type(error).__name__}: {_line(error)}") from error
    raise _unsupported(signature, ", ".join(foreign))


def operators(content: bytes) -> list[str]:
    """Returns the names of the operators an `.onnx` file uses."""
    model = _extra("onnx").load_from_string(content)
    return sorted({node.op_type for node in _nodes(model.graph)})


def metadata(content: bytes) -> dict[str, Any]:
    """Returns `{vae_tf, signature, inputs, outputs}`, the latter with meanings and units."""
    model = _extra("onnx").load_from_string(content)
    return {entry.key: json.loads(entry.value) for entry in model.metadata_props}


def run(content: bytes, batches: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    """Returns the outputs for each of `batches`, by ONNX Runtime on one thread of the CPU.

    Outputs have the names of the signature, without SUFFIX.

    Raises:
        ExportError: if the extra is missing, or the file does not load or run.
    """
    call = _session(content)
    return [call(batch) for batch in batches]


def latency_us(content: bytes, batch: Arrays, repeats: int = 200) -> float:
    """Returns the median time of a call, in microseconds, by ONNX Runtime on one thread."""
    call, seconds = _session(content), []
    for _ in range(repeats + 5):  # the first ones allocate
        began = time.perf_counter()
        call(batch)
        seconds.append(time.perf_counter() - began)
    return 1e6 * float(np.median(seconds[5:]))


def _session(content: bytes) -> Callable[[Arrays], dict[str, np.ndarray]]:
    """Returns a function that runs the file: input name -> array to output name -> array."""
    runtime = _extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what stops a call is raised, too
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _unusable(error) from error
    inputs = [entry.name for entry in session.get_inputs()]
    names = [entry.name for entry in session.get_outputs()]
    plain = [_plain(name, inputs) for name in names]

    def call(batch: Arrays) -> dict[str, np.ndarray]:
        try:
            return dict(zip(plain, session.run(names, dict(batch)), strict=True))
        except Exception as error:
            raise _unusable(error) from error

    return call


def require() -> None:
    """Refuses to go on without the extra.

    Raises:
        ExportError: telling what to install.
    """
    for name in ("onnx", "onnxruntime", "tf2onnx"):
        _extra(name)


def _extra(name: str) -> ModuleType:
    try:
        with quiet(ImportError):
            return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            "ONNX files need onnx, onnxruntime and tf2onnx",
            f"{type(error).__name__}: {_line(error)}",
            'Run `pip install "vae_tf[onnx]"`.',
        ) from error


def _floor_mod(graph: Any, node: Any, name: str, arguments: Any) -> None:
    """Converts FloorMod; ONNX's Mod of integers takes the sign of the divisor, as it must.

    tf2onnx divides and cuts off, which is wrong below zero (tensorflow-onnx#2174), and so for
    half of the words that `row_rng` shifts.
    """
    types = _extra("onnx").TensorProto
    if graph.get_dtype(node.input[0]) in (types.INT32, types.INT64):
        node.type = "Mod"
    else:
        _extra("tf2onnx.onnx_opset.math").FloorMod.version_7(graph, node)


def _foreign(model: Any, onnx: ModuleType) -> list[str]:
    """Returns the operations left unconverted, which tf2onnx logs and passes on."""
    kinds = {(node.op_type, node.domain) for node in _nodes(model.graph)}
    return sorted(kind for kind, domain in kinds if domain or not onnx.defs.has(kind))


def _nodes(graph: Any) -> Iterator[Any]:
    """Yields the nodes of a graph and of the loops and branches in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _label(model: Any, signature: str, onnx: ModuleType) -> None:
    """Names the batch dimension, and says in `metadata_props` what the file is."""
    graph = model.graph
    graph.name = signature
    # They call free dimensions by names of the converter's own; runtimes infer shapes anew.
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    inputs = {value.name: INPUTS[value.name] for value in graph.input}
    outputs = {
        value.name: OUTPUTS.get(_plain(value.name, inputs), OTHER_OUTPUT) for value in graph.output
    }
    words = {
        side: {name: {"meaning": meaning, "unit": unit} for name, (meaning, unit) in ends.items()}
        for side, ends in (("inputs", inputs), ("outputs", outputs))
    }
    facts = {"vae_tf": __version__, "signature": signature, **words}
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in facts.items()})


def _plain(output: str, inputs: Collection[str]) -> str:
    """Returns the signature's name for an output of the file."""
    name = output.removesuffix(SUFFIX)
    return name if name in inputs else output


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def _unsupported(signature: str, received: str) -> ExportError:
    return ExportError(
        f"{signature} must be expressible in ONNX's operators",
        received,
        "Replace these operations in the model, in from_noise or in statistics(params).",
    )


def _unusable(error: Exception) -> ExportError:
    return ExportError(
        "the .onnx file must run in ONNX Runtime",
        " ".join(str(error).split()),
        "Look for an operation whose shape depends on more than the batch.",
    )
