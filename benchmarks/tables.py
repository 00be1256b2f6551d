"""NLL of tables in the user's units: the VAE, a Gaussian fit, and the truth where it is known.

python benchmarks/tables.py
"""

import json
import math
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import common
import keras
import numpy as np
import pandas as pd
from sklearn import datasets

import vae_tf
from vae_tf.data import Table

SEEDS = (0, 1)
SAMPLES = 300
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


def gaussian_nll(table: Table, train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Returns the NLL of rows under the normal distribution of the training rows' numbers.

    Columns of words are independent of the others, with their frequencies (one added to each); a
    count is a number among the others.
    """
    fitted, held_out = table.encode(train), table.encode(test, unknown="missing")
    worded = [c.kind in ("binary", "category") for c in table.modelled]
    numbers, words = np.flatnonzero(~np.array(worded)), np.flatnonzero(worded)
    mean = fitted.x[:, numbers].mean(0)
    cov = np.cov(fitted.x[:, numbers].astype("float64"), rowvar=False)
    spread = np.diag(np.diag(cov))
    cov = 0.98 * np.atleast_2d(cov) + 0.02 * spread  # shrunk: some columns are all but sums
    away = held_out.x[:, numbers] - mean
    nll = 0.5 * np.sum(away * np.linalg.solve(cov, away.T).T, 1)
    nll += 0.5 * np.linalg.slogdet(2 * math.pi * cov)[1] - table.log_jacobian(held_out.x)
    for j in words:
        counts = np.bincount(fitted.x[:, j].astype(int), minlength=len(table.modelled[j].values))
        nll -= np.log((counts + 1) / (counts + 1).sum())[held_out.x[:, j].astype(int)]
    return nll


def vae_nll(table: Table, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """Returns the importance-weighted NLL of rows, as `train.py` would train for them."""
    likelihood, size = table.likelihood(), 8
    encoder = vae_tf.networks.mlp_encoder(
        table.shape, size, (128, 128), features=table.features, seed=seed
    )
    shapes = likelihood.parameter_shapes(table.shape)
    decoder = vae_tf.networks.mlp_decoder(size, shapes, (128, 128), seed=seed + 1)
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood, seed=seed)
    vae.compile(keras.optimizers.AdamW(2e-3, weight_decay=0.01))
    rows = np.random.default_rng(seed).permutation(len(train))
    cut = max(1, len(train) // 9)
    parts = (train.iloc[rows[cut:]], train.iloc[rows[:cut]])
    fitted, validation = (table.encode(part) for part in parts)
    stop = vae_tf.callbacks.EarlyStopping(patience=20, restore_best_weights=True)
    vae.fit(
        fitted, validation_data=validation, batch_size=64, epochs=150, verbose=0, callbacks=[stop]
    )
    held_out = table.encode(test, unknown="missing")
    found = vae_tf.log_likelihood(vae, held_out, SAMPLES, seed=seed)
    return -(found.per_example + table.log_jacobian(*held_out[:2]))


def records(data: str, frame: pd.DataFrame, truth=None, seeds=SEEDS) -> list[dict]:
    """Returns the NLL of both methods: mean over splits, and the standard error of that mean."""
    found: dict[str, list[float]] = {"vae": [], "gaussian": []}
    for seed in seeds:
        rows = np.random.default_rng(100 + seed).permutation(len(frame))
        cut = len(frame) // 5
        test, train = frame.iloc[rows[:cut]], frame.iloc[rows[cut:]]
        table = Table.from_frame(train)
        found["vae"].append(float(np.mean(vae_nll(table, train, test, seed))))
        found["gaussian"].append(float(np.mean(gaussian_nll(table, train, test))))
        print(
            data, seed, {name: round(values[-1], 3) for name, values in found.items()}, flush=True
        )
    result = []
    for method, values in found.items():
        error = float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
        result.append(_record(data, method, float(np.mean(values)), error))
    return result if truth is None else [*result, _record(data, "truth", *truth)]


def _record(data: str, method: str, value: float, stderr: float | None) -> dict:
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
