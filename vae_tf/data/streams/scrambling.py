"""Orders and samples that are functions of numbers alone, in any process and any version."""

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)


def scrambled(numbers: np.ndarray, *salt: int) -> np.ndarray:
    """Returns numbers as good as random, uint64 of the same shape, of which none repeats.

    It is the finalizer of SplitMix64 (Steele, Lea and Flood 2014), once for each `salt`.

    Args:
        numbers: whole numbers of at least 0.
        *salt: what else decides them, such as a seed and an epoch.
    """
    mixed = _finalized(np.asarray(numbers).astype(np.uint64))
    for part in salt:
        mixed = _finalized(mixed + _finalized(np.array([part], np.uint64)))
    return mixed


def shuffled(numbers: np.ndarray, *salt: int) -> np.ndarray:
    """Returns the numbers [n] in the order that the `salt` gives them."""
    return numbers[np.argsort(scrambled(numbers, *salt), kind="stable")]


def _finalized(z: np.ndarray) -> np.ndarray:
    z = z + _STEP
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
