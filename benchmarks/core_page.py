"""Writes docs/core.md and its figures from results/*.json.

python benchmarks/core_page.py
"""

import json
from pathlib import Path

import common
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
STARVED = 0.01  # nats; a latent with less is off

INTRODUCTION = """# Priors, posteriors, objectives: measured

`python benchmarks/core_page.py` writes this page from the JSON files in `benchmarks/results/`,
which come from the scripts named below. The rows of a table differ in one thing at a time: data,
networks, optimizer, number of epochs and seed are the same in all of them.
"""


def load(name: str):
    """Returns results/<name>.json."""
    return json.loads((common.RESULTS / f"{name}.json").read_text())


def save(figure: Figure, name: str, words: str) -> str:
    """Writes the figure and returns the Markdown that shows it."""
    figure.savefig(IMAGES / f"{name}.png", dpi=130)
    return f"![{words}](images/{name}.png)\n"


def readable(ratio: float) -> str:
    """Returns three digits at the least, no exponent."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def nll_section() -> str:
    """Returns the table and the figure of `core_nll.py`."""
    rows = load("core_binarized_mnist")
    reference = next(row for row in rows if row["name"] == "reference")
    figure = Figure((8, 0.3 * len(rows) + 1), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    shown = [row for row in rows if row["test_nll"] < reference["test_nll"] + 10]
    for place, row in zip(places, rows, strict=True):
        own = row is reference
        if row in shown:
            error = row["test_nll_stderr"]
            colour = "black" if own else "tab:blue"
            axes.errorbar(row["test_nll"], place, xerr=error, fmt="o", color=colour, capsize=3)
        else:
            edge = max(other["test_nll"] for other in shown) + 1
            axes.text(edge, place, f"{row['test_nll']:.1f} →", ha="right", va="center", fontsize=8)
    axes.set_yticks(places, [row["name"] for row in rows], fontsize=8)
    axes.axvline(reference["test_nll"], color="grey", linewidth=0.8)
    axes.set_xlabel("test NLL in nats, less is better; bars: standard error over test images")
    axes.grid(axis="x", alpha=0.3)
    samples, epochs = reference["importance_samples"], reference["epochs"]
    lines = [
        "| case | prior | posterior | objective | test NLL | ELBO | KL | training, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        nll = f"{row['test_nll']:.2f} ± {row['test_nll_stderr']:.2f}"
        names = " | ".join(row[key] for key in ("name", "prior", "posterior", "objective"))
        rest = f"{row['test_elbo']:.2f} | {row['test_kl']:.2f} | {row['train_seconds']:.0f}"
        lines.append(f"| {names} | {nll} | {rest} |")
    commits = list(dict.fromkeys(row["commit"] for row in rows))
    measured = "; ".join(
        f"{commit} ({', '.join(row['name'] for row in rows if row['commit'] == commit)})"
        for commit in commits
    )
    return "\n".join(
        [
            "\n## Test NLL on binarized MNIST\n",
            "`python benchmarks/core_nll.py` trains networks with two layers of 300 units each "
            f"way and 32 latents, for {epochs} epochs of Adam with one seed. The test NLL is that "
            f"of all 10,000 test images with {samples} importance samples each. Its standard error "
            "is over test images. All rows have the same images, so the differences between rows "
            "are more certain than the errors suggest. The training times were taken on a shared "
            "machine and show only orders of magnitude. Each row was measured at one of these "
            f"commits, and later changes are not in it: {measured}.\n",
            *lines,
            "",
            save(figure, "core_nll", "Test NLL of each prior, posterior and objective"),
        ]
    )


def variance_section() -> str:
    """Returns the figures of `estimator_variance.py`."""
    result = load("estimator_variance")
    rows = result["rows"]
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    figure = Figure((10, 4.2), layout="constrained")
    for axes, half in zip(figure.subplots(1, 2), ("encoder", "decoder"), strict=True):
        for i, name in enumerate(names):
            own = [row for row in rows if row["estimator"] == name]
            style = {"color": colormaps["tab20"](2 * i % 20 + i // 10)}
            values = [row[f"{half}_variance"] for row in own]
            axes.plot([row["epoch"] for row in own], values, marker=".", label=name, **style)
        axes.set_yscale("log")
        axes.set_title(f"variance of the {half}'s gradient", fontsize=10)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right", fontsize=7)
    ratios = Figure((8, 3.4), layout="constrained")
    axes = ratios.subplots()
    last = max(row["epoch"] for row in rows)
    bars = [(r["estimator"], r["encoder_variance_over_elbo"]) for r in rows if r["epoch"] == last]
    bars.sort(key=lambda bar: bar[1])
    axes.barh([name for name, _ in bars], [ratio for _, ratio in bars], color="tab:blue")
    for place, (_, ratio) in enumerate(bars):
        axes.text(ratio, place, f" {readable(ratio)}", va="center", fontsize=8)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel(f"variance of the encoder's gradient over the ELBO's, epoch {last}")
    score = next(ratio for name, ratio in bars if name == "score function")
    mean = next(ratio for name, ratio in bars if name == "score function, running mean")
    return "\n".join(
        [
            "\n## Variance of the gradient estimators\n",
            "`python benchmarks/estimator_variance.py` runs one training with the ELBO. Along it "
            f"each estimator draws {result['gradients']} gradients for one batch of "
            f"{result['examples']} test images. The figure shows the trace of their covariance. At "
            f"epoch {last} the trace of the score function is {readable(score)} times that of the "
            f"reparametrized ELBO, and {readable(mean)} times with a running mean as baseline. "
            "IWAE, DReG and VIMCO estimate the gradient of another bound, the importance-weighted "
            "one.\n",
            save(figure, "core_variance", "Gradient variance of each estimator by epoch"),
            save(ratios, "core_variance_ratio", "Gradient variance relative to the ELBO's"),
        ]
    )


def collapse_section() -> str:
    """Returns the figure of the KL per latent, with and without free bits."""
    rows = {row["name"]: row for row in load("core_binarized_mnist")}
    pair = {
        "without free bits": rows["reference"],
        "with free bits": rows["free bits, 0.1 nats a dimension"],
    }
    figure = Figure((8, 3), layout="constrained")
    axes = figure.subplots()
    words = []
    for name, row in pair.items():
        kls = np.sort(row["kl_per_dimension"])[::-1]
        axes.plot(np.arange(1, len(kls) + 1), kls, marker=".", label=name)
        off = int(np.sum(kls < STARVED))
        words.append(
            f"{name.capitalize()}, {off} of {len(kls)} latents hold less than {STARVED} nats, and "
            f"the test NLL is {row['test_nll']:.2f}."
        )
    axes.set_yscale("log")
    axes.set_xlabel("latents, in the order of their KL")
    axes.set_ylabel("KL in nats")
    axes.legend()
    axes.grid(alpha=0.3)
    return "\n".join(
        [
            "\n## Collapse, with and without free bits\n",
            f"Two of the runs above differ only in free bits. {' '.join(words)} Free bits keep "
            "every latent near or above its free nats. The test NLL decides whether that pays.\n",
            save(figure, "core_collapse", "KL of each latent with and without free bits"),
        ]
    )


def bits_section() -> str:
    """Returns the table and the figure of `bits.py`."""
    rows = sorted(load("fashion_mnist_bits"), key=lambda row: row["bits_per_dimension"])
    figure = Figure((7, 2.2), layout="constrained")
    axes = figure.subplots()
    values = [row["bits_per_dimension"] for row in rows]
    axes.barh([row["likelihood"] for row in rows], values, color="tab:blue")
    for place, value in enumerate(values):
        axes.text(value, place, f" {value:.3f}", va="center", fontsize=8)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.set_xlabel("bits per dimension on test images, less is better")
    lines = ["| likelihood | bits per dimension | parameters |", "|---|---|---|"]
    for row in rows:
        value = f"{row['bits_per_dimension']:.3f} ± {row['stderr']:.3f}"
        lines.append(f"| {row['likelihood']} | {value} | {row['parameters']:,} |")
    first = rows[0]
    return "\n".join(
        [
            "\n## Bits per dimension on Fashion-MNIST, 256 levels\n",
            f"`python benchmarks/bits.py` trains each model for {first['epochs']} epochs and "
            f"measures {first['test_examples']:,} test images with {first['importance_samples']} "
            "importance samples. The discretized likelihoods give each grey level a probability. "
            "The Gaussians were trained and tested on uniformly dequantized images, for which the "
            "density bounds the code length of the levels (Theis et al. 2016). Their scales are no "
            "smaller than one grey level, which is the package's default.\n",
            *lines,
            "",
            save(figure, "core_bits", "Bits per dimension of four likelihoods"),
        ]
    )


def main() -> None:
    """Writes the page."""
    sections = [nll_section(), variance_section(), collapse_section(), bits_section()]
    (ROOT / "docs/core.md").write_text(INTRODUCTION + "".join(sections), "utf-8")


if __name__ == "__main__":
    main()
