"""How narrow a density of rounded data may be."""

import numpy as np

# Of a scale that is chosen from data, in their standard deviations
LEAST, MOST = 1e-3, 0.1


def smallest_step(values: np.ndarray) -> np.ndarray:
    """Returns the smallest distance between different numbers in `values` [N, ...], [...].

    NaN is left out; where all are equal there is none, and it is infinite.
    """
    steps = np.diff(np.sort(values, 0), axis=0)  # NaN come last
    return np.min(steps, 0, initial=np.inf, where=steps > 0)


def least_scale(step, std):
    """Returns the least scale that a density of data rounded to `step` may have.

    A narrower one would earn likelihood from the rounding, without limit.

    Args:
        step: the smallest distance between different values.
        std: standard deviation of the data, in the same unit.
    """
    return np.clip(step, LEAST * std, MOST * std)
