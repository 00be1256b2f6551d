"""ONNX files (`.onnx`), one a signature: inspected, run and timed; `onnx_conversion` makes them.

Needs `pip install "vae_tf[onnx]"`.
"""

import importlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from vae_tf.errors import ExportError
from vae_tf.quiet import quiet
from vae_tf.signatures.endpoint import Arrays

# Inputs and outputs share one namespace there: the image that `reconstruct` returns, of an image.
SUFFIX = "_out"
WARM_UP = 5  # calls, of which the first allocate


def extra(module: str) -> ModuleType:
    """Returns a module of the extra, imported late.

    Raises:
        ExportError: telling what to install.
    """
    try:
        with quiet(ImportError):
            return importlib.import_module(module)
    except ImportError as error:
        raise ExportError(
            "ONNX files need onnx, onnxruntime and tf2onnx",
            f"{type(error).__name__}: {error}",
            'Run `pip install "vae_tf[onnx]"`.',
        ) from error


def operators(content: bytes) -> list[str]:
    """Returns the names of the operators an `.onnx` file uses."""
    model = extra("onnx").load_from_string(content)
    return sorted({node.op_type for node in nodes(model.graph)})


def metadata(content: bytes) -> dict[str, Any]:
    """Returns `{vae_tf, signature, inputs, outputs}`, the latter two with meanings and units."""
    model = extra("onnx").load_from_string(content)
    return {entry.key: json.loads(entry.value) for entry in model.metadata_props}


def nodes(graph: Any) -> Iterator[Any]:
    """Yields the nodes of a GraphProto and of the loops and branches in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes(inner)


def plain_name(output: str, inputs: Collection[str]) -> str:
    """Returns the signature's name for an output of the file."""
    name = output.removesuffix(SUFFIX)
    return name if name in inputs else output


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
    call, times = _session(content), []
    for _ in range(WARM_UP + repeats):
        began = time.perf_counter()
        call(batch)
        times.append(time.perf_counter() - began)
    return 1e6 * float(np.median(times[WARM_UP:]))


def _session(content: bytes) -> Callable[[Arrays], dict[str, np.ndarray]]:
    """Returns the file as a function of its inputs by name."""
    runtime = extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what stops a call is raised as well
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _unusable(error) from error
    inputs = [entry.name for entry in session.get_inputs()]
    outputs = [entry.name for entry in session.get_outputs()]
    names = [plain_name(output, inputs) for output in outputs]

    def call(batch: Arrays) -> dict[str, np.ndarray]:
        try:
            return dict(zip(names, session.run(outputs, dict(batch)), strict=True))
        except Exception as error:
            raise _unusable(error) from error

    return call


def _unusable(error: Exception) -> ExportError:
    """Returns the error on a file that ONNX Runtime does not run."""
    return ExportError(
        "the .onnx file must run in ONNX Runtime",
        " ".join(str(error).split()),
        "Look for an operation whose shape depends on more than the batch.",
    )
