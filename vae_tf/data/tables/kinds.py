"""From the values of a column to its kind, by rules that `docs/tables.md` states."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from vae_tf.data.tables.column import KINDS, Column
from vae_tf.data.tables.summary import Moments, Summary
from vae_tf.errors import ConfigError, DataError, unknown
from vae_tf.rounding import least_scale

FEW = 10  # different whole numbers that are taken for categories
MOST_CATEGORIES = 100  # different texts that are


def check_kinds(kinds: Mapping[Any, str] | None, names) -> dict[Any, str]:
    """Returns the kinds that a user chose, by column.

    Raises:
        ConfigError: a column or a kind that there is not.
    """
    names = list(names)
    for name, kind in (kinds or {}).items():
        if name not in names:
            raise unknown("A column in `kinds`", str(name), map(str, names))
        if kind not in KINDS:
            raise unknown(f"The kind of {name!r}", str(kind), KINDS)
    return dict(kinds or {})


def columns_of(summaries: Iterable[Summary], kinds: Mapping[Any, str]) -> list[Column]:
    """Returns the columns that `summaries` describe.

    Args:
        summaries: one a column, of its training rows.
        kinds: as the user chose them, by column.

    Raises:
        DataError: a column cannot be used, or several, which are then all named at once.
    """
    columns: list[Column] = []
    refused: dict[Any, DataError] = {}
    for summary in summaries:
        try:
            columns.append(column_of(summary, kinds.get(summary.name)))
        except DataError as error:
            refused[summary.name] = error
    if len(refused) == 1:
        raise next(iter(refused.values()))
    if refused:
        received = "; ".join(f"{name!r}: {error.received}" for name, error in refused.items())
        fix = f"Convert them, or leave them out with kinds={dict.fromkeys(refused, 'ignore')}."
        raise DataError("Every column must hold numbers, or words that repeat", received, fix)
    return columns


def column_of(summary: Summary, kind: str | None = None) -> Column:
    """Returns the column that `summary` describes.

    Args:
        summary: of its training rows.
        kind: as the user chose it; inferred if None.

    Raises:
        DataError: values that no kind can take, or not the chosen one.
    """
    name = summary.name
    shared = {"name": name, "dtype": summary.dtype, "missing": summary.missing}
    if kind == "ignore":
        return Column(kind="ignore", **shared)
    if summary.odd:
        raise DataError(f"Column {name!r} must hold numbers or words", summary.odd, _remedy(name))
    if summary.infinite:
        fix = "Replace infinity by NaN where a value is missing."
        received = f"{summary.infinite} infinite value(s)"
        raise DataError(f"Column {name!r} must be finite", received, fix)
    if summary.values is not None and len(summary.values) < 2:
        return Column(kind="constant", values=tuple(summary.values), **shared)
    kind = kind or _inferred(summary)
    _check(summary, kind)
    if kind in ("binary", "category"):
        return Column(kind=kind, values=tuple(summary.sorted_values()), **shared)
    if kind == "count":
        mean, std = summary.moments.mean, summary.moments.std
        spread = max(std / (1 + mean), 0.1)  # of log(1 + n), by the delta method
        return Column(kind=kind, loc=math.log(mean), scale=spread, whole=True, **shared)
    moments = summary.log_moments if kind == "positive" else summary.moments
    floor = least_scale(summary.step(logarithms=kind == "positive"), moments.std)
    return Column(
        kind=kind,
        loc=moments.mean,
        scale=moments.std,
        floor=float(floor / moments.std),
        whole=summary.whole and "float" not in summary.dtype.lower(),
        **shared,
    )


def _inferred(summary: Summary) -> str:
    distinct = math.inf if summary.values is None else len(summary.values)
    if distinct == 2:
        return "binary"
    if not summary.numbers:
        _refuse_free_text(summary, distinct)
        return "category"
    if summary.whole and distinct <= FEW:
        return "category"
    fits = {"real": _normal(summary.moments)}
    if summary.low > 0:
        fits["positive"] = _normal(summary.log_moments) - summary.log_moments.mean
    if summary.whole and summary.low >= 0 and summary.values is not None:
        fits["count"] = _negative_binomial(summary)
    return max(fits, key=lambda kind: fits[kind])


def _normal(moments: Moments) -> float:
    """Returns the mean log-density of numbers under the normal of their moments, in nats."""
    return -math.log(moments.std) - 0.5 * math.log(2 * math.pi * math.e)


def _negative_binomial(summary: Summary) -> float:
    """Returns the mean log-probability of counts under the distribution of their moments.

    It can be compared with a density, as whole numbers are 1 apart.
    """
    mean, variance = summary.moments.mean, summary.moments.std**2
    # The Poisson if they are less dispersed than it
    failures = mean**2 / max(variance - mean, 1e-3 * mean)
    total = 0.0
    for value, count in (summary.values or {}).items():
        log_p = math.lgamma(value + failures) - math.lgamma(failures) - math.lgamma(value + 1)
        log_p += failures * math.log(failures / (failures + mean))
        log_p += value * math.log(mean / (failures + mean))
        total += count * log_p
    return total / summary.seen


def _refuse_free_text(summary: Summary, distinct: float) -> None:
    name = summary.name
    if 2 * summary.numeric_texts > summary.texts:
        expected = f"Column {name!r} must hold numbers alone"
        received = f"numbers and text such as {summary.example[:30]!r}"
        fix = "Replace the text by NaN where a value is missing, then convert it to numbers."
        raise DataError(expected, received, fix)
    unique = distinct > max(FEW, summary.seen / 2)
    written = _written(summary.example)
    if (distinct > MOST_CATEGORIES or unique) and written:
        received = f"{written} such as {summary.example[:30]!r}"
        fix = f"{_WRITTEN[written]} {_left_out(name)}"
        raise DataError(f"Column {name!r} must hold numbers", received, fix)
    if distinct > MOST_CATEGORIES or unique:
        count = f"more than {MOST_CATEGORIES}" if distinct == math.inf else str(distinct)
        received = f"{count} different texts in {summary.seen} rows"
        leave, words = (f"kinds={{{name!r}: {kind!r}}}" for kind in ("ignore", "category"))
        fix = f"Leave it out with {leave}, or take it for words with {words}."
        raise DataError(f"Column {name!r} must not be free text", received, fix)


_FORMS = {
    "dates": r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*",
    "numbers with a decimal comma": r"[-+]?[\d.]*\d,\d+",
    "numbers with commas between thousands": r"[-+]?\d{1,3}(,\d{3})+\.\d+",
    "percentages": r"[-+]?[\d.,]+ ?%",
}
_AGAIN = "Read the file with pandas.read_csv and {}, and write it again."
_WRITTEN = {
    "dates": "Convert them: days = pd.to_datetime(column); (days - days.min()).dt.days.",
    "numbers with a decimal comma": _AGAIN.format('decimal=","'),
    "numbers with commas between thousands": _AGAIN.format('thousands=","'),
    "percentages": "Write them without the sign.",
}


def _written(text: str) -> str | None:
    """Returns how numbers are written of which pandas makes text, or None."""
    return next((form for form, rule in _FORMS.items() if re.fullmatch(rule, text.strip())), None)


def _check(summary: Summary, kind: str) -> None:
    """Raises DataError unless the values of the training rows suit a kind."""
    distinct = None if summary.values is None else len(summary.values)
    numeric = kind in ("real", "positive", "count")
    problem = None
    if kind == "binary" and distinct != 2:
        problem = f"{distinct or 'many'} different values"
    elif kind == "category" and distinct is None:
        problem = "more than 1000 different values"
    elif numeric and not summary.numbers:
        problem = f"text such as {summary.example[:30]!r}" if summary.example else "text"
    elif kind == "positive" and summary.low <= 0:
        problem = f"the smallest value {summary.low:g}"
    elif kind == "count" and (summary.low < 0 or not summary.whole or summary.high > 2**24):
        problem = f"values from {summary.low:g} to {summary.high:g}"
        problem += "" if summary.whole else ", not all of them whole"
    if problem:
        fix = f"Choose {', '.join(other for other in KINDS if other != kind)}."
        raise DataError(f"Column {summary.name!r} must suit the kind {kind}", problem, fix)


def _remedy(name) -> str:
    return (
        "Convert it, dates for example to days: (df.date - df.date.min()).dt.days."
        f" {_left_out(name)}"
    )


def _left_out(name) -> str:
    return f"Or leave it out with kinds={{{name!r}: 'ignore'}}."


def parsed_kinds(flags) -> dict[str, str]:
    """Returns {column: kind} of texts such as "age=count".

    Raises:
        ConfigError: a text that is none.
    """
    pairs = [flag.rpartition("=") for flag in flags]
    for flag, (name, _, kind) in zip(flags, pairs, strict=True):
        if not name or not kind:
            fix = "Pass --kinds age=count colour=category, for example."
            raise ConfigError("--kinds takes COLUMN=KIND", repr(flag), fix)
    return {name: kind for name, _, kind in pairs}
