"""Test log-likelihoods of a normal, PPCA, a Gaussian mixture and a VAE, and samples of each."""

import csv
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.data import dequantize
from vae_tf.data.tables.table import Table
from vae_tf.densities import (
    Density,
    GaussianMixture,
    Heights,
    Houses,
    Normal,
    ProbabilisticPCA,
)
from vae_tf.errors import DataError
from vae_tf.evaluation import bits_per_dimension, log_likelihood
from vae_tf.recipes import recipe
from vae_tf.runs.build import kind_of
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.files import write_json
from vae_tf.runs.training import Watcher, load_run, train

KNOWN: dict[str, type[Heights] | type[Houses]] = {"heights": Heights, "houses": Houses}
ROWS = 5000  # of data that are generated, a tenth of them for the test
SAMPLES = 100  # images of each model; of rows, as many as there are in the test
COMPONENTS = (1, 2, 3, 5, 8, 12, 20)
LARGE = 100  # numbers in an example above which components are diagonal
DIAGONAL_COMPONENTS = (10, 30, 100)
LATENTS = (1, 2, 5, 10, 20, 40, 80)
MOST_FITTED = 20_000  # examples that a mixture learns from; EM goes through them at every step
LEVELS = 256


@dataclass(frozen=True)
class Row:
    """One model of a comparison.

    Attributes:
        model: its name.
        value: mean log p(x) of a table's rows, in nats; of images, bits per dimension.
        stderr: standard error of `value`, over test examples.
        gap: distance of `value` below that of the truth on the same examples; None where the truth
            is unknown.
        gap_stderr: standard error of `gap`, over test examples.
        parameters: number of learned parameters; None for the truth.
        seconds: time of fitting, in seconds.
        samples: draws from the model in the user's units, [N, *event].

    Example:
        >>> from vae_tf.compare import Row
        >>> row = Row("normal", -7.5, 0.1, parameters=5, seconds=0.01, samples=np.zeros((10, 2)))
        >>> row.value, row.gap is None  # without a known truth there is no gap
        (-7.5, True)
    """

    model: str
    value: float
    stderr: float
    parameters: int | None
    seconds: float
    samples: np.ndarray
    gap: float | None = None
    gap_stderr: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`: all models of one data set.

    Attributes:
        dataset: its name.
        metric: the quantity that `value` of each row is, with its unit.
        rows: the models.
        data: test examples in the user's units, [N, *event].
        columns: names of a table's columns; empty for images.

    Example:
        >>> from vae_tf.compare import Comparison, Row
        >>> row = Row("normal", -7.5, 0.1, parameters=5, seconds=0.01, samples=np.zeros((10, 2)))
        >>> comparison = Comparison("houses", "log p(x), nats a row", (row,), np.zeros((10, 2)))
        >>> comparison.records()[0]["model"]
        'normal'
    """

    dataset: str
    metric: str
    rows: tuple[Row, ...]
    data: np.ndarray
    columns: tuple[str, ...] = ()

    def records(self) -> list[dict[str, Any]]:
        """Returns the rows without samples, for JSON."""
        names = ("model", "value", "stderr", "gap", "gap_stderr", "parameters", "seconds")
        return [
            {"data": self.dataset, "metric": self.metric}
            | {name: getattr(row, name) for name in names}
            for row in self.rows
        ]


def compare(
    dataset: str,
    output: str | Path,
    *,
    watcher: Watcher | None = None,
    importance_samples: int = 500,
    seed: int = 0,
    **settings: Any,
) -> Comparison:
    """Returns how well explicit densities and a VAE predict data they have not seen.

    All are fitted to the training split, sizes are chosen on the validation split, and the test
    split is reported. A table's columns must be real or positive, so that every model is a density
    in the units of the file. For images each value bounds the length of a code, in bits per
    dimension: explicit densities code dequantized pixels (see `bits_per_dimension`), and the VAE's
    likelihood is a probability.

    Args:
        dataset: a name as train.py takes it. "heights" and "houses" are generated, and their true
            density is one of the models.
        output: directory for the VAE's run, `compare.json` and `samples.png`; a run that it holds
            already is resumed.
        watcher: receives the progress.
        importance_samples: draws of z for each example, to evaluate the VAE.
        seed: seed of generated data, splits and fits.
        settings: settings of the VAE's training, fields of `TrainConfig`.

    Raises:
        DataError: a table with words or gaps, which explicit densities cannot take.
        VAEError: for the reasons of `vae_tf.runs.training.train`.

    Example:
        >>> from vae_tf.compare import compare
        >>> found = compare("heights", "heights", epochs=1, importance_samples=10)
        >>> [row.model for row in found.rows]
        ['normal', 'Gaussian mixture', 'VAE', 'truth']
    """
    output, watcher = Path(output), watcher or Watcher()
    output.mkdir(parents=True, exist_ok=True)
    truth = KNOWN[dataset]() if dataset in KNOWN else None
    source = dataset if truth is None else f"table:{_written(truth, output, seed)}"
    base = recipe("table" if source.startswith("table:") else "mlp")
    own: dict[str, Any] = {"dataset": source, "run_dir": str(output / "vae"), "seed": seed}
    config = dataclasses.replace(base, resume=True, **own, **settings)
    if config.is_table:
        found = _of_table(dataset, config, truth, watcher, importance_samples)
    else:
        found = _of_images(config, watcher, importance_samples)
    write_json(output / "compare.json", {"rows": found.records()})
    return found


def _of_table(
    dataset: str, config: TrainConfig, truth: Any, watcher: Watcher, importance_samples: int
) -> Comparison:
    data = kind_of(config).data
    table, splits = data.table, (data.train, data.validation, data.test)
    _refuse_words_and_gaps(table, any(s.mask() is not None and not s.mask().all() for s in splits))
    fitted, held_out, test = (split.array().astype("float64") for split in splits)
    known = _values(table, test)
    jacobian, count = table.log_jacobian(test), len(test)
    true = None if truth is None else truth.log_prob(known)
    rows = []
    for name, make in _explicit(fitted, held_out, config.seed):
        watcher.stage(f"fitting {name}")
        density, seconds = _timed(make)
        log_p = log_likelihood(density, test).per_example + jacobian
        drawn = _values(table, density.sample(count, config.seed))
        rows.append(_row(name, log_p, true, density.num_parameters, seconds, drawn))
    report = train(dataclasses.replace(config, importance_samples=0), watcher)
    vae, _ = load_run(str(config.run_dir))
    watcher.stage("evaluating the VAE")
    log_p = log_likelihood(vae, test.astype("float32"), importance_samples).per_example + jacobian
    drawn = table.sample(vae, count, seed=config.seed)[table.names].to_numpy("float64")
    rows.append(_row("VAE", log_p, true, report["parameters"], report["train_seconds"], drawn))
    if truth is not None:
        rows.append(_row("truth", true, None, None, 0.0, truth.sample(count, config.seed + 1)))
    columns = tuple(str(name) for name in table.names)
    return Comparison(dataset, "log p(x), nats a row", tuple(rows), known, columns)


def _of_images(config: TrainConfig, watcher: Watcher, importance_samples: int) -> Comparison:
    data = kind_of(config).data
    binary = data.is_binary
    levels = 2 if binary else LEVELS
    if config.likelihood == "auto":
        suited: dict[str, Any] = {"likelihood": "bernoulli" if binary else "discretized-logistic"}
        config = dataclasses.replace(config, **suited)
    splits = (data.train, data.validation, data.test)
    fitted, held_out = (
        dequantize(split.array(MOST_FITTED), levels, seed=config.seed).numpy().astype("float64")
        for split in splits[:2]
    )
    test, rows = data.test.array(), []
    for name, make in _explicit(fitted, held_out, config.seed):
        watcher.stage(f"fitting {name}")
        density, seconds = _timed(make)
        bits = bits_per_dimension(density, test, levels=levels, seed=config.seed)
        drawn = np.clip(density.sample(SAMPLES, config.seed), 0, 1)
        rows.append(Row(name, bits.value, bits.stderr, density.num_parameters, seconds, drawn))
    report = train(dataclasses.replace(config, importance_samples=0), watcher)
    vae, _ = load_run(str(config.run_dir))
    grid = None if vae.likelihood.discrete else levels
    progress = watcher.progress(f"bits, {importance_samples} samples an image", len(test))
    bits = bits_per_dimension(
        vae, test, importance_samples, levels=grid, seed=config.seed, progress=progress
    )
    drawn = vae.sample(SAMPLES, seed=config.seed).numpy()
    numbers = (bits.value, max(bits.stderr, bits.monte_carlo_stderr))
    rows.append(Row("VAE", *numbers, report["parameters"], report["train_seconds"], drawn))
    return Comparison(config.dataset, "bits per dimension", tuple(rows), test[:SAMPLES])


def _explicit(
    x: np.ndarray, held_out: np.ndarray, seed: int
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yields names of densities, and how each is fitted to examples [N, *event]."""
    size = math.prod(x.shape[1:])
    yield "normal", lambda: Normal(x)
    if size > 1:
        latents = [n for n in LATENTS if n < size]
        yield (
            "probabilistic PCA",
            lambda: _best([ProbabilisticPCA(x, n) for n in latents], held_out),
        )
    kind, components = ("full", COMPONENTS) if size <= LARGE else ("diag", DIAGONAL_COMPONENTS)
    yield (
        "Gaussian mixture",
        lambda: GaussianMixture.chosen(x[:MOST_FITTED], held_out, components, kind, seed),
    )


def _best(fitted: list, held_out: np.ndarray) -> Density:
    return max(fitted, key=lambda density: density.log_prob(held_out).mean())


def _timed(make: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return make(), time.perf_counter() - began


def _row(model: str, log_p, true, parameters, seconds: float, samples: np.ndarray) -> Row:
    """Returns a row of log p(x) [N], and of that under the truth, None if it is unknown."""

    def mean(values: np.ndarray) -> tuple[float, float]:
        return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))

    gap = (None, None) if true is None else mean(true - log_p)
    return Row(model, *mean(log_p), parameters, seconds, samples, *gap)


def _values(table: Table, x: np.ndarray) -> np.ndarray:
    """Returns rows in the units of the file, [N, D]."""
    return table.decode(x.astype("float32"))[table.names].to_numpy("float64")


def _written(truth: Any, output: Path, seed: int) -> Path:
    """Returns a file of rows drawn from a known density."""
    path = output / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(truth.columns)
        writer.writerows([[repr(float(v)) for v in row] for row in truth.sample(ROWS, seed)])
    return path


def _refuse_words_and_gaps(table: Table, gaps: bool) -> None:
    worded = [str(c.name) for c in table.modelled if c.kind not in ("real", "positive")]
    if worded:
        fix = f"Pass --kinds {worded[0]}=ignore, or =real where its numbers have an order."
        received = ", ".join(worded)
        raise DataError("Explicit densities need columns that are real or positive", received, fix)
    if gaps:
        fix = "Leave out the rows with gaps, or fill them."
        raise DataError("Explicit densities need complete rows", "missing values", fix)
