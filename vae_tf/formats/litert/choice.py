"""Which `.tflite` files are too far from the model, and which of the others to take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vae_tf.formats import parity

# A tenth of its size is not worth a slower file, and a busy machine tells no latency better.
ALIKE = {"bytes": 1.1, "latency_us": 1.5}


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
    z = entry["max_error"].get("generate", {}).get("z", {"max_relative_error": 0.0})
    if not z["max_relative_error"] <= parity.RELATIVE:
        return f"generate is off by {z['max_relative_error']:.3g} of the largest z of a seed."
    return None


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
