"""What a code is worth: PCA and the VAE on MNIST at equal size, by error and by two classifiers.

TFDS_DATA_DIR=... python benchmarks/representation.py            all that is not done yet
TFDS_DATA_DIR=... python benchmarks/representation.py picture    docs/images/representation.png
TFDS_DATA_DIR=... python benchmarks/representation.py page       the table of docs/results.md

A code of 2 to 64 numbers is a projection on principal components, or the mean of q(z|x). It is
judged by the mean squared error of the grey image made from it, by the test accuracy of nearest
neighbours, and by that of logistic regression. Both classifiers see the codes of all training
images. The number of neighbours and the VAE's likelihood were chosen on the validation images,
which are carved from the training images; the test images are looked at once, at the end of a
case. Each VAE trains on one thread for the same processor time. What was interrupted goes on
where it was.
"""

import json
import os
import sys
import time

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import common
import keras
import numpy as np
from budget import Budget
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vae_tf
from vae_tf.files import write_aside
from vae_tf.runs.build import build_model, kind_of
from vae_tf.runs.config import TrainConfig

ROOT = common.RESULTS.parents[1]
RESULT, MODELS = common.RESULTS / "representation.json", ROOT / "runs/benchmark_representation"
PICTURE = ROOT / "docs/images/representation.png"
DATA = "mnist"
DIMENSIONS, SEEDS = (2, 4, 8, 16, 32, 64), (0, 1)
SECONDS, LEARNING_RATE, BATCH = 40, 2e-3, 200
NEIGHBOURS = (1, 5, 15)
# By validation at 16 dimensions: the two lines of it are in the result
LIKELIHOODS = {"VAE": "bernoulli", "VAE, Gaussian": "gaussian-learned"}
COLUMNS = {
    "reconstruction_error": "mean squared error of a grey value",
    "knn_accuracy": "accuracy of nearest neighbours",
    "linear_accuracy": "accuracy of logistic regression",
}
CASES = [
    *(("PCA", size, 0) for size in DIMENSIONS),  # it has no seed
    ("VAE", 16, 0),
    ("VAE, Gaussian", 16, 0),
    *(("VAE", size, seed) for seed in SEEDS for size in DIMENSIONS),
]


def codes_of_pca(size: int, images) -> tuple[dict, float]:
    """Returns the codes of each split, and the test images' mean squared error."""
    x = {split: _rows(getattr(images, split).undrawn()) for split in ("train", "validation")}
    x["test"] = _rows(images.test.undrawn())
    pca = PCA(size, svd_solver="covariance_eigh").fit(x["train"])
    codes = {split: pca.transform(rows) for split, rows in x.items()}
    return codes, _error(pca.inverse_transform(codes["test"]), x["test"])


def codes_of_vae(method: str, size: int, seed: int, images) -> tuple[dict, float]:
    """Returns the same of a VAE, which is trained or goes on."""
    vae = trained(method, size, seed)
    codes = {}
    for split in ("train", "validation", "test"):
        x = getattr(images, split).undrawn()
        parts = np.array_split(x, 20)
        codes[split] = np.concatenate([vae.encode(part).mean().numpy() for part in parts])
    image = np.concatenate([vae.reconstruct(part).numpy() for part in parts])
    return codes, _error(image, x)


def trained(method: str, size: int, seed: int) -> vae_tf.VAE:
    """Returns the VAE of a case after its processor time."""
    path = MODELS / f"{method}, {size}, {seed}.keras".replace(", ", "_")
    MODELS.mkdir(parents=True, exist_ok=True)
    settings = TrainConfig(
        dataset=DATA,
        likelihood=LIKELIHOODS[method],
        network="mlp",
        latent_dim=size,
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        lr_schedule="constant",
        lr_warmup_epochs=0,
        seed=seed,
    )
    kind, budget = kind_of(settings), Budget(path, SECONDS, LEARNING_RATE)
    vae = build_model(settings, kind) if not budget.used else keras.models.load_model(path)
    steps = kind.data.train.steps_per_epoch(BATCH)
    start = int(vae.optimizer.iterations.numpy()) // steps
    if budget.used < SECONDS:
        batches = kind.data.train.training_batches(BATCH, seed, start)
        counts = {"steps_per_epoch": steps, "initial_epoch": start, "epochs": 10**6}
        vae.fit(batches, **counts, shuffle=False, verbose=0, callbacks=[budget])
    return vae


