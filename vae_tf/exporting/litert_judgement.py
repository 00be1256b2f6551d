"""What each `.tflite` file costs and is worth, which are refused, and which one to take."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from vae_tf.exporting import litert, parity
from vae_tf.exporting.litert_metadata import read_metadata
from vae_tf.exporting.litert_nll import HeldOut
from vae_tf.exporting.litert_variants import SEEDS, SIGNATURES
from vae_tf.exporting.signatures import Arrays, Endpoint
from vae_tf.quiet import quiet

DELTA_NLL = ("delta_nll", "delta_nll_stderr", "delta_nll_reason")
RUN_ROWS = 256  # at a time, where the batch is free
LATENCY_RUNS, LATENCY_SECONDS = 200, 0.2
# A tenth of its size is not worth a slower file, and a busy machine tells no latency better.
ALIKE = {"bytes": 1.1, "latency_us": 1.5}


@dataclass(frozen=True)
class Tolerance:
    """How far from Keras in float32 a file may be.

    Attributes:
        delta_nll: nats of log-likelihood lost, a mean over examples.
        max_error: of any output, relative to the largest of its absolute values.
        both: whether both must hold; else the error is looked at only where the nats are unknown.
    """

    delta_nll: float
    max_error: float
    both: bool


# float32: rounding, as in `parity`. float16: weights are rounded by 2^-12 of themselves, which
# layers amplify tenfold. Eight bits: one pixel of a million may be far off, what counts is the
# sum, which should be lost in the 80 nats and more of a handwritten digit.
TOLERANCES: Mapping[str, Tolerance] = {
    "float32": Tolerance(1e-3, parity.RELATIVE, both=True),
    "float16": Tolerance(0.01, 5e-3, both=True),
    "dynamic": Tolerance(0.5, 0.25, both=False),
    "int8": Tolerance(0.5, 0.25, both=False),
}


def judge(
    files: Mapping[str, bytes],
    endpoints: Sequence[Endpoint],
    held_out: HeldOut,
    *,
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
) -> list[dict[str, Any]]:
    """Returns what is to be known of each of `files`, in their order.

    | key | value |
    |---|---|
    | `file`, `half`, `precision` | |
    | `batch` | None if free |
    | `signatures`, `operators` | names |
    | `bytes` | size of the file |
    | `max_error` | signature -> output -> {max_abs_error, max_relative_error} against Keras |
    | `delta_nll` | mean over held-out x of nll(file) - nll(Keras), in nats; None if unknown |
    | `delta_nll_stderr` | how far it would move with other x of that number |
    | `delta_nll_reason` | why it is unknown, else None |
    | `latency_us` | median of a call with the file's batch, 1 if it is free, on one thread |
    | `tolerance` | what was asked of the file |
    | `refused` | why it should not be used, else None |
    | `recommended` | whether it is the choice for its half |

    Args:
        files: of `make_variants`, of one half or both.
        endpoints: the signatures as Keras computes them.
        held_out: what the files are tried on.
        tolerances: by precision.
    """
    batches = {e.name: _inputs(e, held_out) for e in endpoints}
    expected = {e.name: _by_keras(e, batches[e.name]) for e in endpoints}
    with tf.device("/CPU:0"):  # a GPU would round its matrix products to TF32
        report = [
            _entry(file, content, batches, expected, held_out, tolerances)
            for file, content in files.items()
        ]
    chosen = choose(report).values()
    for entry in report:
        entry["recommended"] = entry["file"] in chosen
    return report


def _entry(
    file: str,
    content: bytes,
    batches: Mapping[str, Arrays],
    expected: Mapping[str, Arrays],
    held_out: HeldOut,
    tolerances: Mapping[str, Tolerance],
) -> dict[str, Any]:
    """Returns the report's entry on one file; `batches` and `expected` are by signature."""
    facts = read_metadata(content)
    names, batch = litert.signatures(content), facts["batch"]
    outputs = {name: _by_litert(content, name, batch, batches[name]) for name in names}
    first = SIGNATURES[facts["half"]][0]
    entry = {
        "file": file,
        **{key: facts[key] for key in ("half", "precision", "batch")},
        "signatures": names,
        "operators": litert.operators(content),
        "bytes": len(content),
        "max_error": {name: _errors(expected[name], outputs[name]) for name in names},
        **_delta_nll(held_out, first, outputs[first]),
        "latency_us": _latency(content, first, batch or 1, batches[first]),
        "tolerance": asdict(tolerances[facts["precision"]]),
    }
    return entry | {"refused": _refusal(entry, first), "recommended": False}


