"""What the fuzz tests share: how many inputs each gets, and what an answer may be.

FUZZ_EXAMPLES is the number of inputs to all tests together; `make fuzz` has 100,000.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from vae_tf.errors import VAEError

TOTAL = int(os.environ.get("FUZZ_EXAMPLES", "500"))


def many(share: float) -> settings:
    """Returns the settings of a test that gets a `share` of all inputs."""
    return settings(
        max_examples=max(5, round(share * TOTAL)),
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def refused(call: Callable[[], Any]) -> tuple[Any, VAEError | None]:
    """Returns what a call answers, or its refusal, which must be one clear sentence or two.

    Any other exception is a finding, and so is a warning of a library.
    """
    try:
        return call(), None
    except VAEError as caught:
        error = caught
    text = str(error)
    assert text
    assert "\n" not in text
    assert "Traceback" not in text
    assert len(text) < 2000, text
    return None, error


def finite(values: Any) -> bool:
    """Returns whether all numbers of an answer are finite."""
    return bool(np.all(np.isfinite(np.asarray(values, "float64"))))


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """Draws what may become of a file: cut short, bits flipped, bytes replaced or put in."""
    found, kind = bytearray(content), draw(st.sampled_from(["cut", "flip", "replace", "insert"]))
    place = draw(st.integers(0, max(0, len(found) - 1)))
    if kind == "cut":
        return bytes(found[:place])
    if kind == "insert":
        return bytes(found[:place] + draw(st.binary(max_size=40)) + found[place:])
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(0, len(found) - 1)))
        if found and kind == "flip":
            found[at] ^= 1 << draw(st.integers(0, 7))
        elif found:
            found[at : at + 4] = draw(st.binary(max_size=8))
    return bytes(found)
