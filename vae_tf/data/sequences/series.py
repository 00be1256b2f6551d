"""Real-valued series of different lengths, with missing steps: arrays [N, T, D] with a mask."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.checks import whole
from vae_tf.data.batch import as_array
from vae_tf.data.missing import observed
from vae_tf.errors import DataError
from vae_tf.files import write_aside


class Series:
    """The way from series to a model's numbers: columns of mean 0 and scale 1, padded to T steps.

    Args:
        loc: mean of each column, [D].
        scale: standard deviation of each column, [D].
        max_length: T.

    Example:
        >>> series = vae_tf.data.Series.of([[[1.0], [3.0]], [[5.0]]])  # of two steps, and of one
        >>> fed = series.encode([[[1.0], [3.0]], [[5.0]]])
        >>> fed["x"].shape, fed["mask"][..., 0]
        ((2, 2, 1), array([[1., 1.],
               [1., 0.]], dtype=float32))
    """

    def __init__(self, loc: Sequence[float], scale: Sequence[float], max_length: int):
        self.loc: np.ndarray = np.asarray(loc, "float64")
        self.scale: np.ndarray = np.asarray(scale, "float64")
        self.max_length = whole("max_length", max_length)
        fits = self.loc.ndim == 1 and self.loc.shape == self.scale.shape
        if not fits or not (np.isfinite(self.loc).all() and (self.scale > 0).all()):
            fix = "Let Series.of(x) find them."
            raise DataError("Each column must have a mean and a positive scale", repr(scale), fix)

    @classmethod
    def of(cls, x, lengths=None, mask=None, max_length: int | None = None) -> "Series":
        """Returns the mean and the scale of each column, over the observed numbers of some series.

        Args:
            x: training series, as `encode` takes them.
            lengths: steps of each series, as `encode` takes them.
            mask: mask of the series, as `encode` takes it.
            max_length: T; None for the longest of the series.

        Raises:
            DataError: the series cannot be used, or a column was never observed.
        """
        x, seen = _observed(*_padded(x, lengths, max_length), mask)
        count = seen.sum((0, 1))
        if not count.all():
            fix = "Leave the column out."
            received = f"none in column {int(np.argmin(count))}"
            raise DataError("Every column of a series must have numbers", received, fix)
        loc = np.sum(x, (0, 1), where=seen, dtype="float64") / count
        variance = np.sum(np.square(x - loc), (0, 1), where=seen, dtype="float64") / count
        return cls(loc, np.where(variance > 0, np.sqrt(variance), 1.0), x.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of one example, (T, D)."""
        return (self.max_length, len(self.loc))

    def encode(self, x, lengths=None, mask=None) -> dict[str, np.ndarray]:
        """Returns {"x": [N, T, D], "mask": [N, T, D]}, float32, as a model's methods take it.

        Args:
            x: series [N, t, D], NaN where a number is missing, or a list of arrays [t_i, D]. An
                array [N, t] is of one column.
            lengths: number of steps of each series, [N]; None for all steps.
            mask: 1 where x was observed, [N, t] or [N, t, D]; None if all but NaN was observed.

        Raises:
            DataError: a series is longer than T or has other columns, lengths do not match, or a
                number is infinite.
        """
        x, seen = _observed(*_padded(x, lengths, self.max_length), mask)
        if x.shape[2] != len(self.loc):
            fix = "Pass the columns that `Series.of` has seen."
            raise DataError(f"Series must have {len(self.loc)} columns", f"{x.shape[2]}", fix)
        scaled = np.where(seen, (x - self.loc) / self.scale, 0.0).astype("float32")
        return {"x": scaled, "mask": seen.astype("float32")}

    def decode(self, x) -> np.ndarray:
        """Returns numbers [N, T, D] of the model in the user's units, float64."""
        return np.asarray(x, "float64") * self.scale + self.loc

    def log_jacobian(self, mask) -> np.ndarray:
        """Returns log |dx/dv| in nats, [N]: log p(v) = log p(x) + this, v in the user's units."""
        return -np.sum(np.asarray(mask) * np.log(self.scale), (1, 2))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, fit for JSON."""
        loc, scale = self.loc.tolist(), self.scale.tolist()
        return {"loc": loc, "scale": scale, "max_length": self.max_length}

    def save(self, path: str | Path) -> None:
        """Writes mean, scale and length as JSON; `Series.load` reads them."""
        told = json.dumps(self.get_config(), indent=1)
        write_aside(Path(path), lambda aside: Path(aside).write_text(told, "utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> "Series":
        """Returns the form that `save` wrote.

        Raises:
            DataError: there is no such file, or it is of another kind.
        """
        try:
            return cls(**json.loads(Path(path).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            fix = "Pass the series.json of a run."
            raise DataError("A file of a series' scales must be readable", str(path), fix) from None


def _padded(x, lengths, max_length: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns series [N, T, D] as float64 and the number of steps of each, [N]."""
    if isinstance(x, (list, tuple)):
        parts = [_columns(as_array(part, "series"), 1) for part in x]
        if not parts or len({part.shape[1] for part in parts}) > 1:
            received = f"{sorted({part.shape[1] for part in parts})} columns"
            raise DataError("Series must have the same columns", received, "Pass arrays [t, D].")
        own: np.ndarray = np.array([len(part) for part in parts])
        array = np.zeros((len(parts), max(*own, 1), parts[0].shape[1]))
        for row, part in zip(array, parts, strict=True):
            row[: len(part)] = part
    else:
        array = _columns(as_array(x, "series").astype("float64"), 2)
        own = np.full(len(array), array.shape[1])
    steps = own if lengths is None else np.asarray(lengths)
    fits = steps.shape == own.shape and steps.dtype.kind in "iu"
    if not fits or (steps < 1).any() or (steps > own).any():
        received = f"shape {steps.shape} of {steps.dtype}"
        if fits:
            bad = int(np.argmax((steps < 1) | (steps > own)))
            received = f"length {steps[bad]} of series {bad}, which has {own[bad]} steps"
        expected = f"`lengths` must be a whole number of steps for each of the {len(own)} series"
        raise DataError(expected, received, "Pass 1 or more, and at most the steps there are.")
    most = max_length or int(steps.max(initial=1))
    if (steps > most).any():
        bad, fix = int(np.argmax(steps > most)), "Cut it, or pass a larger max_length."
        received = f"{steps[bad]} in series {bad}"
        raise DataError(f"A series must have at most {most} steps", received, fix)
    missing = max(0, most - array.shape[1])
    return np.pad(array[:, :most], ((0, 0), (0, missing), (0, 0))), steps


