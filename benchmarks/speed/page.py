"""benchmarks/README.md out of results/speed.json: every figure in it is there.

python -m benchmarks.speed page
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.speed import pictures, results, work

HOME = results.PATH.parents[1]
INTRODUCTION = """# Speed

`scripts/bench page` writes this page from [results/speed.json](results/speed.json). `make bench`
measures everything again, in an environment of its own (`.venv-bench`, forty minutes on two cores),
and `scripts/bench SECTION ...` measures single sections.

The contenders are processes that stay alive for the whole race and are measured in turn (A B C,
A B C), so other work on the machine affects all of them alike. "Speed-up of X" is the rate of X
divided by the rate of the row, both from the same round. The tables give the median over rounds,
with the least and the greatest value in brackets. Every contender may use all cores and has its
data in memory. Compilation and warm-up are not counted. PyTorch's threads wait for each other in
the way that is fastest for PyTorch on the machine at the time; `waiting` in the JSON says how that
way was found.
"""
TRAINING = """
The networks are the MLP 784-500-500-32 and keras.io's conv VAE, with relu, and a ladder of two
groups, 8 and 40 latents with hidden layers of 500 units and silu; all with Adam and a Bernoulli
likelihood. `fit` is `vae.fit(x, batch_size=...)` on an array. `training_batches` is the data that
`train.py` feeds, with a new binarization each epoch. Keras is the recipe of keras.io. PyTorch is a
loop written by hand over batches gathered from memory, and pythae is its own trainer, unchanged.
TensorFlow by hand is a loop in one graph, for this network alone, without checks or reports. JAX is
a loop by hand, too, with one compiled program for each step, or for ten (`scan`); it is there for
the MLP alone. The
share of the ceiling compares a contender's multiplications with those of a 2048x2048 matmul of the
same precision in the same time, measured in the same race.
"""
NLL = """
`log_likelihood` is compared with pythae's `get_nll` (unchanged, but without a graph for gradients)
and with a vectorised PyTorch loop, which runs the encoder once and sums weights by chunk. A sample
is one decoded draw.
"""
GENERATION = """
Inputs and outputs are in memory. `sample()` and `encode()` are methods of `vae_tf.VAE`, and
`vae_tf.export` writes the SavedModel and the LiteRT file. The other rows run the same networks in
other libraries. `sample()` and PyTorch draw their latents; the others are given theirs.
"""
ABLATION = """
`fit` is compared with `fit` after one change. If the speed-up is above 1, the changed part
makes `fit` faster by that factor; below 1, the change would. docs/speed.md gives the reasons.
"""
STAGES = """\
`train.py` on digits, from its start to the end of its second epoch. In the first epoch the graphs
of training and validation are traced and optimized; the second one has them already.
"""
NOTES = {"training": TRAINING, "ablation": ABLATION, "nll": NLL, "generation": GENERATION}
TITLES = {
    "training": "Training",
    "ablation": "The gain from each part",
    "nll": "Importance-weighted NLL",
    "generation": "Generation and encoding",
}


def text(result: Mapping[str, Any]) -> str:
    """Returns the page, of the sections there are."""
    parts = [INTRODUCTION]
    for section, title in TITLES.items():
        if section in result:
            parts += [f"## {title}\n", origin(result, section), NOTES[section]]
            parts += [f"![{title}](images/speed_{section}.png)\n"]
            parts += [table(race, result["comparisons"]) for race in result[section]["races"]]
    for section, make in (("roofline", roofline), ("startup", startup), ("growth", growth)):
        if section in result:
            parts.append(make(result))
    return "\n".join(parts)


def origin(result: Mapping[str, Any], section: str) -> str:
    """Returns where and at which commit a section was measured."""
    entry = result[section]
    machine = entry["machine"]
    where = f"{machine['cores']} cores of {machine['cpu']}, {machine['system']}"
    return f"`scripts/bench {section}`, commit {entry['commit']}, {where}.\n"


def table(race: Mapping[str, Any], comparisons: list[Mapping[str, Any]]) -> str:
    """Returns a race: rates, and for each of ours the ratio to the others."""
    ratios = {c["name"]: c for c in comparisons}
    headings = ["", race["unit"], *(f"speed-up of {own}" for own in race["ours"])]
    shares = race.get("share", {})
    if shares:
        headings.insert(2, "share of the ceiling")
    rows = []
    for name, rates in race["rates"].items():
        cells = [f"**{name}**" if name in race["ours"] else name, spread(rates, "{:,.0f}")]
        if shares:
            cells.append(f"{shares[name]:.0%}" if name in shares else "")
        for own in race["ours"]:
            cells.append(ratio(ratios.get(f"{race['name']}: {own} / {name}")))
        rows.append(cells)
    failed = [f"{name} failed: {reason}\n" for name, reason in race["failed"].items()]
    return "\n".join([f"### {race['name']}\n", *lines(headings, rows), "", *failed])


def roofline(result: Mapping[str, Any]) -> str:
    """Returns the ceilings and what a training step cannot do without."""
    section = result["roofline"]
    speeds = section["compute"]["rates"]
    rows = [[name, spread(rates, "{:,.0f}")] for name, rates in speeds.items()]
    rates = section["memory"]["rates"].get("copy", [])
    parts = ["## Roofline\n", origin(result, "roofline"), *lines(["", "GFLOP/s"], rows), ""]
    if rates:
        parts.append(f"Copying reads and writes {spread(rates, '{:.1f}')} GB/s.\n")
    steps = list(bounds(result)) if rates else []
    headings = ["a step of", "GFLOP", "MB, if no weight stays in a cache"]
    headings += ["ms to compute, in bf16", "ms to read and write", "ms of `fit`, in bf16"]
    parts += [*lines(headings, steps), ""]
    if "nll" in result and "matmul 2048^3, bf16" in speeds:
        ceiling, draw = median(speeds["matmul 2048^3, bf16"]), work.flops_per_draw() / 1e9
        (race,) = result["nll"]["races"]
        rows = [
            [name, f"{draw * median(rates):.0f}", f"{draw * median(rates) / ceiling:.0%}"]
            for name, rates in race["rates"].items()
        ]
        parts += [*lines(["NLL by", "GFLOP/s of decoding", "of the matmul in bf16"], rows), ""]
    return "\n".join(parts)


def bounds(result: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yields, for each training race, least and actual times of a step."""
    section = result["roofline"]
    bandwidth = median(section["memory"]["rates"]["copy"])
    for race in result.get("training", {}).get("races", ()):
        network = section["networks"][race["network"]]
        gflop = race["batch_size"] * network["flops_per_image"] / 1e9
        megabytes = network["bytes_per_step"] / 1e6
        ceiling, own = race["ceilings"].get("bf16"), race["rates"].get("fit, bf16")
        if ceiling and own:
            times = gflop / median(ceiling), megabytes / 1e3 / bandwidth
            times = (*times, race["batch_size"] / median(own))
            cells = [f"{gflop:.2f}", f"{megabytes:.1f}", *(f"{1e3 * t:.2f}" for t in times)]
            yield [race["name"], *cells]


