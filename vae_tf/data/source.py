"""What a reader hands over: pixels in storage, by split, before any carving."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

SPLITS = ("train", "validation", "test")
ALIASES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}


@dataclass(frozen=True, eq=False)
class Part:
    """The images [N, H, W, C] uint8 or float32 of one split, with what is known of them.

    Attributes:
        images: pixels.
        labels: classes [N], if known.
        factors: other numbers by name, each [N].
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Source:
    """All a source has.

    Attributes:
        description: What was read, in words, e.g. "TFDS mnist 3.0.1".
        parts: By name out of `SPLITS`; "train" is always there, all images have one shape.
        label_names: What the integer labels mean, where that is known.
        skipped: Files that were left out as they cannot be read.
    """

    description: str
    parts: Mapping[str, Part]
    label_names: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()


def split_of(alias: str) -> str | None:
    """Returns the name out of `SPLITS` that `alias` stands for in any case, or None."""
    return next((name for name, known in ALIASES.items() if alias.lower() in known), None)
