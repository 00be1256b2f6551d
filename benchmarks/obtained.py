"""The table of docs/obtained.md: results/*.json beside what others report, or what is exact.

    python benchmarks/obtained.py

A cell of ours comes from a JSON file alone, and a row whose file is not there is left out.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import common

PAGE = Path(__file__).parents[1] / "docs/obtained.md"
VAMP = "[Tomczak and Welling 2018](https://arxiv.org/abs/1705.07120), table 1"
M2 = "[Kingma et al. 2014](https://arxiv.org/abs/1406.5298), table 1"
BB_ANS = "[Townsend et al. 2019](https://arxiv.org/abs/1901.04866)"


class Line(NamedTuple):
    """A row: how the value, its error and a reference are found in one file."""

    what: str
    unit: str
    file: str
    value: Callable[[Any], tuple[float, float | None]]
    reference: Callable[[Any], str] | str
    source: str


def of(rows: list[dict], **wanted) -> dict:
    """Returns the one row that has the values wanted."""
    (found,) = (row for row in rows if all(row[k] == v for k, v in wanted.items()))
    return found


def pair(row: dict, key: str = "value", error: str = "stderr") -> tuple[float, float | None]:
    """Returns a value and its standard error, if there is one."""
    return row[key], row.get(error)


def errors(rows: list[dict], method: str) -> tuple[float, None]:
    """Returns the mean test error of a method in per cent."""
    own = [100 * row["test_error"] for row in rows if row["method"] == method]
    return sum(own) / len(own), None


LINES = [
    Line(
        "binarized MNIST, an MLP and a mixture prior: NLL",
        "nats",
        "binarized_mnist_mlp",
        lambda d: pair(d, "test_nll", "test_nll_stderr"),
        "85.57, VampPrior of one layer",
        VAMP,
    ),
    Line(
        "binarized MNIST, `--recipe flagship`: NLL",
        "nats",
        "flagship",
        lambda d: pair(d, "test_nll", "test_nll_stderr"),
        "81.09, VampPrior of two layers, convolutions",
        VAMP,
    ),
    Line(
        "binarized MNIST, a standard normal prior, 15 epochs: NLL",
        "nats",
        "core_binarized_mnist",
        lambda d: pair(of(d, name="reference"), "test_nll", "test_nll_stderr"),
        "88.56, trained to the end",
        VAMP,
    ),
    Line(
        "binarized MNIST, lossless compression",
        "bits a pixel",
        "lossless",
        lambda d: pair(of(d, codec="vae_tf"), "bits_per_dim"),
        "0.19",
        BB_ANS,
    ),
    Line(
        "binarized MNIST, the codec beside its own bound",
        "bits a pixel",
        "lossless",
        lambda d: pair(of(d, codec="vae_tf"), "bits_per_dim"),
        lambda d: f"{of(d, codec='negative ELBO')['bits_per_dim']:.4f}, negative ELBO",
        "the bound, same file",
    ),
    Line(
        "houses (known density): log p(x)",
        "nats a row",
        "baselines",
        lambda d: pair(of(d, data="houses", model="VAE")),
        lambda d: f"{of(d, data='houses', model='truth')['value']:.3f}, the truth",
        "exact, same rows",
    ),
    Line(
        "heights (known density): log p(x)",
        "nats a row",
        "baselines",
        lambda d: pair(of(d, data="heights", model="VAE")),
        lambda d: f"{of(d, data='heights', model='truth')['value']:.3f}, the truth",
        "exact, same rows",
    ),
    Line(
        "a table of a known mixture: NLL",
        "nats a row",
        "tables",
        lambda d: pair(of(d, data="mixture", method="vae")),
        lambda d: f"{of(d, data='mixture', method='truth')['value']:.2f}, its entropy",
        "exact",
    ),
    Line(
        "MNIST, 100 labels, M2: error",
        "%",
        "semi_supervised",
        lambda d: errors(d, "M2"),
        "11.97",
        M2,
    ),
    Line(
        "MNIST, 100 labels, M1+M2: error",
        "%",
        "semi_supervised",
        lambda d: errors(d, "M1+M2"),
        "3.33",
        M2,
    ),
]


def row(line: Line) -> str | None:
    """Returns a row of the table, or None without its file."""
    path = common.RESULTS / f"{line.file}.json"
    if not path.exists():
        return None
    data = json.loads(path.read_text())
    value, error = line.value(data)
    digits = {"bits a pixel": 4}.get(line.unit, 2 if abs(value) > 20 else 3)
    obtained = f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error is not None else "")
    reference = line.reference if isinstance(line.reference, str) else line.reference(data)
    file = f"[{path.name}](../benchmarks/results/{path.name})"
    return f"| {line.what} | {line.unit} | {obtained} | {reference} | {line.source} | {file} |"


def table() -> str:
    """Returns the table, Markdown."""
    head = "| | unit | obtained | reference | source of the reference | result |"
    return "\n".join([head, "|---|---|---|---|---|---|", *filter(None, map(row, LINES))]) + "\n"


if __name__ == "__main__":
    common.write_table("obtained", table(), PAGE)
