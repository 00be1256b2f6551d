"""NLL of tables in the user's units: `train.py`, a normal distribution, and the truth if known.

python benchmarks/tables.py
"""

import dataclasses
import json
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import common
import numpy as np
import pandas as pd
from sklearn import datasets

from vae_tf.data.tables.table_data import TableData, load_table
from vae_tf.recipes import recipe
from vae_tf.runs.training import train

SEEDS = range(5)  # of splits, a tenth of the rows for the test, and of trainings
CENTRES = np.array([[-2.0, 0.0], [2.0, 1.5], [0.0, -2.5]])
CHOICE = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
RATES = np.array([2.0, 8.0, 20.0])


def mixture(rows: int, seed: int) -> tuple[pd.DataFrame, float]:
    """Returns rows of a known mixture of three components, and their mean NLL under it."""
    rng = np.random.default_rng(seed)
    k = rng.integers(3, size=rows)
    numbers = CENTRES[k] + 0.7 * rng.normal(size=(rows, 2))
    colour = np.array([rng.choice(3, p=CHOICE[i]) for i in k])
    count = rng.poisson(RATES[k])
    log_p = -0.5 * np.square((numbers[:, None] - CENTRES) / 0.7).sum(-1)
    log_p -= 2 * math.log(0.7) + math.log(2 * math.pi)
    log_p += np.log(CHOICE[:, colour].T)
    factorial = np.array([math.lgamma(n + 1) for n in count])
    log_p += count[:, None] * np.log(RATES) - RATES - factorial[:, None]
    # The first number in a unit of its own, 1 of it being exp(1) of the user's, and shifted
    frame = pd.DataFrame(
        {
            "length": np.exp(numbers[:, 0]),
            "level": 100 + 25 * numbers[:, 1],
            "colour": np.array(["red", "green", "blue"])[colour],
            "visits": count,
        }
    )
    jacobian = -numbers[:, 0] - math.log(25)
    log_p = np.log(np.mean(np.exp(log_p), 1)) + jacobian
    return frame, -float(np.mean(log_p))


def real_tables() -> dict[str, pd.DataFrame]:
    """Returns scikit-learn's tables, classes among their columns."""
    found = {}
    for name in ("wine", "breast_cancer", "diabetes"):
        data = getattr(datasets, f"load_{name}")(as_frame=True)
        frame = data.frame
        if name != "diabetes":
            frame["target"] = data.target_names[frame["target"]]
        found[name] = frame
    return found


def gaussian_nll(data: TableData) -> np.ndarray:
    """Returns the NLL of the test rows under the normal distribution of the training rows' numbers.

    Columns of words are independent of the others, with their frequencies (one added to each); a
    count is a number among the others.
    """
    columns, fitted, held_out = data.table.modelled, data.train.array(), data.test.array()
    worded = np.array([column.kind in ("binary", "category") for column in columns])
    numbers, words = np.flatnonzero(~worded), np.flatnonzero(worded)
    mean = fitted[:, numbers].mean(0)
    cov = np.cov(fitted[:, numbers].astype("float64"), rowvar=False)
    spread = np.diag(np.diag(cov))
    cov = 0.98 * np.atleast_2d(cov) + 0.02 * spread  # shrunk: some columns are all but sums
    away = held_out[:, numbers] - mean
    nll = 0.5 * np.sum(away * np.linalg.solve(cov, away.T).T, 1)
    nll += 0.5 * np.linalg.slogdet(2 * math.pi * cov)[1] - data.table.log_jacobian(held_out)
    for j in words:
        counts = np.bincount(fitted[:, j].astype(int), minlength=len(columns[j].values))
        nll -= np.log((counts + 1) / (counts + 1).sum())[held_out[:, j].astype(int)]
    return nll


def nll_of_run(file: Path, seed: int) -> dict[str, float]:
    """Returns the test NLL of `train.py --dataset table:FILE`, and of the normal distribution."""
    run_dir = file.parent / f"run-{seed}"
    config = dataclasses.replace(
        recipe("table"), dataset=f"table:{file}", run_dir=str(run_dir), seed=seed
    )
    vae = train(config)["test"]["importance_weighted_nll"]
    gaussian = float(np.mean(gaussian_nll(load_table(str(file), seed=seed))))
    shutil.rmtree(run_dir)
    return {"vae": vae, "gaussian": gaussian, "vae - gaussian": vae - gaussian}


def records(data: str, frame: pd.DataFrame, truth=None) -> list[dict]:
    """Returns the NLL of both methods, and by how much they differ on the same rows.

    Means over splits, and the standard errors of these means.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "table.csv")
        frame.to_csv(file, index=False)
        splits = []
        for seed in SEEDS:
            splits.append(nll_of_run(file, seed))
            print(data, seed, {k: round(v, 3) for k, v in splits[-1].items()}, flush=True)
    result = []
    for method in splits[0]:
        values = [split[method] for split in splits]
        error = float(np.std(values, ddof=1) / math.sqrt(len(values)))
        result.append(_record(data, method, float(np.mean(values)), error))
    return result if truth is None else [*result, _record(data, "truth", *truth)]


def _record(data: str, method: str, value: float, stderr: float) -> dict:
    metric = "nll, nats a row in the user's units"
    return {"data": data, "method": method, "metric": metric, "value": value, "stderr": stderr}


def main(*names: str) -> None:
    """Measures the tables that are named, or all, and writes benchmarks/results/tables.json."""
    path = common.RESULTS / "tables.json"
    result = json.loads(path.read_text()) if path.exists() else []
    frame, _ = mixture(2000, seed=0)
    truth = [mixture(50_000, seed=seed)[1] for seed in range(1, 5)]  # the entropy, Monte Carlo
    known = (float(np.mean(truth)), float(np.std(truth, ddof=1) / 2))
    for name, rows in {"mixture": frame, **real_tables()}.items():
        if names and name not in names:
            continue
        found = records(name, rows, known if name == "mixture" else None)
        result = [*(r for r in result if r["data"] != name), *found]
        path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
