"""What a check is given, and its ways to end."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.objectives.base import Terms

PARTS = ("encoder", "decoder", "prior", "posterior", "likelihood", "objective")


class Failed(Exception):
    """What was seen, and what to do."""

    def __init__(self, seen: str, fix: str):
        super().__init__(seen)
        self.fix = fix


class Skipped(Exception):
    """Why the question cannot be asked."""


@dataclass(frozen=True)
class Subject:
    """A model and its data.

    Attributes:
        vae: the model.
        data: all of x there is, as it came.
        batch: the first examples, arrays.
        seed: of all draws.
    """

    vae: Any
    data: np.ndarray
    batch: Batch
    seed: int

    @property
    def x(self) -> np.ndarray:
        """The first examples, float32 [B, *event]."""
        return self.batch.x

    def key(self, number: int) -> tf.Tensor:
        """Returns the seed of one draw, int32 [2]."""
        return tf.constant([self.seed & 0x7FFFFFFF, number], tf.int32)

    def terms(self, number: int = 0, training: bool = False, x=None) -> Terms:
        """Returns the terms of the bound at the draw of that number."""
        batch = self.some() if x is None else self.some(slice(len(x)))._replace(x=x)
        return self.vae(batch, seed=self.key(number), training=training)

    def some(self, rows: slice = slice(None)) -> Batch:
        """Returns some of the examples, as tensors."""
        chosen = keras.tree.map_structure(lambda v: None if v is None else v[rows], self.batch)
        return chosen.tensors()

    def path(self, variable) -> str:
        """Returns the variable's path, behind the part of the model it belongs to."""
        for part in PARTS:
            if any(v is variable for v in getattr(self.vae, part).variables):
                own = variable.path.split("/")
                return "/".join(own if own[0] == part else [part, *own])
        return variable.path

    def decoded(self) -> tuple[tf.Tensor, Any]:
        """Returns one draw z for each example, and the decoder's outputs for it."""
        batch, parts = self.some(), self.vae.parts
        z = parts.q(batch).sample(seed=self.key(1))
        return z, parts.decoded(z, batch)


def close(a, b, tolerance: float = 1e-5) -> bool:
    """Returns whether a equals b within `tolerance` of b's size; NaN equals nothing."""
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    return bool(np.all(np.abs(a - b) <= tolerance * (1e-3 + np.max(np.abs(b), initial=0))))


def tolerance_of(s: Subject) -> float:
    """Returns how far two ways of computing one number may be apart, as a share of it."""
    half = any("16" in layer.compute_dtype for layer in s.vae._flatten_layers())
    return 3e-2 if half else 1e-3


def names(paths: list[str]) -> str:
    """Returns the paths, or the first of them, as one line."""
    return ", ".join(paths[:8]) + (f" and {len(paths) - 8} more" if len(paths) > 8 else "")
