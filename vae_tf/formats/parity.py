"""Agreement of every artefact with the Keras models, as numbers."""

import functools
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError, VAEError
from vae_tf.formats.runtimes import cpp_loader, saved_model
from vae_tf.signatures.endpoint import Arrays, Endpoint, check_outputs
from vae_tf.signatures.probes import BATCH_SIZES, LARGE_Z, probes

# float32 rounds at 6e-8. A dot product of n terms in another order differs by about sqrt(n)
# roundings of its largest term: 3e-6 for n = 3000, times ten layers and a cancellation or two.
RELATIVE = 1e-4  # of the largest |output| of the same batch
ABSOLUTE = 1e-6  # for outputs near zero throughout
# Of image files, whose numbers are rounded to 8 bits
ONE_LEVEL, WHITE = 1.0, 255.0


def reference(endpoint: Endpoint, batches: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    """Returns what Keras computes for `batches` on the CPU, eagerly if `stepwise`.

    Raises:
        ExportError: for outputs that no artefact could serve; see `check_outputs`.
    """
    function, results = None, []
    # A GPU would round its matrix products to TF32.
    with tf.device("/CPU:0"):
        for batch in batches:
            arrays = [batch[i.name] for i in endpoint.inputs]
            try:
                function = function or _runnable(endpoint)
                tensors = function(*map(tf.constant, arrays))
            except VAEError:
                raise
            except Exception as error:
                given = ", ".join(f"{name} {x.dtype} {x.shape}" for name, x in batch.items())
                raise ExportError(
                    f"the {endpoint.half} must accept {given}",
                    f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                    "Check image_shape, prior.latent_dim, from_noise and statistics(params).",
                ) from error
            outputs = {name: tensor.numpy() for name, tensor in tensors.items()}
            check_outputs(endpoint, outputs, len(arrays[0]))
            results.append(outputs)
    return results


def _runnable(endpoint: Endpoint) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns the signature's function as a graph; as it is where it goes step by step."""
    if endpoint.stepwise:
        return endpoint.function
    graph = tf.function(endpoint.function, input_signature=endpoint.specs, autograph=False)
    return graph.get_concrete_function()


def compare(
    runtime: str,
    signature: str,
    expected: Sequence[Arrays],
    received: Sequence[Arrays],
    limits: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, float]]:
    """Returns per output the largest error over all batches, in its own unit and relative.

    The relative error of a batch is max|received - expected| / max|expected|.

    Args:
        runtime: which has `received`.
        signature: its name.
        expected: batches of outputs.
        received: likewise.
        limits: of the outputs that have some, as in the manifest. Of `choices` all must be
            equal; `whole` numbers may have been rounded to the next one; of texts that were
            `drawn` token by token one of a batch may differ, as a rounding may choose a token.

    Raises:
        ExportError: if names, shapes or dtypes differ, anything is not finite, or an error is
            above RELATIVE * max|expected| + ABSOLUTE.
    """
    where = f"{signature} in {runtime}"
    worst: dict[str, dict[str, float]] = {}
    for want, have in zip(expected, received, strict=True):
        kinds = [{k: (v.shape, v.dtype.name) for k, v in side.items()} for side in (want, have)]
        if kinds[0] != kinds[1]:
            raise ExportError(
                f"{where} must return {kinds[0]}", f"{kinds[1]}", "Keep the batch dimension free."
            )
        for name, value in want.items():
            scale, tolerance, error = _difference(value, have[name], (limits or {}).get(name, {}))
            if not error <= tolerance:  # also where error is NaN
                raise ExportError(
                    f"{where} must agree with the reference within {tolerance:.3g} on {name!r}",
                    f"an error of {error:.3g} where outputs reach {scale:.3g}",
                    "Look for randomness or state in the model; else this runtime is at fault.",
                )
            entry = worst.setdefault(name, {"max_abs_error": 0.0, "max_relative_error": 0.0})
            entry["max_abs_error"] = max(entry["max_abs_error"], error)
            entry["max_relative_error"] = max(
                entry["max_relative_error"], error / max(scale, ABSOLUTE)
            )
    return worst


