"""Numbers as binary decisions: in which half of what is left of the alphabet one lies.

An index below 2^b is b decisions, the most significant bit first. The probability of the lower
half is the mass in it over the mass in both. Drawn or read, a number so takes b evaluations of a
cumulative distribution, and not one for each value it could have had.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vae_tf.codec.stack import ONE, Stack
from vae_tf.distributions.likelihoods.alphabets import Mass


class Decisions(NamedTuple):
    """Bits of each chain in the order in which they are read, [C, n].

    Attributes:
        bits: 0 or 1.
        k: of which 0 has the probability k / 2^20.
    """

    bits: np.ndarray
    k: np.ndarray


def depth(size: int) -> int:
    """Returns the number of decisions that tell an index below `size`."""
    return (size - 1).bit_length()


def lower_share(mass: Mass, prefix: np.ndarray, width: int, size: int) -> np.ndarray:
    """Returns k, the lower half having the probability k / 2^20 given the prefix, int64 [C, D].

    Args:
        mass: of ranges of indices.
        prefix: the bits that are known, [C, D].
        width: how many indices a half has.
        size: of the alphabet; above it there are no indices.
    """
    low = np.minimum(2 * width * prefix, size)
    middle, high = np.minimum(low + width, size), np.minimum(low + 2 * width, size)
    lower, upper = mass(low, middle), mass(middle, high)
    total = lower + upper
    # Where both are 0, or the model gives no number, one is as good as the other
    known = total > 0
    share = np.divide(lower, total, out=np.full(total.shape, 0.5), where=known)
    return np.clip(np.rint(share * ONE), 1, ONE - 1).astype("int64")


def told(index: np.ndarray, mass: Mass, size: int) -> Decisions:
    """Returns the decisions that tell `index`, [C, D] numbers below `size`, level by level."""
    bits, shares = [], []
    for level in reversed(range(depth(size))):
        prefix = index >> (level + 1)
        bits.append((index >> level) & 1)
        shares.append(lower_share(mass, prefix, 1 << level, size))
    none: np.ndarray = np.zeros((len(index), 0), "int64")  # of an alphabet of one
    return Decisions(np.concatenate([none, *bits], 1), np.concatenate([none, *shares], 1))


def joined(parts: Sequence[Decisions]) -> Decisions:
    """Returns decisions that are read one part after the other."""
    bits, k = zip(*parts, strict=True)
    return Decisions(np.concatenate(bits, 1), np.concatenate(k, 1))


def push(stacks: Sequence[Stack], decisions: Decisions) -> None:
    """Puts the first rows of `decisions` on the stacks, as many as there are."""
    for stack, bits, k in zip(stacks, *decisions, strict=False):
        stack.push(bits, k)


def pop(stacks: Sequence[Stack], mass: Mass, shape: tuple[int, int], size: int) -> np.ndarray:
    """Returns numbers below `size` from the stacks, int64 [C, D]; 0 in the rows of no stack.

    Args:
        stacks: of the first rows; there may be fewer than C.
        mass: of ranges of indices.
        shape: C, D.
        size: of the alphabet.
    """
    index: np.ndarray = np.zeros(shape, "int64")
    for level in reversed(range(depth(size))):
        k = lower_share(mass, index, 1 << level, size)
        index *= 2
        for row, stack in enumerate(stacks):
            index[row] += stack.pop(k[row])
    # Only what was not written by the same arithmetic can be beyond the end
    return np.minimum(index, size - 1)