def accuracies(codes: dict, images) -> dict:
    """Returns what both classifiers reach on the codes, and the chosen number of neighbours."""
    labels = {split: getattr(images, split).labels for split in codes}
    found = {k: KNeighborsClassifier(k, algorithm="brute") for k in NEIGHBOURS}
    found = {k: near.fit(codes["train"], labels["train"]) for k, near in found.items()}
    scores = {k: near.score(codes["validation"], labels["validation"]) for k, near in found.items()}
    best = max(scores, key=scores.__getitem__)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    linear.fit(codes["train"], labels["train"])
    return {
        "neighbours": best,
        "validation_knn_accuracy": scores[best],
        "knn_accuracy": found[best].score(codes["test"], labels["test"]),
        "validation_linear_accuracy": linear.score(codes["validation"], labels["validation"]),
        "linear_accuracy": linear.score(codes["test"], labels["test"]),
    }


def measured(method: str, size: int, seed: int, images) -> dict:
    """Returns the line of a case."""
    pca = method == "PCA"
    codes, error = codes_of_pca(size, images) if pca else codes_of_vae(method, size, seed, images)
    line = {"method": method, "dimensions": size, "seed": seed, "reconstruction_error": error}
    return line | accuracies(codes, images)


def _rows(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def _error(made: np.ndarray, x: np.ndarray) -> float:
    return float(np.mean(np.square(np.asarray(made, "float64") - x)))


def picture(lines: list[dict]) -> Figure:
    """Returns the three measures by the size of the code."""
    figure = Figure((10, 3.2), dpi=130, layout="constrained")
    for axes, (key, title) in zip(figure.subplots(1, 3), COLUMNS.items(), strict=True):
        for method, marker in (("PCA", "o-"), ("VAE", "s-")):
            own = [line for line in lines if line["method"] == method]
            sizes = sorted({line["dimensions"] for line in own})
            found = [[x[key] for x in own if x["dimensions"] == size] for size in sizes]
            axes.plot(sizes, [np.mean(values) for values in found], marker, label=method, ms=4)
            low, high = [min(v) for v in found], [max(v) for v in found]
            axes.fill_between(sizes, low, high, alpha=0.2)
        axes.set_xscale("log", base=2)
        axes.set_xticks(DIMENSIONS, [str(size) for size in DIMENSIONS])
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("numbers in a code")
        axes.grid(alpha=0.3)
    figure.axes[0].set_yscale("log")
    figure.axes[0].legend()
    return figure


def page(lines: list[dict]) -> None:
    """Writes the table into docs/results.md."""
    text = "| numbers | method | seeds | squared error | neighbours | logistic regression |\n"
    text += "|---|---|---|---|---|---|\n"
    for size in DIMENSIONS:
        for method in ("PCA", *LIKELIHOODS):
            own = [x for x in lines if (x["dimensions"], x["method"]) == (size, method)]
            if own:
                cells = [common.spread([line[key] for line in own], 4) for key in COLUMNS]
                text += f"| {size} | {method} | {len(own)} | {' | '.join(cells)} |\n"
    common.write_table("representation", text)


def main(*asked: str) -> None:
    """Measures all cases that are not done, or draws the picture."""
    done = json.loads(RESULT.read_text()) if RESULT.exists() else []
    if asked == ("picture",):
        picture(done).savefig(PICTURE)
        return
    if asked == ("page",):
        page(done)
        return
    images = vae_tf.data.load(DATA)
    for method, size, seed in CASES:
        case = {"method": method, "dimensions": size, "seed": seed}
        if any(case.items() <= line.items() for line in done):
            continue
        began = time.process_time()
        line = measured(method, size, seed, images)
        line |= {"processor_seconds": time.process_time() - began, "commit": common.commit()}
        done.append(line)
        text = json.dumps(done, indent=2) + "\n"
        write_aside(RESULT, lambda path, text=text: path.write_text(text))
        print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
