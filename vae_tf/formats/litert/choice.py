"""Which `.tflite` files are too far from the model, and which of the others to take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vae_tf.formats import parity
from vae_tf.formats.litert.precision import PRECISIONS

# Of files about as small, one that takes several times as long is no choice. A busy machine
# doubles a latency, and less than a factor decides nothing: equal weights have one recommendation.
ALIKE, SLOW = 1.1, 5.0


@dataclass(frozen=True)
class Tolerance:
    """How far from Keras in float32 a file may be.

    Attributes:
        delta_nll: nats by which the mean of -log p(x) may differ.
        max_error: of any output, relative to the largest of its absolute values; of classes, the
            share that may change.
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


def refusal(entry: Mapping[str, Any]) -> str | None:
    """Returns why the file of an entry of `judge`'s report is beyond its tolerance, or None."""
    tolerance, delta = Tolerance(**entry["tolerance"]), entry["delta_nll"]
    # A gain too is of another model, if one that happens to be better. Not `>`: so is NaN.
    if delta is not None and not abs(delta) <= tolerance.delta_nll:
        return f"-log p(x) is {delta:+.3g} nats off; {tolerance.delta_nll:g} are allowed."
    if tolerance.both or delta is None:
        for name, errors in entry["max_error"][entry["signatures"][0]].items():
            error = errors.get("share_changed", errors["max_relative_error"])
            if not error <= tolerance.max_error:
                what = "changed in" if "share_changed" in errors else "off by"
                of = "elements" if "share_changed" in errors else "largest value"
                return (
                    f"{name} is {what} {error:.3g} of its {of}; {tolerance.max_error:g} is allowed."
                )
    first, *others = entry["max_error"].values()
    for name, errors in ((n, e) for outputs in others for n, e in outputs.items()):
        error = errors["max_relative_error"]
        if name not in first and not error <= parity.RELATIVE:  # no output of the network
            return f"{name} is off by {error:.3g} of its largest value."
    return None


def choose(report: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns half -> the file a phone should take: for one image at a time, the smallest.

    Of files about as small it is the most exact. Where there is none for a batch of 1, it is one
    of another batch; where all are refused, the half is not there.
    """
    halves = dict.fromkeys(entry["half"] for entry in report)
    best = {half: _smallest([e for e in report if e["half"] == half]) for half in halves}
    return {half: file for half, file in best.items() if file}


def holders(report: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns signature -> the file to take for it: the recommended one, if that has it."""
    names = dict.fromkeys(name for entry in report for name in entry["signatures"])
    found = {}
    for name in names:
        having = [e for e in report if name in e["signatures"]]
        file = _smallest([e for e in having if e["recommended"]] or having)
        if file:
            found[name] = file
    return found


def _smallest(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns the file to recommend: small, and among files about as small a fast one."""
    kept = [e for e in entries if not e["refused"]]
    kept = [e for e in kept if e["batch"] == 1] or kept
    if not kept:
        return None
    alike = [e for e in kept if e["bytes"] <= ALIKE * min(k["bytes"] for k in kept)]
    fast = SLOW * min(e["latency_us"] for e in alike)
    fast_enough = [e for e in alike if e["latency_us"] <= fast]
    return min(fast_enough, key=lambda e: (PRECISIONS.index(e["precision"]), e["bytes"]))["file"]