def startup(result: Mapping[str, Any]) -> str:
    """Returns the seconds until something happens."""
    entry = result["startup"]["all"]
    rows = [[name, spread(seconds, "{:.2f}")] for name, seconds in entry.items()]
    parts = ["## Start-up\n", origin(result, "startup"), *lines(["", "seconds"], rows), ""]
    if stages := result["startup"].get("stages"):
        rows = [[name, spread(seconds, "{:.2f}")] for name, seconds in stages.items()]
        totals = [sum(one) for one in zip(*stages.values(), strict=True)]
        rows.append(["in all", spread(totals, "{:.2f}")])
        parts += [STAGES, *lines(["stage", "seconds"], rows), ""]
    return "\n".join(parts)


def growth(result: Mapping[str, Any]) -> str:
    """Returns the curves, as picture and as tables."""
    parts = ["## Cost as work grows\n", origin(result, "growth")]
    parts.append("![Cost as work grows](images/speed_growth.png)\n")
    for name, race in result["growth"]["curves"].items():
        rows = [
            [f"{int(x):,}", spread(rates, "{:,.0f}"), f"{race['peak_mb'][x]:,}"]
            for x, rates in race["rates"].items()
        ]
        parts += [*lines([name, race["unit"], "peak memory, MB"], rows), ""]
    return "\n".join(parts)


def ratio(comparison: Mapping[str, Any] | None) -> str:
    """Returns the ratio and its range; nothing for what is not compared."""
    if comparison is None:
        return ""
    return "{ratio_median:.2f} ({ratio_min:.2f}–{ratio_max:.2f})".format_map(comparison)


def spread(values: list[float], form: str) -> str:
    """Returns median and range."""
    middle, least, most = (form.format(f(values)) for f in (median, min, max))
    return f"{middle} ({least}–{most})"


def lines(headings: list[str], rows: list[list[str]]) -> list[str]:
    """Returns a Markdown table."""
    bars = ["|---" * len(headings) + "|"]
    return [f"| {' | '.join(headings)} |", *bars, *(f"| {' | '.join(row)} |" for row in rows)]


def write(home: Path = HOME) -> Path:
    """Writes the page and its pictures, and returns its path."""
    result = results.read()
    pictures.draw(result, home / "images")
    path = home / "README.md"
    path.write_text(text(result), "utf-8")
    return path
