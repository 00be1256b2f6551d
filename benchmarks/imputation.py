"""Imputation of three tables of scikit-learn's, against mean, neighbours and iterative imputation.

python benchmarks/imputation.py              all of results/imputation.json, over SEEDS
python benchmarks/imputation.py explore      one other seed, after several numbers of steps
python benchmarks/imputation.py page         the table of docs/missing_data.md, of the results

Of each table a share of the cells is hidden completely at random. Columns have mean 0 and variance
1 before; RMSE is over the hidden cells, in these units. The VAE trains on the cells that are left,
with one setting for all tables, chosen with a seed that is not among SEEDS; it imputes the rows it
was trained on, as the other methods do. `stderr` is over the seeds, of the mean.
"""

import json
import os
import sys
import time

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import common
import keras
import numpy as np
from sklearn import datasets
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

import vae_tf

DATA = ("breast_cancer", "diabetes", "wine")
SHARES, SEEDS, OTHER_SEED = (0.1, 0.3, 0.5), range(5), 100
LATENT_DIM, HIDDEN, MIN_SCALE, DRAWS = 8, (64,), 0.3, 20
BATCH, STEPS, LEARNING_RATE, SAMPLES = 64, 2000, 2e-3, 1000
LEVEL, IMPUTATIONS = 0.9, 200
BEGIN, END = "<!-- benchmarks/imputation.py writes this -->", "<!-- to here -->"
OTHERS = {
    "mean": SimpleImputer,
    "5 nearest neighbours": KNNImputer,
    "20 nearest neighbours": lambda: KNNImputer(n_neighbors=20),
    "iterative": lambda: IterativeImputer(max_iter=20, random_state=0),
}


class Model:
    """A VAE of a table, which can be trained anew without being compiled anew."""

    def __init__(self, columns: int):
        likelihood = vae_tf.likelihoods.GaussianPixelScale(min_scale=MIN_SCALE)
        encoder = vae_tf.networks.mlp_encoder((columns,), LATENT_DIM, HIDDEN, mask=True)
        decoder = vae_tf.networks.mlp_decoder(
            LATENT_DIM, likelihood.parameter_shapes((columns,)), HIDDEN
        )
        self.vae = vae_tf.VAE(
            *(encoder, decoder),
            likelihood=likelihood,
            objective=vae_tf.objectives.IWAE(DRAWS),
            missing="nan",
        )
        self.vae.compile(keras.optimizers.Adam(LEARNING_RATE))
        self.vae.optimizer.build(self.vae.trainable_variables)
        rate = self.vae.optimizer.learning_rate
        self.first = self.vae.get_weights()
        self.others = [(v, v.numpy()) for v in self.vae.optimizer.variables if v is not rate]

    def restart(self) -> None:
        """Forgets what was learned."""
        self.vae.set_weights(self.first)
        for variable, value in self.others:
            variable.assign(value)

    def train(self, x, steps: int, seed: int) -> None:
        """Trains for so many steps on rows with NaN."""
        rows = tile(x.astype("float32"), seed, steps * BATCH)
        self.vae.fit(rows, batch_size=BATCH, shuffle=False, verbose=0)