def _columns(array: np.ndarray, rank: int) -> np.ndarray:
    """Returns an array with a last axis of columns."""
    if array.ndim == rank:
        array = array[..., np.newaxis]
    if array.ndim != rank + 1 or 0 in array.shape:
        fix = "Pass [N, T, D], or a list of arrays [t, D]."
        raise DataError("Series must be arrays of steps and columns", f"shape {array.shape}", fix)
    return array


def _observed(x: np.ndarray, steps: np.ndarray, mask) -> tuple[np.ndarray, np.ndarray]:
    """Returns series with 0 where they are missing or padding, and which numbers there are."""
    seen = (np.arange(x.shape[1]) < steps[:, np.newaxis])[..., np.newaxis] & ~np.isnan(x)
    if mask is not None:
        given = as_array(mask, "mask")
        if given.ndim > 1 and given.shape[1] < x.shape[1]:
            missing = ((0, 0), (0, x.shape[1] - given.shape[1]))
            given = np.pad(given, (*missing, *[(0, 0)] * (given.ndim - 2)))
        seen = seen & observed(given[:, : x.shape[1]], x.shape)
    x = np.where(seen, x, 0.0)
    if not np.isfinite(x).all():
        fix = "Pass NaN where a number is missing."
        raise DataError("The numbers of a series must be finite", "an infinite one", fix)
    return x, seen
