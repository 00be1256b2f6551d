"""Figures of the columns of tables: data beside samples."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

MOST_MARGINALS = 30
MOST_PAIRS = 5  # columns
BINS = 24
COLOURS = ("tab:blue", "tab:orange")
LABELS = ("data", "samples")
WORDED = ("binary", "category")


def marginals(data: Mapping, samples: Mapping, kinds: Mapping[Any, str]) -> Figure:
    """Returns a figure of each column's distribution, that of samples over that of the data.

    Args:
        data: values [N] by column, in the user's units and words; missing values are left out.
        samples: samples of the model, in the same form.
        kinds: the kind of each column; the first 30 are drawn.

    Example:
        >>> data = {"age": np.array([20.0, 30.0, 40.0]), "smokes": np.array(["yes", "no", "no"])}
        >>> kinds = {"age": "real", "smokes": "binary"}
        >>> figure = vae_tf.plots.marginals(data, samples=data, kinds=kinds)
        >>> figure.savefig("marginals.png")
    """
    names = list(kinds)[:MOST_MARGINALS]
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    figure = Figure((2.6 * columns, 2.1 * rows + 0.3), dpi=120, layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, place + 1)
        _marginal(axes, data[name], samples[name], kinds[name])
        axes.set_title(drawable(name, place)[:28], fontsize=9)
        axes.set_yticks([])
    figure.axes[0].legend(fontsize=7)
    return figure


def pairs(data: Mapping, samples: Mapping, kinds: Mapping[Any, str]) -> Figure:
    """Returns a figure of pairs of columns: data below the diagonal, samples above it.

    Args:
        data: values [N] by column, in the same order of rows.
        samples: samples of the model, in the same form.
        kinds: the kind of each column; the first five are drawn, numbers before words.

    Example:
        >>> data = {"age": np.array([20.0, 30.0, 40.0]), "smokes": np.array(["yes", "no", "no"])}
        >>> kinds = {"age": "real", "smokes": "binary"}
        >>> figure = vae_tf.plots.pairs(data, samples=data, kinds=kinds)
        >>> len(figure.axes)  # 2 x 2
        4
    """
    names = sorted(kinds, key=lambda name: kinds[name] in WORDED)[:MOST_PAIRS]
    size = len(names)
    figure = Figure((2.1 * size, 2.0 * size), dpi=120, layout="constrained")
    grid: Any = figure.subplots(size, size, squeeze=False)
    for i, y in enumerate(names):
        for j, x in enumerate(names):
            axes = grid[i, j]
            if i == j:
                _marginal(axes, data[x], samples[x], kinds[x])
                axes.set_yticks([])
            else:
                source, colour = (data, COLOURS[0]) if i > j else (samples, COLOURS[1])
                both = {n: np.concatenate([data[n], samples[n]]) for n in (x, y)}
                _scatter(axes, source, (x, y), data, both, kinds, colour)
            axes.tick_params(labelsize=6)
            if i == size - 1:
                axes.set_xlabel(drawable(x, j)[:22], fontsize=8)
            if j == 0:
                axes.set_ylabel(drawable(y, i)[:22], fontsize=8)
    figure.suptitle("data below the diagonal (blue), samples above it (orange)", fontsize=9)
    return figure


def drawable(text: Any, place: int, noun: str = "column") -> str:
    """Returns a text, or a number for it where Matplotlib's font lacks one of its characters."""
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    text = str(text).replace("$", r"\$")  # between two of them would be mathematics
    return text if all(font.get_char_index(ord(c)) for c in text) else f"{noun} {place + 1}"


def _marginal(axes, data: np.ndarray, samples: np.ndarray, kind: str) -> None:
    groups = [values[~_missing(values)] for values in (data, samples)]
    if kind in WORDED:
        words = list(dict.fromkeys(sorted(map(str, np.concatenate(groups)))))[:12]
        for shift, values, colour, label in zip((-0.2, 0.2), groups, COLOURS, LABELS, strict=True):
            texts: np.ndarray = np.array(list(map(str, values)))
            shares = [np.mean(texts == word) if len(texts) else 0.0 for word in words]
            axes.bar(np.arange(len(words)) + shift, shares, 0.4, color=colour, label=label)
        axes.set_xticks(
            range(len(words)),
            [drawable(w, i, "word")[:10] for i, w in enumerate(words)],
            rotation=30,
        )
    else:
        numbers = [values.astype(float) for values in groups]
        low, high = _range(numbers[0])
        logarithmic = kind == "positive" and low > 0 and high > 20 * low
        edges = np.geomspace(low, high, BINS) if logarithmic else np.linspace(low, high, BINS)
        for values, colour, label in zip(numbers, COLOURS, LABELS, strict=True):
            inside = np.clip(values, low, high)
            axes.hist(inside, edges, color=colour, alpha=0.55, label=label, weights=_shares(inside))
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())  # they would overlap
    axes.tick_params(labelsize=7)


def _scatter(axes, source, names: tuple, data, both, kinds: Mapping, colour: str) -> None:
    ends = []
    there = ~_missing(source[names[0]]) & ~_missing(source[names[1]])
    for name in names:
        values = source[name][there]
        if kinds[name] in WORDED:
            words = sorted({str(v) for v in both[name][~_missing(both[name])]})
            places = np.array([words.index(str(v)) for v in values], float)
            # Beside each other, or they would all be one point
            ends.append(places + np.random.default_rng(0).uniform(-0.3, 0.3, len(places)))
            set_ticks = axes.set_xticks if name == names[0] else axes.set_yticks
            set_ticks(range(len(words)), [drawable(w, i, "word")[:8] for i, w in enumerate(words)])
        else:
            ends.append(values.astype(float))
            low, high = _range(data[name][~_missing(data[name])].astype(float))
            (axes.set_xlim if name == names[0] else axes.set_ylim)(low, high)
    axes.scatter(*ends, s=4, alpha=0.4, color=colour, linewidths=0)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Returns where all but a hundredth of the data lie, and a margin for samples."""
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, (0.005, 0.995))
    if low == high:
        return float(low) - 0.5, float(high) + 0.5
    margin = 0.2 * (high - low)
    least = low / 2 if low > 0 >= low - margin else low - margin
    return float(least), float(high + margin)


def _shares(values: np.ndarray) -> np.ndarray:
    return np.full(len(values), 1 / max(1, len(values)))


def _missing(values: np.ndarray) -> np.ndarray:
    # None, NaN and pandas' NA, without pandas: NaN is not itself, and NA says so of nothing
    return np.array([v is None or type(v).__name__ == "NAType" or v != v for v in values], bool)