def _difference(
    want: np.ndarray, have: np.ndarray, limits: Mapping[str, Any]
) -> tuple[float, float, float]:
    """Returns the largest |want|, what error that allows, and the error; of files, in levels."""
    if "choices" in limits:
        return 1.0, 0.0, float(np.any(want != have))
    if "drawn" in limits:
        return 1.0, 1 / max(len(want), 1), float(np.mean(want != have)) if len(want) else 0.0
    if want.dtype.kind == "O":
        pairs = zip(want.ravel(), have.ravel(), strict=True)
        apart = np.array([_levels_apart(*pair) for pair in pairs])
        return WHITE, ONE_LEVEL, float(apart.max(initial=0.0))
    scale = float(np.abs(want).max(initial=0.0))
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, and that is refused
        error = float(np.abs(have - want).max(initial=0.0))
    return scale, RELATIVE * scale + ABSOLUTE + ("whole" in limits), error


def _levels_apart(want: bytes, have: bytes) -> float:
    """Returns how far two image files differ in a pixel; NaN if not all of one shape."""
    if want == have:
        return 0.0
    if not (want and have):
        return math.nan
    before, after = (tf.cast(tf.io.decode_image(data), tf.int32).numpy() for data in (want, have))
    return float(np.abs(before - after).max()) if before.shape == after.shape else math.nan


def trial(directory: Path) -> Callable[[Endpoint], None]:
    """Returns `run` of one signature in the C++ loader, which raises an ExportError where it fails.

    What is written in `directory` meanwhile is deleted.
    """

    def run(endpoint: Endpoint) -> None:
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            model, batches = Path(scratch, "1"), probes(endpoint)
            expected = reference(endpoint, batches)
            saved_model.write([endpoint], model)
            (served,) = cpp_loader.run([cpp_loader.Call(model, endpoint.name, batches)])
            compare("cpp_loader", endpoint.name, expected, served)

    return run


def report(
    stage: Path,
    version: int,
    endpoints: Sequence[Endpoint],
    expected: Mapping[str, Sequence[Arrays]],
    by_litert: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Returns the parity report of the artefacts below `stage`; each signature runs everywhere.

    Args:
        stage: where the SavedModels are.
        version: theirs.
        endpoints: of all halves.
        expected: signature -> what Keras makes of its probes.
        by_litert: signature -> errors of LiteRT, for those that it has.

    Raises:
        ExportError: from `compare`, or if a runtime refuses an artefact.
    """
    signatures: dict[str, dict[str, Any]] = {}
    limits: dict[str, Mapping[str, Mapping[str, Any]]] = {}
    defaults = {e.half: e.name for e in reversed(endpoints)}  # the first of each half
    calls, opened = [], functools.cache(saved_model.opened)
    for endpoint in endpoints:
        name, batches = endpoint.name, probes(endpoint)
        directory = stage / endpoint.half / str(version)
        received = opened(directory)(name, batches)
        limits[name] = endpoint.limits
        errors = compare("python_saved_model", name, expected[name], received, limits[name])
        signatures[name] = {"python_saved_model": errors}
        if name in by_litert:
            signatures[name]["litert"] = dict(by_litert[name])
        default = ["serving_default"] if defaults[endpoint.half] == name else []
        calls += [(name, cpp_loader.Call(directory, key, batches)) for key in (name, *default)]
    served: dict[str, list[Arrays]] = {e.name: [] for e in endpoints}
    answers = cpp_loader.run([call for _, call in calls])
    for (name, _), answer in zip(calls, answers, strict=True):
        served[name] += answer
    for name, answered in served.items():
        want = [*expected[name]] * (len(answered) // len(expected[name]))
        signatures[name]["cpp_loader"] = compare("cpp_loader", name, want, answered, limits[name])
    return {
        "reference": "Keras, float32, CPU",
        "tolerance": {"relative": RELATIVE, "absolute": ABSOLUTE},
        "batch_sizes": list(BATCH_SIZES),
        "large_z": LARGE_Z,
        "signatures": signatures,
    }


def summary(parity: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Returns signature -> runtime -> the largest relative error of any output."""
    return {
        signature: {
            runtime: max(entry["max_relative_error"] for entry in outputs.values())
            for runtime, outputs in runtimes.items()
        }
        for signature, runtimes in parity["signatures"].items()
    }
