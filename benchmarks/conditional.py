"""What a label is worth: test NLL of one network on MNIST, given the label and not.

TFDS_DATA_DIR=... python benchmarks/conditional.py              all that is not done yet
TFDS_DATA_DIR=... python benchmarks/conditional.py label        one of the two models; or `none`

Both are what `train.py --dataset mnist` builds, with one diagonal normal as prior: N(0, I), or one
for each label with `--condition label`. Each trains on one thread for the same processor time,
which a busy machine does not falsify, with a step size that falls as a cosine of the time used.
What was interrupted goes on where it was. The test images are looked at once, at the end.
"""

import json
import math
import os
import sys

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import common
import keras
import numpy as np
from budget import Budget

import vae_tf
from vae_tf import plots
from vae_tf.environment import versions
from vae_tf.runs.build import build_model, kind_of
from vae_tf.runs.config import TrainConfig

ROOT = common.RESULTS.parents[1]
MODELS, PICTURE = ROOT / "runs/benchmark_conditional", ROOT / "docs/images/conditional.png"
SECONDS, LEARNING_RATE = 150, 2e-3
TEST, SAMPLES = 10_000, 500  # test images, and importance samples of each
BATCH = 250
CASES = {"label": "test_nll", "none": "test_nll_unconditional"}
PRIORS = {"label": "conditional", "none": "normal"}
STYLES = 12  # columns of the picture


def config(condition: str) -> TrainConfig:
    """Returns the settings of one of the models."""
    settings = {"learning_rate": LEARNING_RATE, "lr_schedule": "constant", "lr_warmup_epochs": 0}
    prior = PRIORS[condition]
    mnist = {"dataset": "mnist", "likelihood": "bernoulli", "batch_size": 250, "weight_decay": 0.2}
    return TrainConfig(condition=condition, prior=prior, **(mnist | settings))


def train(condition: str) -> None:
    """Trains one of the models, or goes on with it."""
    settings, path = config(condition), MODELS / f"{condition}.keras"
    MODELS.mkdir(parents=True, exist_ok=True)
    kind, budget = kind_of(settings), Budget(path, SECONDS, LEARNING_RATE)
    vae = build_model(settings, kind) if not budget.used else keras.models.load_model(path)
    images, size = kind.data, settings.number("batch_size")
    steps = images.train.steps_per_epoch(size)
    start = int(vae.optimizer.iterations.numpy()) // steps
    if budget.used < SECONDS:
        vae.fit(
            images.train.training_batches(size, 0, start, labels=condition == "label"),
            steps_per_epoch=steps,
            initial_epoch=start,
            epochs=10**6,
            shuffle=False,
            verbose=0,
            callbacks=[budget],
        )


def score(condition: str) -> tuple[vae_tf.VAE, dict, vae_tf.evaluation.LogLikelihood]:
    """Returns a trained model, its bound and its likelihood on the test images."""
    images = kind_of(config(condition)).data
    vae = keras.models.load_model(MODELS / f"{condition}.keras")
    batches = images.test.batches(BATCH, labels=condition == "label").take(TEST // BATCH)
    bound = vae.evaluate(batches, return_dict=True, verbose=0)
    kept = MODELS / f"{condition}.npz"
    return vae, bound, vae_tf.log_likelihood(vae, batches, SAMPLES, checkpoint=kept)


def collected() -> dict:
    """Returns the numbers of both models, and draws the picture."""
    result: dict = {"data": "mnist"}
    per_example = {}
    for condition, name in CASES.items():
        vae, bound, found = score(condition)
        per_example[condition] = found.per_example
        done = json.loads((MODELS / f"{condition}.json").read_text())
        result |= {
            name: found.nll,
            f"{name}_stderr": found.stderr,
            name.replace("nll", "elbo"): bound["elbo"],
            f"{condition}_model": {
                "prior": PRIORS[condition],
                "monte_carlo_stderr": found.monte_carlo_stderr,
                "test_kl": bound["kl"],
                "parameters": vae.count_params(),
                "processor_seconds": done["seconds"],
                "steps": done["steps"],
            },
        }
        if condition == "label":
            draw(vae)
    gain = per_example["label"] - per_example["none"]
    same = {n: v for n, v in config("label").identity().items() if n not in ("condition", "prior")}
    return {
        **result,
        "gain": float(np.mean(gain)),
        "gain_stderr": float(np.std(gain, ddof=1) / math.sqrt(len(gain))),
        "test_examples": len(gain),
        "importance_samples": SAMPLES,
        "processor_seconds": SECONDS,
        "binarization": "dynamic; of the test images one draw",
        "config": same,
        "versions": versions(),
    }


def draw(vae: vae_tf.VAE) -> None:
    """Writes the picture of the page: a row a digit, a column a style."""
    noise = np.random.default_rng(3).normal(size=(STYLES, vae.prior.latent_dim)).astype("float32")
    classes = np.repeat(np.arange(10), STYLES)
    z = vae.prior.from_noise(np.tile(noise, (10, 1)), None, classes)
    images = vae.decode(z, condition=classes).mean().numpy()
    figure = plots.image_grid(images.reshape(10, STYLES, *images.shape[1:]))
    figure.savefig(PICTURE, dpi=60)


def main(*conditions: str) -> None:
    """Trains and scores the models that are asked for; without any, both, and writes it down."""
    for condition in conditions or CASES:
        train(condition)
        score(condition)
    if not conditions:
        print(common.write("conditional", collected()))


if __name__ == "__main__":
    main(*sys.argv[1:])
