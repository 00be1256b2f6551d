"""The pictures of the page: bars of rates, curves of growth."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, THEIRS = "tab:blue", "tab:gray"
RACES = ("training", "ablation", "nll", "generation")


def draw(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Returns the paths of the pictures of all sections there are, written below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {name: bars(result[name]["races"]) for name in RACES if name in result}
    if "growth" in result:
        figures["growth"] = curves(result["growth"]["curves"])
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"speed_{name}.png")
        figure.savefig(paths[-1], dpi=110)
    return paths


def bars(races: list[Mapping[str, Any]]) -> Figure:
    """Returns a panel for each race: the median rate, and the range over rounds as a line."""
    rows = max(len(race["rates"]) for race in races)
    figure, panels = _panels(len(races), 2, 6.2, 0.28 * rows + 0.9)
    for axes, race in zip(panels, races, strict=True):
        names = list(race["rates"])[::-1]
        rates = [race["rates"][name] for name in names]
        middle = [median(values) for values in rates]
        colours = [OURS if name in race["ours"] else THEIRS for name in names]
        errors = [
            [m - min(values) for m, values in zip(middle, rates, strict=True)],
            [max(values) - m for m, values in zip(middle, rates, strict=True)],
        ]
        axes.barh(names, middle, xerr=errors, color=colours, error_kw={"elinewidth": 0.8})
        axes.tick_params(labelsize=8)
        axes.set_title(race["name"], fontsize=10)
        axes.set_xlabel(f"{race['unit']}; blue: vae_tf", fontsize=8)
    return figure


def curves(races: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Returns a panel for each curve: rate and peak memory over what grows."""
    figure, panels = _panels(len(races), 3, 4.2, 3.0)
    for axes, (name, race) in zip(panels, races.items(), strict=True):
        points = list(race["rates"])
        x = [int(point) for point in points]
        axes.plot(x, [median(race["rates"][p]) for p in points], marker="o", color=OURS)
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{value:,}" for value in x])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(name, fontsize=8)
        axes.set_ylabel(race["unit"], fontsize=8, color=OURS)
        memory = axes.twinx()
        memory.plot(x, [race["peak_mb"][p] for p in points], "x--", color="tab:orange")
        memory.set_ylim(bottom=0)
        memory.set_ylabel("peak MB", fontsize=8, color="tab:orange")
        for side in (axes, memory):
            side.tick_params(labelsize=7)
    return figure


def _panels(number: int, most: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Returns a figure and so many panels of it, `most` in a row, each of this size in inches."""
    columns = min(most, number)
    rows = -(-number // columns)
    figure = Figure((width * columns, height * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in panels[number:]:
        axes.set_axis_off()
    return figure, panels[:number]
