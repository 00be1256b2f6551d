"""One column of a table: values to numbers, and numbers back to values."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_tf.data.tables.pandas_library import pandas
from vae_tf.data.tables.summary import is_number, plain
from vae_tf.errors import DataError

# What a user may choose; a column that does not vary becomes "constant" by itself
KINDS = ("real", "positive", "binary", "category", "count", "ignore")
SCALED = ("real", "positive")
NAMED = ("binary", "category")


@dataclass(frozen=True)
class Column:
    """What was learned of a column from the training rows.

    Attributes:
        name: as in the DataFrame.
        kind: real, positive, binary, category, count; constant or ignore if it is not modelled.
        dtype: of the DataFrame's column, in pandas' words.
        missing: how many training rows had no value.
        loc: mean, of the logarithms where the kind is positive; the logarithm of the mean where it
            is count.
        scale: standard deviation of the same; for counts about that of log(1 + n).
        floor: the least standard deviation that p(x|z) may have, in units of `scale`.
        whole: whether values are whole numbers.
        values: the words or numbers that 0, 1, ... stand for; of a constant its value, if any.
    """

    name: Any
    kind: str
    dtype: str
    missing: int = 0
    loc: float = 0.0
    scale: float = 1.0
    floor: float = 0.0
    whole: bool = False
    values: tuple = ()

    @property
    def modelled(self) -> bool:
        """Whether the model has numbers for it."""
        return self.kind not in ("constant", "ignore")

    def encode(self, series, unknown: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns numbers [N] float64, and where there is a value that the column can hold [N].

        Args:
            series: values in the user's units and words.
            unknown: "error" refuses a value the column cannot hold; "missing" leaves it out.

        Raises:
            DataError: such a value.
        """
        present = series.notna().to_numpy(bool)
        if self.kind in NAMED or self.kind == "constant":
            numbers = self._numbered(series)
            possible = ~np.isnan(numbers)
        else:
            numbers = self._measured(series)
            possible = np.isfinite(numbers)
            if self.kind == "positive":
                possible &= np.where(possible, numbers, 1.0) > 0
                numbers = np.log(np.where(possible, numbers, 1.0))
            elif self.kind == "count":
                counts = np.where(possible, numbers, 0.0)
                possible &= (counts >= 0) & (counts == np.rint(counts)) & (counts <= 2.0**24)
            if self.kind in SCALED:
                numbers = (numbers - self.loc) / self.scale
        strange = present & ~possible
        if unknown == "error" and np.any(strange):
            raise self._refusal(series, strange)
        observed = present & possible
        return np.where(observed, numbers, 0.0), observed

    def _numbered(self, series) -> np.ndarray:
        """Returns the place of each value among `values`, NaN for none."""
        # Numbers are found whatever their type: 1, 1.0 and True are one key of a dict
        places: dict[Any, float] = {value: float(i) for i, value in enumerate(self.values)}
        codes, distinct = pandas().factorize(series)
        found: np.ndarray = np.array([places.get(_key(v), np.nan) for v in distinct], "float64")
        return np.append(found, np.nan)[codes]  # the code of what is missing is -1

    def _measured(self, series) -> np.ndarray:
        """Returns the numbers as float64, NaN for what is none."""
        pd = pandas()
        if isinstance(series.dtype, pd.CategoricalDtype):
            series = series.astype(object)
        if not is_number(pd, series) or series.dtype == object:
            series = pd.to_numeric(series, errors="coerce")
        return series.to_numpy("float64", na_value=np.nan)

    def _refusal(self, series, strange: np.ndarray) -> DataError:
        first = int(np.argmax(strange))
        count = int(np.sum(strange))
        received = f"{plain_text(series.iloc[first])} in row {series.index[first]}"
        received += f", and {count - 1} more" if count > 1 else ""
        fix = "Correct the rows, or pass unknown='missing' to treat such values as missing."
        return DataError(f"Column {self.name!r} takes {self.describe()}", received, fix)

    def describe(self) -> str:
        """Returns in words which values the column takes."""
        if self.kind in NAMED or self.kind == "constant":
            shown = ", ".join(map(str, self.values[:8])) or "nothing: it was empty in training"
            more = len(self.values) - 8
            shown += f" and {more} more" if more > 0 else ""
            return f"{shown} alone" if self.kind == "constant" and self.values else shown
        words = {"real": "finite numbers", "positive": "numbers above 0"}
        return {**words, "count": "whole numbers from 0"}.get(self.kind, "anything")

    def learned(self) -> str:
        """Returns in words what was learned of the values."""
        if self.kind == "real":
            return f"{self.loc:.4g} ± {self.scale:.2g}"
        if self.kind == "positive":
            return f"{np.exp(self.loc):.4g}, times or divided by {np.exp(self.scale):.3g}"
        if self.kind == "count":
            return f"about {np.exp(self.loc):.3g}"
        return "" if self.kind == "ignore" else self.describe()

    def feature(self) -> dict:
        """Returns how the number enters a network, see ``networks.mlp_encoder``."""
        if self.kind == "category":
            return {"kind": "category", "size": len(self.values)}
        if self.kind == "count":
            return {"kind": "count", "loc": self.loc, "scale": self.scale}
        return {"kind": "number"}

    def decode(self, numbers: np.ndarray, observed: np.ndarray, index):
        """Returns a Series in the user's units and words; missing where not `observed` [N]."""
        pd = pandas()
        if self.kind in NAMED:
            last = len(self.values) - 1
            places = np.clip(np.rint(np.nan_to_num(numbers)), 0, last).astype(int)
            words = np.array([*self.values, None], object)
            series = pd.Series(words[np.where(observed, places, last + 1)], index, dtype=object)
        else:
            values = np.asarray(numbers, "float64")
            if self.kind in SCALED:
                values = values * self.scale + self.loc
            if self.kind == "positive":
                values = np.exp(values)
            if self.whole:
                values = np.rint(values)
            series = pd.Series(np.where(observed, values, np.nan), index)
        return as_dtype(series.rename(self.name), self.dtype, bool(observed.all()))

    def restore(self, rows: int, index):
        """Returns the Series of a constant."""
        value = self.values[0] if self.values else None
        series = pandas().Series([value] * rows, index, dtype=object, name=self.name)
        return as_dtype(series, self.dtype, bool(self.values))

    def log_slope(self, numbers: np.ndarray) -> np.ndarray:
        """Returns log |dx/dv| [N] of x, the numbers, by v, the values in the user's units.

        x = (v - loc) / scale has 1 / scale, x = (log v - loc) / scale has 1 / (v scale).
        """
        if self.kind not in SCALED:
            return np.zeros(len(numbers))
        slope = np.full(len(numbers), -np.log(self.scale))
        if self.kind == "positive":
            slope -= np.asarray(numbers, "float64") * self.scale + self.loc
        return slope


def _key(value) -> Any:
    try:
        return plain(value)
    except (TypeError, ValueError):
        return None


def plain_text(value) -> str:
    """Returns a value as a message shows it."""
    return repr(_key(value) if _key(value) is not None else value)[:60]


def as_dtype(series, dtype: str, complete: bool):
    """Returns the series with the dtype that the user's column had, where its values allow it."""
    pd = pandas()
    if not complete and dtype.startswith(("int", "uint")):
        dtype = dtype.replace("uint", "UInt").replace("int", "Int")
    if not complete and dtype == "bool":
        dtype = "boolean"
    try:
        return series.astype(dtype)
    except (TypeError, ValueError, pd.errors.IntCastingNaNError):
        return series.infer_objects()
