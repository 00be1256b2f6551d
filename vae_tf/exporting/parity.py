"""Agreement of every artefact with the Keras models, as numbers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vae_tf.errors import ExportError, VAEError
from vae_tf.exporting import cpp_loader, litert, saved_model
from vae_tf.exporting.signatures import Endpoint, check_outputs

# float32 rounds at 6e-8. A dot product of n terms in another order differs by about sqrt(n)
# roundings of its largest term: 3e-6 for n = 3000, times ten layers and a cancellation or two.
RELATIVE = 1e-4  # of the largest |output| of the same batch
ABSOLUTE = 1e-6  # for outputs near zero throughout
BATCH_SIZES = (1, 2, 5)
LARGE_Z = 10.0  # standard deviations; N(0, 1) leaves 1e-23 beyond

Outputs = Mapping[str, np.ndarray]


def probes(endpoint: Endpoint) -> list[np.ndarray]:
    """Returns input batches [B, *input_shape], random and extreme, for B in BATCH_SIZES."""
    return list(_probes(endpoint))


def _probes(endpoint: Endpoint) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for batch in BATCH_SIZES:
        shape = (batch, *endpoint.input_shape)
        drawn: tuple[np.ndarray, ...]
        if endpoint.input_name == "image":
            drawn = rng.uniform(size=shape), np.zeros(shape), np.ones(shape)
        else:
            z = rng.standard_normal(shape)
            large = np.full(shape, LARGE_Z)
            drawn = z, np.zeros(shape), LARGE_Z * z, large, -large
        yield from (x.astype(np.float32) for x in drawn)


def reference(endpoint: Endpoint, inputs: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Returns what Keras computes for `inputs`, eagerly and on the CPU.

    Raises:
        ExportError: for outputs that no artefact could serve; see `check_outputs`.
    """
    results = []
    # A GPU would round its matrix products to TF32.
    with tf.device("/CPU:0"):
        for x in inputs:
            try:
                tensors = endpoint.function(tf.constant(x))
            except VAEError:
                raise
            except Exception as error:
                raise ExportError(
                    f"the {endpoint.half} must accept {endpoint.input_name} float32 {x.shape}",
                    f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                    "Check image_shape, prior.latent_dim, and statistics(params).",
                ) from error
            outputs = {name: tensor.numpy() for name, tensor in tensors.items()}
            check_outputs(endpoint, outputs, len(x))
            results.append(outputs)
    return results


def compare(
    runtime: str, signature: str, expected: Sequence[Outputs], received: Sequence[Outputs]
) -> dict[str, dict[str, float]]:
    """Returns per output the largest error over all batches, in its own unit and relative.

    The relative error of a batch is max|received - expected| / max|expected|.

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
            scale = float(np.abs(value).max())
            with np.errstate(invalid="ignore"):  # inf - inf is NaN, and that is refused
                error = float(np.abs(have[name] - value).max())
            tolerance = RELATIVE * scale + ABSOLUTE
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


def report(
    stage: Path,
    version: int,
    endpoints: Sequence[Endpoint],
    expected: Mapping[str, Sequence[Outputs]],
) -> dict[str, Any]:
    """Returns the parity report of the artefacts below `stage`; each signature runs everywhere.

    Raises:
        ExportError: from `compare`, or if a runtime refuses an artefact.
    """
    signatures: dict[str, dict[str, Any]] = {}
    calls = []
    for endpoint in endpoints:
        inputs = probes(endpoint)
        directory = stage / endpoint.half / str(version)
        content = (stage / f"{endpoint.half}.tflite").read_bytes()
        received = {
            "python_saved_model": saved_model.run(directory, endpoint, inputs),
            "litert": litert.run(content, endpoint.name, endpoint.input_name, inputs),
        }
        signatures[endpoint.name] = {
            runtime: compare(runtime, endpoint.name, expected[endpoint.name], outputs)
            for runtime, outputs in received.items()
        }
        calls += [
            cpp_loader.Call(directory, name, endpoint.input_name, inputs)
            for name in (endpoint.name, "serving_default")
        ]
    answers = iter(cpp_loader.run(calls))
    for endpoint in endpoints:
        want = expected[endpoint.name]
        both = [*next(answers), *next(answers)]
        errors = compare("cpp_loader", endpoint.name, [*want, *want], both)
        signatures[endpoint.name]["cpp_loader"] = errors
    return {
        "reference": "Keras, float32, eager, CPU",
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
