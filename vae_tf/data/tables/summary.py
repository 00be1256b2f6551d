"""What is known of a column after its training rows have been seen, chunk by chunk."""

import math
from typing import Any

import numpy as np

from vae_tf.data.tables.pandas_library import pandas
from vae_tf.errors import DataError
from vae_tf.rounding import smallest_step

MOST_VALUES = 1000  # distinct ones that are remembered
LOOKED_AT = 10_000  # values among which the smallest step is searched


class Moments:
    """Mean and variance of numbers that come in parts (Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, values: np.ndarray) -> None:
        """Takes more numbers."""
        count = len(values)
        if not count:
            return
        mean = float(values.mean())
        total, shift = self.count + count, mean - self.mean
        self.squares += float(np.square(values - mean).sum())
        self.squares += shift**2 * self.count * count / total
        self.mean += shift * count / total
        self.count = total

    @property
    def std(self) -> float:
        """The standard deviation, 0 without numbers."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


class Summary:
    """The values of one column.

    Attributes:
        name: of the column.
        dtype: of the first chunk with a value in it, in pandas' words.
        rows: how many were seen.
        missing: how many of them had no value.
        values: the distinct values in the order of their first appearance, with how often each
            was seen; None if they are more than MOST_VALUES.
        order: the categories of an ordered pandas column, in their order.
        numbers: whether all values are numbers or truth values.
        odd: what the column holds that no kind can take, in words; None where there is nothing.
        numeric_texts: how many texts can be read as numbers.
        texts: how many values are texts.
        moments: of the numbers.
        log_moments: of their logarithms, while all are positive.
        low: the smallest number.
        high: the largest number.
        whole: whether all numbers are whole.
    """

    def __init__(self, name: Any):
        self.name, self.dtype, self.rows, self.missing = name, "object", 0, 0
        self.values: dict[Any, int] | None = {}
        self.order: list | None = None
        self.numbers = True
        self.odd: str | None = None
        self.texts, self.numeric_texts, self.example = 0, 0, ""
        self.moments, self.log_moments = Moments(), Moments()
        self.low, self.high, self.whole, self.infinite = math.inf, -math.inf, True, 0
        self._looked_at: list[np.ndarray] = []

    @property
    def seen(self) -> int:
        """How many values there were."""
        return self.rows - self.missing

    def add(self, series) -> None:
        """Takes the rows of a chunk."""
        pd = pandas()
        present = series[series.notna()]
        self.rows += len(series)
        self.missing += len(series) - len(present)
        if not len(present):
            return
        if self.seen == len(present):
            self.dtype = str(series.dtype)
        if isinstance(series.dtype, pd.CategoricalDtype):
            if series.dtype.ordered:
                self.order = list(series.dtype.categories)
            present = present.astype(series.dtype.categories.dtype)
        self.odd = self.odd or _odd(pd, present)
        if self.odd:
            return
        if is_number(pd, present):
            self._add_numbers(present.to_numpy("float64"))
        else:
            self.numbers = False
            readable = pd.to_numeric(present.astype(str), errors="coerce").notna()
            self.texts += len(present)
            self.numeric_texts += int(readable.sum())
            if not self.example and not readable.all():
                self.example = str(present[~readable].iloc[0])
        if self.values is not None:
            for value, count in present.value_counts(sort=False).items():
                value = plain(value)
                self.values[value] = self.values.get(value, 0) + int(count)
            if len(self.values) > MOST_VALUES:
                self.values = None

    def _add_numbers(self, values: np.ndarray) -> None:
        finite = values[np.isfinite(values)]
        self.infinite += len(values) - len(finite)
        if not len(finite):
            return
        self.moments.add(finite)
        self.low, self.high = min(self.low, finite.min()), max(self.high, finite.max())
        self.whole = self.whole and bool(np.all(finite == np.rint(finite)))
        if self.low > 0:
            self.log_moments.add(np.log(finite))
        left = LOOKED_AT - sum(map(len, self._looked_at))
        if left > 0:
            self._looked_at.append(finite[:left])

    def step(self, logarithms: bool) -> float:
        """Returns the smallest distance between different numbers, or between their logarithms."""
        values = np.concatenate([*self._looked_at, np.empty(0)])
        return float(smallest_step(np.log(values) if logarithms else values))

    def sorted_values(self) -> list:
        """Returns the distinct values in an order that does not depend on that of the rows."""
        values = list(self.values or {})
        if self.order is not None:
            ranks = {plain(value): i for i, value in enumerate(self.order)}
            return sorted(values, key=lambda value: ranks[value])
        return sorted(values, key=lambda v: (isinstance(v, str), v))


def is_number(pd, series) -> bool:
    """Returns whether the values of a series are numbers or truth values."""
    if series.dtype == object:
        kinds = ("integer", "floating", "mixed-integer-float", "decimal", "boolean")
        return pd.api.types.infer_dtype(series, skipna=True) in kinds
    return pd.api.types.is_bool_dtype(series.dtype) or pd.api.types.is_numeric_dtype(series.dtype)


def plain(value: Any) -> Any:
    """Returns a value as Python's own bool, int, float or str, whole floats as int."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (bool, str, int)):
        return value
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _odd(pd, present) -> str | None:
    """Returns in words what no kind of column can take."""
    types = pd.api.types
    if types.is_datetime64_any_dtype(present.dtype) or isinstance(present.dtype, pd.PeriodDtype):
        return "dates"
    if types.is_timedelta64_dtype(present.dtype):
        return "durations"
    if types.is_complex_dtype(present.dtype):
        return "complex numbers"
    if isinstance(present.dtype, pd.IntervalDtype):
        return "intervals"
    if present.dtype != object:
        return None
    found = types.infer_dtype(present, skipna=True)
    if found in ("datetime", "datetime64", "date", "time", "period"):
        return "dates"
    if found in ("timedelta", "timedelta64"):
        return "durations"
    known = (bool, int, float, str, np.generic)
    allowed = ("string", "integer", "floating", "mixed-integer-float", "boolean", "decimal")
    if found in allowed:
        return None
    for value in present:
        if not isinstance(value, known):
            return f"values of the type {type(value).__name__}"
    return "numbers and text side by side"


def check_column_names(names) -> None:
    """Raises DataError unless all columns have names of their own that are text or numbers."""
    names = list(names)
    strange = [name for name in names if isinstance(name, bool) or not isinstance(name, (str, int))]
    if strange:
        fix = "Rename it: df.columns = df.columns.map(str)."
        raise DataError("Names of columns must be text or whole numbers", repr(strange[0]), fix)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        fix = "Rename one of them, or drop it."
        raise DataError("Columns must have different names", f"{twice[0]!r} twice", fix)


def check_rows(df, names: list) -> None:
    """Raises DataError unless `df` is a DataFrame with each of the columns `names` once."""
    if not isinstance(df, pandas().DataFrame):
        fix = "Pass a DataFrame with the columns of the table."
        raise DataError("A table encodes DataFrames", type(df).__name__, fix)
    present = list(df.columns)
    absent = [name for name in names if name not in present]
    if absent:
        shown = ", ".join(repr(name) for name in absent[:5])
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        fix = "Add it; a column of NaN means that its values are missing."
        received = f"rows without {shown}{more}"
        raise DataError("Rows must have the columns of the table", received, fix)
    twice = [name for name in names if present.count(name) > 1]
    if twice:
        fix = "Rename one of them, or drop it."
        raise DataError("Columns must have different names", f"{twice[0]!r} twice", fix)
