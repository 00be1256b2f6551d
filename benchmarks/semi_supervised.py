"""Test errors on MNIST with 100 labels: M1, M2, M1+M2, and what is reached without them.

TFDS_DATA_DIR=... python benchmarks/semi_supervised.py            all that is not done yet
TFDS_DATA_DIR=... python benchmarks/semi_supervised.py m1m2 0     one method with one draw of labels
python benchmarks/semi_supervised.py page      the table of docs/semi_supervised.md, of the results

Labels are drawn with five seeds, equally many of each class, and all methods have the same ones.
Settings were chosen by the error on the validation images, which are carved from the training
images and never trained on; the test images are looked at once, at the end of each case. M1 is
trained once, as it sees no labels; its codes serve the nearest neighbours, the classifiers of codes
and M1+M2. What was interrupted goes on where it was: a case that is done is read from
results/semi_supervised.json, one that is not goes on after its last finished epoch.
"""

import dataclasses
import json
import os
import shutil
import sys
import time

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import common
import families_page
import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from vae_tf.files import write_aside
from vae_tf.networks import mlp_encoder
from vae_tf.recipes import recipe
from vae_tf.runs.build import kind_of
from vae_tf.runs.codes import first_stage
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.training import train

ROOT = common.RESULTS.parents[1]
RUNS, RESULT = ROOT / "runs/benchmark_semi_supervised", common.RESULTS / "semi_supervised.json"
LABELS, SEEDS = 100, range(5)
CODES = RUNS / "m1"  # the first stage of all runs of codes
EPOCHS_OF_CLASSIFIER = 300


def config(name: str, seed: int) -> TrainConfig:
    """Returns the settings of a recipe's run with one draw of the labels."""
    own = {"labels": LABELS, "label_seed": seed, "importance_samples": 0, "resume": True}
    return dataclasses.replace(recipe(name), **own, run_dir=str(RUNS / f"{name}_{seed}"))


def of_run(name: str, seed: int) -> float:
    """Returns the test error of a recipe's run, which is trained or goes on."""
    return train(config(name, seed))["test"]["class_error"]


def of_codes(seed: int) -> float:
    """Returns the test error of M1+M2, whose first stage is shared."""
    train_first_stage()
    link(config("m1m2", seed))
    return of_run("m1m2", seed)


def train_first_stage() -> None:
    """Trains M1, or goes on with it."""
    train(dataclasses.replace(first_stage(config("m1m2", 0)), run_dir=str(CODES)))


def on_labels_alone(seed: int) -> float:
    """Returns the test error of M2's classifier, trained on the labelled images alone."""
    settings = config("m2", seed)
    images = kind_of(settings).data
    known = images.train.labels >= 0
    x, y = images.train.undrawn()[known], images.train.labels[known]
    classifier = mlp_encoder(
        images.shape,
        1,
        settings.hidden,
        activation=settings.activation,
        dropout=settings.dropout,
        input_dropout=settings.input_dropout,
        outputs={"logits": (images.num_classes,)},
        seed=seed,
    )
    classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    classifier.fit(x, y, batch_size=LABELS, epochs=EPOCHS_OF_CLASSIFIER, verbose=0)
    logits = classifier.predict(images.test.undrawn(), verbose=0)["logits"]
    return float(np.mean(np.argmax(logits, 1) != images.test.labels))


def by_codes(model):
    """Returns a function of the seed to the test error of a model of scikit-learn on M1's codes."""

    def error(seed: int) -> float:
        train_first_stage()
        settings = dataclasses.replace(config("m1m2", seed), run_dir=str(RUNS / "codes"))
        link(settings)
        codes = kind_of(settings).data
        known = codes.train.labels >= 0
        fitted = model().fit(codes.train.undrawn()[known], codes.train.labels[known])
        return float(1 - fitted.score(codes.test.undrawn(), codes.test.labels))

    return error


def link(settings: TrainConfig) -> None:
    """Makes M1 the first stage of the settings' run."""
    home = RunDirectory(settings.run_dir)
    if not home.codes.exists():
        shutil.copytree(CODES, home.codes, ignore=shutil.ignore_patterns("logs", "*.lock"))


METHODS = {
    "classifier on the labels alone": on_labels_alone,
    "1 nearest neighbour on M1's codes": by_codes(lambda: KNeighborsClassifier(1)),
    "M1": by_codes(lambda: LogisticRegression(max_iter=5000)),
    "M1+M2": of_codes,
    "M2": lambda seed: of_run("m2", seed),
}
SHORT = {"labels": 0, "knn": 1, "m1": 2, "m1m2": 3, "m2": 4}  # names on the command line


def main(*asked: str) -> None:
    """Measures the cases that are asked for; without any, all that are not done."""
    methods = [list(METHODS)[SHORT[asked[0]]]] if asked else list(METHODS)
    seeds = [int(asked[1])] if len(asked) > 1 else SEEDS
    for method in methods:
        for seed in seeds:
            done = json.loads(RESULT.read_text()) if RESULT.exists() else []
            case = {"method": method, "labels": LABELS, "seed": seed}
            if any(case.items() <= line.items() for line in done):
                continue
            began = time.process_time()
            line = {**case, "test_error": METHODS[method](seed)}
            line |= {"processor_seconds": time.process_time() - began}  # of this process
            line |= {"commit": common.commit()}
            text = json.dumps([*done, line], indent=2) + "\n"
            write_aside(RESULT, lambda path, text=text: path.write_text(text))
            print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        families_page.main("semi_supervised")
    else:
        main(*sys.argv[1:])