def choose(report: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns half -> the file a phone should take: for one image at a time, the smallest.

    Of files about as small, one of the fastest. Where there is none for a batch of 1, one of
    another batch; where all are refused, the half is not there.
    """
    chosen = {}
    for half in dict.fromkeys(entry["half"] for entry in report):
        kept = [e for e in report if e["half"] == half and not e["refused"]]
        kept = [e for e in kept if e["batch"] == 1] or kept
        for key, factor in ALIKE.items():
            kept = [e for e in kept if e[key] <= factor * min(k[key] for k in kept)]
        if kept:
            chosen[half] = min(kept, key=lambda e: e["bytes"])["file"]
    return chosen


def _refusal(entry: Mapping[str, Any], first: str) -> str | None:
    """Returns why a file is beyond its tolerance, or None."""
    tolerance, delta = Tolerance(**entry["tolerance"]), entry["delta_nll"]
    # Not `>`: NaN is refused too.
    if delta is not None and not delta <= tolerance.delta_nll:
        return f"It loses {delta:.3g} nats an example; {tolerance.delta_nll:g} are allowed."
    if tolerance.both or delta is None:
        for name, error in entry["max_error"][first].items():
            if not error["max_relative_error"] <= tolerance.max_error:
                return (
                    f"{name} is off by {error['max_relative_error']:.3g} of its largest value; "
                    f"{tolerance.max_error:g} is allowed."
                )
    z = entry["max_error"].get("generate", {}).get("z", {"max_relative_error": 0.0})
    if not z["max_relative_error"] <= parity.RELATIVE:
        return f"generate is off by {z['max_relative_error']:.3g} of the largest z of a seed."
    return None


def _delta_nll(held_out: HeldOut, first: str, outputs: Arrays) -> dict[str, Any]:
    """Returns the entries on `delta_nll`, from what the signature `first` put out."""
    try:
        by = held_out.by_encoder if first == "encode" else held_out.by_decoder
        delta = by(outputs) - held_out.reference
    except LookupError as error:
        return dict(zip(DELTA_NLL, (None, None, str(error)), strict=True))
    stderr = float(np.std(delta, ddof=1) / len(delta) ** 0.5) if len(delta) > 1 else None
    return dict(zip(DELTA_NLL, (float(np.mean(delta)), stderr, None), strict=True))


def _inputs(endpoint: Endpoint, held_out: HeldOut) -> dict[str, np.ndarray]:
    """Returns values for the inputs of a signature, as they come in use."""
    rng = np.random.default_rng(0)
    if endpoint.name == "generate":
        return {"seed": SEEDS, "temperature": rng.uniform(0, 1, len(SEEDS)).astype(np.float32)}
    (given,) = endpoint.inputs
    shape = (RUN_ROWS, *given.shape)
    if endpoint.name == "encode":
        white = 255 if given.dtype == "uint8" else 1
        values = rng.uniform(0, white, shape) if held_out.image is None else held_out.image
    else:
        values = rng.normal(size=shape) if held_out.z is None else held_out.z
    return {given.name: np.asarray(values).astype(given.dtype)}


def _by_keras(endpoint: Endpoint, inputs: Arrays) -> Arrays:
    parts = parity.reference(endpoint, _parts(inputs, None))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_litert(content: bytes, signature: str, batch: int | None, inputs: Arrays) -> Arrays:
    parts = litert.run(content, signature, _parts(inputs, batch))
    return {name: np.concatenate([p[name] for p in parts])[: _rows(inputs)] for name in parts[0]}


def _parts(inputs: Arrays, batch: int | None) -> list[dict[str, np.ndarray]]:
    """Returns batches of `batch`, the last filled up from the beginning; of any size if None."""
    total, size = _rows(inputs), batch or RUN_ROWS
    places = np.arange(total if batch is None else -(-total // size) * size)
    chunks = [places[at : at + size] for at in range(0, len(places), size)]
    return [{n: np.take(x, c, 0, mode="wrap") for n, x in inputs.items()} for c in chunks]


def _rows(inputs: Arrays) -> int:
    return len(next(iter(inputs.values())))


def _errors(expected: Arrays, received: Arrays) -> dict[str, dict[str, float]]:
    """Returns output -> its largest error, in its own unit and relative to its largest value."""
    found = {}
    for name, want in expected.items():
        error = float(np.abs(received[name] - want).max())
        scale = max(float(np.abs(want).max()), parity.ABSOLUTE)
        found[name] = {"max_abs_error": error, "max_relative_error": error / scale}
    return found


def _latency(content: bytes, signature: str, batch: int, inputs: Arrays) -> float:
    """Returns the median time of a call, in microseconds."""
    (values, *_) = _parts(inputs, batch)
    times: list[float] = []
    with quiet():
        runner = Interpreter(model_content=content, num_threads=1).get_signature_runner(signature)
        for _ in range(3):
            runner(**values)
        start = time.perf_counter()
        while len(times) < LATENCY_RUNS and time.perf_counter() - start < LATENCY_SECONDS:
            before = time.perf_counter()
            runner(**values)
            times.append(time.perf_counter() - before)
    return 1e6 * float(np.median(times))
