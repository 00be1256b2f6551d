"""What each `.tflite` file costs and is worth, as numbers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.choice import TOLERANCES, Tolerance, choose, refusal
from vae_tf.formats.litert.metadata import read_metadata
from vae_tf.formats.litert.nll import HeldOut
from vae_tf.quiet import quiet
from vae_tf.signatures.endpoint import Arrays, Endpoint
from vae_tf.signatures.probes import probes

RUN_ROWS = 256  # at a time, where the batch is free
LATENCY_RUNS, LATENCY_SECONDS = 50, 0.05


def judge(
    files: Mapping[str, bytes],
    endpoints: Sequence[Endpoint],
    held_out: HeldOut,
    probed: Mapping[str, Sequence[Arrays]],
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
    | `max_error` | signature -> output -> {max_abs_error, max_relative_error} against Keras; |
    | | and share_changed where the output is a class |
    | `delta_nll` | mean over held-out x of nll(file) - nll(Keras), in nats; None if unknown |
    | `delta_nll_stderr` | how far it would move with other x of that number |
    | `delta_nll_reason` | why it is unknown, else None |
    | `latency_us` | the fastest call with the file's batch, 1 if it is free, on one thread |
    | `tolerance` | what was asked of the file |
    | `refused` | why it should not be used, else None |
    | `recommended` | whether it is the choice for its half |

    Args:
        files: of `make_variants`, of one half or both.
        endpoints: the signatures as Keras computes them, the first of a half first.
        held_out: what the networks are tried on.
        probed: signature -> what Keras makes of its probes, on which all others are tried.
        tolerances: by precision.
    """
    with tf.device("/CPU:0"):  # a GPU would round its matrix products to TF32
        trials = {e.name: _trial(e, held_out, probed[e.name]) for e in endpoints}
        report = [_entry(file, content, trials, tolerances) for file, content in files.items()]
    chosen = choose(report).values()
    for entry in report:
        entry["recommended"] = entry["file"] in chosen
    return report


@dataclass(frozen=True)
class _Trial:
    """Inputs of one signature, and what Keras makes of them.

    Attributes:
        nll: outputs -> -log p(x), [N]; None if these are of no x.
        reference: that of the expected outputs, so that what any outputs cannot tell is not
            held against a file; None if it is unknown.
        reason: why it is unknown.
    """

    inputs: Arrays
    expected: Arrays
    nll: Callable[[Arrays], np.ndarray] | None
    reference: np.ndarray | None
    reason: str | None


def _trial(endpoint: Endpoint, held_out: HeldOut, probed: Sequence[Arrays]) -> _Trial:
    """Returns inputs and expected outputs by which files of a signature are judged."""
    nll = held_out.by.get(endpoint.name)
    if nll is None:
        return _Trial(_joined(probes(endpoint)), _joined(probed), None, None, None)
    inputs = _inputs(endpoint, held_out)
    expected = _joined(parity.reference(endpoint, _parts(inputs, None)))
    try:
        return _Trial(inputs, expected, nll, nll(expected), None)
    except LookupError as error:
        return _Trial(inputs, expected, nll, None, str(error))


def _entry(
    file: str, content: bytes, trials: Mapping[str, _Trial], tolerances: Mapping[str, Tolerance]
) -> dict[str, Any]:
    """Returns the report's entry on one file."""
    facts = read_metadata(content)
    batch = facts["batch"]
    names = [name for name in trials if name in facts["signatures"]]
    outputs = {name: _outputs(content, name, batch, trials[name].inputs) for name in names}
    first = names[0]
    entry = {
        "file": file,
        **{key: facts[key] for key in ("half", "precision", "batch")},
        "signatures": names,
        "operators": litert.operators(content),
        "bytes": len(content),
        "max_error": {name: _errors(trials[name].expected, outputs[name]) for name in names},
        **_delta_nll(trials[first], outputs[first]),
        "latency_us": _latency(content, first, batch or 1, trials[first].inputs),
        "tolerance": asdict(tolerances[facts["precision"]]),
    }
    return entry | {"refused": refusal(entry), "recommended": False}


def _delta_nll(trial: _Trial, outputs: Arrays) -> dict[str, Any]:
    """Returns the entries on `delta_nll`."""
    mean = stderr = None
    if trial.nll and trial.reference is not None:
        delta = trial.nll(outputs) - trial.reference
        mean = float(np.mean(delta))
        stderr = float(np.std(delta, ddof=1) / len(delta) ** 0.5) if len(delta) > 1 else None
    return {"delta_nll": mean, "delta_nll_stderr": stderr, "delta_nll_reason": trial.reason}


def _inputs(endpoint: Endpoint, held_out: HeldOut) -> dict[str, np.ndarray]:
    """Returns values for the inputs of a half, held out ones or as they come in use."""
    rng = np.random.default_rng(0)
    given = {}
    for i in endpoint.inputs:
        shape = (RUN_ROWS, *i.shape)
        if i.whole and i.bounds:
            values = rng.integers(int(i.bounds[0]), int(i.bounds[1]) + 1, shape)
        elif i.name == "image":
            values = rng.uniform(0, 255 if i.dtype == "uint8" else 1, shape)
        else:
            values = rng.normal(size=shape)
        given[i.name] = values.astype(i.dtype)
    known = held_out.inputs[endpoint.half].items()
    return given | {name: values for name, values in known if name in given}


def _outputs(content: bytes, signature: str, batch: int | None, inputs: Arrays) -> Arrays:
    """Returns what a LiteRT file computes for the inputs, batch by batch."""
    outputs = _joined(litert.run(content, signature, _parts(inputs, batch)))
    return {name: value[: _rows(inputs)] for name, value in outputs.items()}


def _joined(batches: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """Returns batches as one."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _parts(inputs: Arrays, batch: int | None) -> list[dict[str, np.ndarray]]:
    """Returns batches of `batch`, the last filled up from the beginning; of any size if None."""
    total, size = _rows(inputs), batch or RUN_ROWS
    places = np.arange(total if batch is None else -(-total // size) * size)
    chunks = [places[at : at + size] for at in range(0, len(places), size)]
    return [{n: np.take(x, c, 0, mode="wrap") for n, x in inputs.items()} for c in chunks]


def _rows(inputs: Arrays) -> int:
    """Returns the number of rows."""
    return len(next(iter(inputs.values())))


def _errors(expected: Arrays, received: Arrays) -> dict[str, dict[str, float]]:
    """Returns output -> its largest error, in its own unit and relative to its largest value.

    And `share_changed`, of whole numbers: they are classes, and a change of 1 is no small one.
    """
    found = {}
    for name, want in expected.items():
        error = np.abs(received[name] - want)
        scale = max(float(np.abs(want).max()), parity.ABSOLUTE)
        worst = float(error.max())
        found[name] = {"max_abs_error": worst, "max_relative_error": worst / scale}
        if np.array_equal(want, np.rint(want)):
            found[name]["share_changed"] = float(np.mean(~(error < 0.5)))
    return found


def _latency(content: bytes, signature: str, batch: int, inputs: Arrays) -> float:
    """Returns the time of the fastest call, in microseconds: what else runs only adds to it."""
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
    return 1e6 * min(times)
