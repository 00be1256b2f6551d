"""Examples to fit on, and examples to score on."""

import numpy as np


def halves(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers of two random halves of the examples."""
    order = np.random.default_rng(seed).permutation(count)
    return order[: count // 2], order[count // 2 :]
