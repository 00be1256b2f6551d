"""Imputation of tables and digits, against mean, neighbours and iterative imputation.

python benchmarks/imputation.py [DATA]...    results/imputation.json, over SEEDS
python benchmarks/imputation.py explore      two other seeds, after several numbers of steps
python benchmarks/imputation.py page         the table of docs/missing_data.md, of the results

A share of the cells, or of the pixels, is hidden completely at random. Columns of tables have
mean 0 and variance 1 before. Each method learns from the cells that are left. It completes the
rows of a table that it learned from, and digits of the test set that it has not seen.

rmse: root mean square error of hidden cells; of black and white pixels that of their probability.
nll: -log p of a hidden cell, in nats, on average. Of a pixel it is that of the probability the
    method gives, none closer than EDGE to 0 or 1. Of a cell it is that of a normal distribution
    about what the method fills in. Its standard deviation is that of the VAE's imputations; of
    the other methods it is that of their errors in the column, on a fifth of the known cells
    hidden in addition.
coverage: how many hidden cells lie in the VAE's 90 % intervals.

The settings of the VAE were chosen with seeds that are not among SEEDS, and are the same for all
tables. `stderr` is over the seeds, of the mean.
"""

import itertools
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import common
import keras
import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

import vae_tf

TABLES, SHARES, DIGITS = ("breast_cancer", "diabetes", "wine"), (0.1, 0.3, 0.5), "binarized_mnist"
SEEDS, OTHER_SEEDS = range(5), (100, 101)
TRAIN_DIGITS, TEST_DIGITS = 20_000, 1000  # neighbours and regressions take long for more
EDGE = 0.01
LEVEL, IMPUTATIONS, SAMPLES = 0.9, 200, 1000
METHOD = "VAE, IWAE objective"


@dataclass(frozen=True)
class Problem:
    """Rows to learn from, and rows to complete.

    Attributes:
        data: their name.
        learned_from: [N, D], NaN where hidden.
        x: [M, D], complete.
        known: bool [M, D].
        black_and_white: whether cells are 0 or 1.
    """

    data: str
    learned_from: np.ndarray
    x: np.ndarray
    known: np.ndarray
    black_and_white: bool = False

    @property
    def gaps(self) -> np.ndarray:
        """Rows to complete, NaN where hidden."""
        return np.where(self.known, self.x, np.nan)

    def scores(self, filled: np.ndarray, scale: np.ndarray | None) -> dict[str, float]:
        """Returns the errors of what was filled in, [M, D], whose standard deviation is `scale`."""
        hidden = ~self.known
        x, mean = self.x[hidden], filled[hidden]
        if self.black_and_white:
            p = np.clip(mean, EDGE, 1 - EDGE)
            nll = -np.log(np.where(x > 0.5, p, 1 - p))
        else:
            assert scale is not None
            sd = np.broadcast_to(scale, hidden.shape)[hidden]
            nll = 0.5 * np.square((x - mean) / sd) + np.log(sd) + 0.5 * np.log(2 * np.pi)
        rmse = float(np.sqrt(np.mean(np.square(mean - x))))
        return {"rmse": rmse, "nll": float(np.mean(nll))}


@dataclass(frozen=True)
class Settings:
    """Of a VAE and its training."""

    latent_dim: int
    hidden: tuple[int, ...]
    steps: int
    batch: int
    draws: int
    weight_decay: float
    learning_rate: float
    min_scale: float = 0.0


