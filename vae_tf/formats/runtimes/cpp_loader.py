"""SavedModels run by the C++ loader in a child process without Python's TensorFlow."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError
from vae_tf.signatures.endpoint import Arrays

PROGRAM = Path(__file__).with_name("tf_c_api.py")
TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Call:
    """One signature of one SavedModel, and the batches to put through it."""

    saved_model: Path
    signature: str
    batches: Sequence[Arrays]


def libraries(directory: Path | None = None) -> list[Path]:
    """Returns TensorFlow's shared libraries in loading order, from `directory` or the wheel.

    Raises:
        ExportError: on a platform whose wheel has no C API.
    """
    directory = directory or Path(tf.__file__).parent
    patterns = ("lib{}.so.2", "lib{}.2.dylib")
    for pattern in patterns:
        names = ("tensorflow_framework", "tensorflow_cc")
        paths = [directory / pattern.format(name) for name in names]
        if all(path.exists() for path in paths):
            return paths
    raise ExportError(
        "TensorFlow must come with libtensorflow_cc to try SavedModels as a server loads them",
        f"none in {directory}",
        "Export on Linux or macOS with the `tensorflow` wheel from PyPI.",
    )


def run(calls: Sequence[Call]) -> list[list[dict[str, np.ndarray]]]:
    """Returns, for each call and each of its batches, output name -> array.

    Raises:
        ExportError: if a SavedModel does not load or run, or the platform has no C++ loader.
    """
    runs = [
        {
            "saved_model": str(call.saved_model),
            "signature": call.signature,
            "inputs": {name: _packed(x) for name, x in batch.items()},
        }
        for call in calls
        for batch in call.batches
    ]
    request = {"libraries": [str(path) for path in libraries()], "runs": runs}
    results = iter(_answer(request))
    return [[next(results) for _ in call.batches] for call in calls]


def _answer(request: dict) -> list[dict[str, np.ndarray]]:
    """Returns the outputs that a process with the C++ loader gives for a request."""
    # The accelerator is the parent's, and its rounding is not what is asked for here.
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-S", str(PROGRAM)],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refusal(f"no answer in {TIMEOUT_SECONDS} s") from None
    if child.returncode != 0:
        lines = child.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise _refusal(f"exit status {child.returncode}: {lines[-1]}")
    answer = json.loads(child.stdout)
    if "error" in answer:
        raise _refusal(" ".join(answer["error"].split()))
    return [{name: _unpacked(a) for name, a in run.items()} for run in answer["runs"]]


def _refusal(received: str) -> ExportError:
    """Returns the error on SavedModels that the C++ loader does not run."""
    return ExportError(
        "the SavedModels must run in the C++ loader that servers use",
        received,
        "Report it with this line; a model that only Python can load is of no use to a server.",
    )


def _packed(array: np.ndarray) -> dict:
    """Returns an array as JSON can hold it."""
    if array.dtype.kind in "OS":
        strings = [base64.b64encode(string).decode() for string in array.ravel().tolist()]
        return {"dtype": "string", "shape": list(array.shape), "data": strings}
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _unpacked(array: dict) -> np.ndarray:
    """Returns the array of what `_packed` made."""
    if array["dtype"] == "string":
        strings = np.array([*map(base64.b64decode, array["data"]), None], object)[:-1]
        return strings.reshape(array["shape"])
    data = base64.b64decode(array["data"])
    return np.frombuffer(data, dtype=array["dtype"]).reshape(array["shape"])