def tile(x: np.ndarray, seed: int, size: int) -> np.ndarray:
    """Returns `size` rows, epoch by epoch in orders of their own."""
    rng = np.random.default_rng(seed)
    epochs = -(-size // len(x))
    return x[np.concatenate([rng.permutation(len(x)) for _ in range(epochs)])[:size]]


def table(name: str, share: float, seed: int):
    """Returns a table, which of its cells are known, and it with NaN in place of the others."""
    x = getattr(datasets, f"load_{name}")().data
    x = (x - x.mean(0)) / x.std(0)
    known = np.random.default_rng(seed).random(x.shape) >= share
    return x, known, np.where(known, x, np.nan)


def rmse(found, x, known) -> float:
    """Returns the root mean square error of the hidden cells."""
    return float(np.sqrt(np.mean(np.square(found - x)[~known])))


def entry(name: str, share: float, method: str, metric: str, values: list[float]) -> dict:
    """Returns a line of the results."""
    stderr = np.std(values, ddof=1) / np.sqrt(len(values))
    where = f"{name}, {share:.0%} missing"
    line = {"data": where, "method": method, "metric": metric}
    return {**line, "value": round(float(np.mean(values)), 4), "stderr": round(float(stderr), 4)}


def measured(name: str, share: float, model: Model) -> list[dict]:
    """Returns the lines of one table with so many gaps."""
    found: dict[tuple[str, str], list[float]] = {}
    for seed in SEEDS:
        x, known, gaps = table(name, share, seed)
        for method, make in OTHERS.items():
            error = rmse(make().fit_transform(gaps), x, known)
            found.setdefault((method, "rmse"), []).append(error)
        model.restart()
        model.train(gaps, STEPS, seed)
        answer = model.vae.impute(gaps, num_samples=SAMPLES, num_imputations=IMPUTATIONS)
        low, high = answer.interval(LEVEL)
        mine = {
            "rmse": rmse(answer.x, x, known),
            "coverage of 90% intervals": float(((low <= x) & (x <= high))[~known].mean()),
            "median effective draws": float(np.median(answer.effective_sample_size)),
        }
        for metric, value in mine.items():
            found.setdefault(("VAE, IWAE objective", metric), []).append(value)
    return [entry(name, share, *key, values) for key, values in found.items()]


def explore() -> None:
    """Prints errors of the other seed along training."""
    for name in DATA:
        x, known, gaps = table(name, 0.5, OTHER_SEED)
        others = {
            m: round(rmse(make().fit_transform(gaps), x, known), 3) for m, make in OTHERS.items()
        }
        print(name, others, flush=True)
        model, done = Model(x.shape[1]), 0
        for steps in (300, 700, 1000, 2000):
            start = time.process_time()
            model.train(gaps, steps, done)
            done += steps
            answer = model.vae.impute(gaps, num_samples=200)
            few = np.median(answer.effective_sample_size)
            print(f"  {done} {rmse(answer.x, x, known):.3f} {few:.0f}", end="")
            print(f" {time.process_time() - start:.1f} s", flush=True)


def page() -> None:
    """Writes the errors into the table of docs/missing_data.md."""
    lines = json.loads((common.RESULTS / "imputation.json").read_text())
    errors = [line for line in lines if line["metric"] == "rmse"]
    methods = list(dict.fromkeys(line["method"] for line in errors))
    covered = {x["data"]: x for x in lines if x["metric"].startswith("coverage")}
    rows = [f"| data | {' | '.join(methods)} | its coverage |", "|---" * (2 + len(methods)) + "|"]
    for data in dict.fromkeys(line["data"] for line in errors):
        own = {line["method"]: line for line in errors if line["data"] == data}
        cells = [f"{own[m]['value']:.3f} ± {own[m]['stderr']:.3f}" for m in methods]
        cells.append(f"{covered[data]['value']:.1%} ± {covered[data]['stderr']:.1%}")
        rows.append(f"| {data} | {' | '.join(cells)} |")
    path = common.RESULTS.parents[1] / "docs/missing_data.md"
    before, _, rest = path.read_text("utf-8").partition(BEGIN)
    path.write_text(
        f"{before}{BEGIN}\n{chr(10).join(rows)}\n{END}{rest.partition(END)[2]}", "utf-8"
    )


def main() -> None:
    """Writes the results after each table, so that a run that is ended leaves what it has."""
    lines: list[dict] = []
    for share in sorted(SHARES, reverse=True):
        for name in DATA:
            x, *_ = table(name, share, 0)
            lines += measured(name, share, Model(x.shape[1]))
            path = common.RESULTS / "imputation.json"
            path.write_text(json.dumps(lines, indent=2) + "\n")
            print(name, share, flush=True)


if __name__ == "__main__":
    {"explore": explore, "page": page}.get((sys.argv[1:] or [""])[0], main)()