def settings_of(problem: Problem) -> Settings:
    """Returns one setting for all tables, and one for digits."""
    if problem.black_and_white:
        return Settings(20, (500, 500), 5000, 100, 5, 0.2, 1e-3)
    latent_dim = -(-problem.x.shape[1] // 2)
    return Settings(latent_dim, (64,), 8000, 64, 20, 0.1, 2e-3, min_scale=0.2)


class Model:
    """A VAE that can be trained anew without being compiled anew."""

    def __init__(self, problem: Problem, settings: Settings):
        likelihood = (
            vae_tf.likelihoods.Bernoulli()
            if problem.black_and_white
            else vae_tf.likelihoods.GaussianPixelScale(min_scale=settings.min_scale)
        )
        shape, size = problem.x.shape[1:], settings.latent_dim
        outputs = likelihood.parameter_shapes(shape)
        encoder = vae_tf.networks.mlp_encoder(shape, size, settings.hidden, mask=True)
        decoder = vae_tf.networks.mlp_decoder(
            size, outputs, settings.hidden, shortcut=not problem.black_and_white
        )
        self.vae = vae_tf.VAE(
            encoder,
            decoder,
            likelihood=likelihood,
            objective=vae_tf.objectives.IWAE(settings.draws),
            missing="nan",
        )
        self.vae.compile(
            keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        )
        self.vae.optimizer.build(self.vae.trainable_variables)
        rate = self.vae.optimizer.learning_rate
        self.first, self.settings = self.vae.get_weights(), settings
        self.others = [(v, v.numpy()) for v in self.vae.optimizer.variables if v is not rate]

    def restart(self) -> None:
        """Forgets what was learned."""
        self.vae.set_weights(self.first)
        for variable, value in self.others:
            variable.assign(value)

    def train(self, problem: Problem, steps: int, seed: int) -> None:
        """Trains for so many steps, epoch by epoch in orders of their own."""
        x, size = problem.learned_from.astype("float32"), steps * self.settings.batch
        rng = np.random.default_rng(seed)
        order = [rng.permutation(len(x)) for _ in range(-(-size // len(x)))]
        rows = x[np.concatenate(order)[:size]]
        self.vae.fit(rows, batch_size=self.settings.batch, shuffle=False, verbose=0)

    def scores(self, problem: Problem) -> dict[str, float]:
        """Returns the errors of the VAE."""
        times = 0 if problem.black_and_white else IMPUTATIONS
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Of .* incomplete examples"
            )  # `median effective draws`
            answer = self.vae.impute(problem.gaps, num_samples=SAMPLES, num_imputations=times)
        found = {"median effective draws": float(np.median(answer.effective_sample_size))}
        if not times:
            return problem.scores(answer.x, None) | found
        low, high = answer.interval(LEVEL)
        inside = ((low <= problem.x) & (problem.x <= high))[~problem.known]
        found["coverage of 90% intervals"] = float(inside.mean())
        return problem.scores(answer.x, np.maximum(answer.draws.std(0), 1e-3)) | found


def others_of(problem: Problem) -> dict[str, Callable[[], Any]]:
    """Returns the other methods; of 784 pixels each is regressed on a hundred."""
    few = (
        {"max_iter": 5, "n_nearest_features": 100} if problem.black_and_white else {"max_iter": 20}
    )
    return {
        "mean": SimpleImputer,
        "5 nearest neighbours": KNNImputer,
        "20 nearest neighbours": lambda: KNNImputer(n_neighbors=20),
        "iterative": lambda: IterativeImputer(random_state=0, **few),
    }


def scores_of_others(problem: Problem, seed: int) -> dict[str, dict[str, float]]:
    """Returns the errors of the other methods, by their names."""
    found, learned_from = {}, problem.learned_from
    for name, make in others_of(problem).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            filled, scale = make().fit(learned_from).transform(problem.gaps), None
            if not problem.black_and_white:
                known = ~np.isnan(learned_from)
                more = known & (np.random.default_rng([seed, 1]).random(known.shape) < 0.2)
                again = make().fit_transform(np.where(more, np.nan, learned_from))
                away = np.where(more, again - learned_from, 0.0)
                scale = np.sqrt(np.sum(np.square(away), 0) / more.sum(0))
        found[name] = problem.scores(filled, scale)
    return found


def problem_of(data: str, share: float, seed: int) -> Problem:
    """Returns a table, or digits, and which cells are known."""
    rng = np.random.default_rng(seed)
    name = f"{data}, {share:.0%} missing"
    if data != DIGITS:
        x = getattr(datasets, f"load_{data}")().data
        x = (x - x.mean(0)) / x.std(0)
        known = rng.random(x.shape) >= share
        return Problem(name, np.where(known, x, np.nan), x, known)
    images = vae_tf.data.load(DIGITS)
    held_out = images.test if seed in SEEDS else images.validation
    train, test = (
        split.array()[rng.permutation(split.num_examples)[:number]].reshape(number, -1)
        for split, number in ((images.train, TRAIN_DIGITS), (held_out, TEST_DIGITS))
    )
    hidden = rng.random(train.shape) < share
    known = rng.random(test.shape) >= share
    return Problem(name, np.where(hidden, np.nan, train), test, known, black_and_white=True)


def lines_of(data: str, share: float) -> list[dict]:
    """Returns the lines of a table, or of digits, with so many gaps."""
    found: dict[tuple[str, str], list[float]] = {}
    model: Model | None = None
    for seed in SEEDS:
        problem = problem_of(data, share, seed)
        model = model or Model(problem, settings_of(problem))
        model.restart()
        model.train(problem, model.settings.steps, seed)
        scores = {**scores_of_others(problem, seed), METHOD: model.scores(problem)}
        for method, values in scores.items():
            for metric, value in values.items():
                found.setdefault((method, metric), []).append(value)
    lines = []
    for (method, metric), values in found.items():
        stderr = float(np.std(values, ddof=1) / np.sqrt(len(values)))
        line = {"data": problem.data, "method": method, "metric": metric}
        lines.append(
            {**line, "value": round(float(np.mean(values)), 4), "stderr": round(stderr, 4)}
        )
    return lines


def explore(*names: str) -> None:
    """Prints errors of the other seeds along training."""
    for data, share in cases(names):
        problems = [problem_of(data, share, seed) for seed in OTHER_SEEDS]
        print(problems[0].data, flush=True)
        if data != DIGITS:
            for method, values in scores_of_others(problems[0], OTHER_SEEDS[0]).items():
                print(f"  {method} {values}", flush=True)
        settings = settings_of(problems[0])
        model, start = Model(problems[0], settings), time.process_time()
        for seed, problem in zip(OTHER_SEEDS, problems, strict=True):
            model.restart()
            for part in range(4):
                model.train(problem, settings.steps // 2, seed + part)
                print(f"  {settings.steps * (part + 1) // 2} {model.scores(problem)}", end="")
                print(f" {time.process_time() - start:.0f} s", flush=True)


def cases(names: tuple[str, ...]) -> list[tuple[str, float]]:
    """Returns data and shares, those of the names if there are any."""
    every = [(DIGITS, 0.5), *itertools.product(TABLES, SHARES)]
    return [(data, share) for data, share in every if not names or data in names]


def page() -> None:
    """Writes errors and NLLs into the tables of docs/missing_data.md."""
    lines = json.loads((common.RESULTS / "imputation.json").read_text())
    covered = {x["data"]: x for x in lines if x["metric"].startswith("coverage")}
    text = ""
    for metric, suffix in {"rmse": "", "nll": ", NLL"}.items():
        errors = [line for line in lines if line["metric"] == metric]
        methods = list(dict.fromkeys(line["method"] for line in errors))
        heading = ["data", *methods, *(["its coverage"] if metric == "rmse" else [])]
        text += f"| {' | '.join(heading)} |\n{'|---' * len(heading)}|\n"
        for data in sorted({line["data"] for line in errors}):
            own = {line["method"]: line for line in errors if line["data"] == data}
            cells = [f"{own[m]['value']:.4f} ± {own[m]['stderr']:.4f}" for m in methods]
            if metric == "rmse":
                known = covered.get(data)
                share = "" if known is None else f"{known['value']:.1%} ± {known['stderr']:.1%}"
                cells.append(share)
            text += f"| {data}{suffix} | {' | '.join(cells)} |\n"
        text += "\n" if metric == "rmse" else ""
    path = common.RESULTS.parents[1] / "docs/missing_data.md"
    common.write_table("imputation", text, path)


def main(*names: str) -> None:
    """Writes the results after each case, so that a run that is ended leaves what it has."""
    path = common.RESULTS / "imputation.json"
    for data, share in cases(names):
        found = lines_of(data, share)
        kept = json.loads(path.read_text()) if path.exists() else []
        kept = [line for line in kept if line["data"] != found[0]["data"]]
        path.write_text(json.dumps([*kept, *found], indent=2) + "\n")
        print(found[0]["data"], flush=True)


if __name__ == "__main__":
    _words = sys.argv[1:]
    _others: dict[str, Callable[..., None]] = {"explore": explore, "page": page}
    if _words and _words[0] in _others:
        _others[_words[0]](*_words[1:])
    else:
        main(*_words)
