"""Writes the tables of hierarchies, of few labels and of texts into their pages.

python benchmarks/families_page.py NAME...    of hierarchical, semi_supervised, text

`python benchmarks/NAME.py page` does the same. A result that is not whole is refused.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import common
import numpy as np

DOCS = Path(__file__).parents[1] / "docs"
DRAWS, LEAST = 5, 3  # of 100 labels: in all, and for a line of the table
PAPER = {  # Kingma et al. 2014, table 1
    "classifier on the labels alone": None,
    "1 nearest neighbour on M1's codes": None,
    "M1": 11.82,
    "M2": 11.97,
    "M1+M2": 3.33,
}
GROUPS = {"one": "one group", "two": "two groups"}
MODELS = {
    "vae_from_the_start": "VAE",
    "decoder_alone": "its decoder without z",
    "vae": "VAE, after the decoder without z",
    "language_model": "the decoder without z, longer",
}


def mean_and_spread(values) -> tuple[float, float]:
    """Returns the mean and the standard deviation of values of several seeds."""
    return float(np.mean(values)), float(np.std(values, ddof=1))


def semi_supervised(lines: list[dict]) -> str:
    """Returns the test error of each method over the draws of the labels."""
    text = (
        "Percent of the test images that are misread: mean and standard deviation over draws of "
        "the labels.\n\n| method | test error | draws | Kingma et al. 2014 |\n|---|---|---|---|\n"
    )
    for method, published in PAPER.items():
        errors = [100 * line["test_error"] for line in lines if line["method"] == method]
        if not LEAST <= len(errors) <= DRAWS:
            sys.exit(f"{method}: {len(errors)} of {DRAWS} draws of the labels are done")
        mean, spread = mean_and_spread(errors)
        theirs = "" if published is None else f"{published:.2f}"
        text += f"| {method} | {mean:.2f} ± {spread:.2f} | {len(errors)} | {theirs} |\n"
    return text + (
        "\nM1 is read by logistic regression here, by a transductive SVM in the paper. Others who "
        "repeated M2 and M1+M2 report errors from 4 to 18 %.\n"
    )


def hierarchical(result: dict) -> str:
    """Returns the test NLL of two groups beside one, over the seeds."""
    models = result["models"]
    minutes, seeds = result["processor_seconds"] / 60, len(models) // len(GROUPS)
    text = (
        "## What a second group is worth\n\n"
        f"Dense networks with as many latents and parameters on {result['data']}, each trained for "
        f"{minutes:.0f} minutes of one core: mean and standard deviation over {seeds} seeds, in "
        "nats an image.\n\n| | test NLL | KL of each group | parameters | steps |\n"
        "|---|---|---|---|---|\n"
    )
    for case, name in GROUPS.items():
        own = [one for one in models if one["case"] == case]
        if len(own) != seeds or seeds < 2:
            sys.exit(f"{name}: {len(own)} models are done")
        mean, spread = mean_and_spread([one["test_nll"] for one in own])
        groups = np.mean([one["kl_by_group"] for one in own], 0)
        kl = ", ".join(f"{value:.1f}" for value in groups)
        steps = np.mean([one["steps"] for one in own])
        parameters = own[0]["parameters"]
        text += f"| {name} | {mean:.2f} ± {spread:.2f} | {kl} | {parameters:,} | {steps:,.0f} |\n"
    errors = [result[f"test_nll_{case}_stderr_over_seeds"] for case in GROUPS]
    return text + (
        f"\nThe second group is worth {result['gain']:.2f} ± {np.hypot(*errors):.2f} nats "
        "(standard error over the seeds). Each NLL is of "
        f"{result['importance_samples']} importance samples.\n"
    )


def texts(lines: list[dict]) -> str:
    """Returns NLL and perplexity of the VAE beside its decoder without z."""
    found = {line["model"]: line for line in lines}
    text = (
        "## What z is worth\n\n"
        "Test lines of tiny Shakespeare; ± is the standard error over the lines, and a perplexity "
        "is that of a byte.\n\n| | nats a line | perplexity | KL, nats | parameters of decoder | "
        "minutes |\n|---|---|---|---|---|---|\n"
    )
    for model, name in MODELS.items():
        if model not in found:
            sys.exit(f"{name}: not done yet")
        line = found[model]
        nll = f"{line['nll_per_line']:.2f} ± {line['stderr']:.2f}"
        rest = f"{line['parameters']:,} | {line['train_seconds'] / 60:.0f}"
        text += f"| {name} | {nll} | {line['perplexity']:.3f} | {line['kl']:.2f} | {rest} |\n"
    vae = found["vae"]
    difference, error = (vae[f"nll_above_language_model{end}"] for end in ("", "_stderr"))
    return text + (
        f"\nA VAE's NLL is of {vae['importance_samples']} importance samples, and so an upper "
        f"bound. Of the last two, the VAE needs {abs(difference):.2f} ± {error:.2f} nats "
        f"{'more' if difference > 0 else 'fewer'} a line, line by line.\n"
    )


PAGES: dict[str, tuple[str, Callable]] = {
    "hierarchical": ("hierarchical", hierarchical),
    "semi_supervised": ("semi_supervised", semi_supervised),
    "text": ("sequences", texts),
}


def main(*names: str) -> None:
    """Writes the table of each of these results into its page."""
    for name in names or PAGES:
        page, section = PAGES[name]
        result = json.loads((common.RESULTS / f"{name}.json").read_text())
        common.write_table(name, section(result), DOCS / f"{page}.md")


if __name__ == "__main__":
    main(*sys.argv[1:])
