"""Codes and factors as a user gives them, looked at before a score is computed."""

import numpy as np

from vae_tf.errors import DataError


def checked(codes, factors, *, discrete: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Returns codes [N, L] float64 and factors [N, K], discrete ones as numbers from 0.

    Args:
        codes: finite numbers, [N, L].
        factors: likewise, [N, K].
        discrete: whether all factors must have few values, each a whole number.

    Raises:
        DataError: shapes that do not meet, NaN, a constant factor, or one with too many values.
    """
    codes, factors = np.asarray(codes), np.asarray(factors)
    for name, values, width in (("codes", codes, "L"), ("factors", factors, "K")):
        if values.ndim != 2 or not values.size:
            fix = f"Pass an array [N, {width}], a row for each example."
            raise DataError(f"`{name}` must have two axes", f"shape {values.shape}", fix)
        if values.dtype.kind not in "iufb":
            fix = "Number the values, as np.unique(values, return_inverse=True) does."
            raise DataError(f"`{name}` must be numbers", f"dtype {values.dtype}", fix)
        if not np.all(np.isfinite(values)):
            received = f"NaN or infinity in {int(np.sum(~np.isfinite(values)))} places"
            raise DataError(f"`{name}` must be finite", received, "Leave these examples out.")
    if len(codes) != len(factors):
        received = f"{len(codes)} and {len(factors)} of them"
        raise DataError("Each code must have its factors", received, "Pass the same examples.")
    columns = [_numbered(k, column) for k, column in enumerate(factors.T)]
    if discrete:
        for k, (column, numbers) in enumerate(zip(factors.T, columns, strict=True)):
            _check_discrete(k, column, numbers)
        factors = np.stack(columns, 1)
    return codes.astype("float64"), factors


def is_discrete(factor: np.ndarray) -> bool:
    """Returns whether all values of a factor [N] are whole numbers."""
    return bool(np.all(factor == np.rint(factor)))


def _numbered(k: int, column: np.ndarray) -> np.ndarray:
    values, numbers = np.unique(column, return_inverse=True)
    if len(values) < 2:
        fix = "Leave this factor out."
        raise DataError("Each factor must vary", f"{values[0]} alone in factor {k}", fix)
    return numbers


def _check_discrete(k: int, column: np.ndarray, numbers: np.ndarray) -> None:
    if is_discrete(column) and 2 * (numbers.max() + 1) <= len(column):
        return
    received = f"{numbers.max() + 1} values among {len(column)} examples in factor {k}"
    fix = "Put them into bins, as np.digitize does."
    raise DataError("Factors must be whole numbers, each of several examples", received, fix)
