"""The recipe `flagship`: what its ingredients bring, its training, and its score.

TFDS_DATA_DIR=... python benchmarks/flagship.py main [FLAGS]        trains and scores, or goes on
TFDS_DATA_DIR=... python benchmarks/flagship.py scoring MODEL       times the scoring of some images
TFDS_DATA_DIR=... python benchmarks/flagship.py ablate              all that is not measured yet
TFDS_DATA_DIR=... python benchmarks/flagship.py ablate NAME ...     these, anew
python benchmarks/flagship.py page                     their table in docs/hierarchical.md

The run is in runs/flagship, or where FLAGSHIP_RUN says. Both its training, epoch by epoch, and the
importance sampling of its test images, batch by batch, go on where they were interrupted.

Each case of the ablation departs from the recipe in one thing and trains on one thread for the same
processor time, with a step size that falls to 0 within it. The numbers are those of the validation
images.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import common
import keras
import numpy as np
from budget import Budget

import train
import vae_tf
from vae_tf import data, evaluation
from vae_tf.data.batch import Batch
from vae_tf.objectives import groups_of, kl_parts
from vae_tf.recipes import RECIPES
from vae_tf.runs.build import build_model, kind_of
from vae_tf.runs.training import load_run

ROOT = common.RESULTS.parents[1]
RUN = Path(os.environ.get("FLAGSHIP_RUN", ROOT / "runs/flagship"))
STATES = ROOT / "runs/benchmark_flagship"
SECONDS = float(os.environ.get("SECONDS_OF_EACH", 240))
SCORED, SAMPLES = 1000, 100  # validation images, and draws for each
RECIPE = RECIPES["flagship"]
CASES: dict[str, tuple[str, dict]] = {  # what the page calls it, and what it changes
    "recipe": ("the recipe", {}),
    "fine_maps": (
        "latents 32; 7 x 7 x 4; 14 x 14 x 2",
        {"latents": (32, 4, 2), "filters": (32, 48, 64)},
    ),
    "one_group_of_maps": ("latents 32; 7 x 7 x 4", {"latents": (32, 4), "filters": (32, 48, 64)}),
    "one_group_of_fine_maps": (
        "latents 32; 14 x 14 x 2",
        {"latents": (32, 2), "filters": (32, 48)},
    ),
    "dense": (
        "latents 32; 40, dense layers of 500 units",
        {"network": "mlp", "latents": (32, 40), "hidden": (500, 500)},
    ),
    "float32": ("float32 in place of bfloat16", {"precision": "float32"}),
    "normal_prior": ("a standard normal at the top", {"prior": "normal"}),
    "batches_of_250": (
        "batches of 250, twice the step size",
        {"batch_size": 250, "learning_rate": 2e-3},
    ),
    "twice_the_step_size": ("twice the step size", {"learning_rate": 2e-3}),
    "no_weight_decay": ("no weight decay", {"weight_decay": 0.0}),
}


def measure(name: str) -> dict:
    """Returns the entry of one case."""
    # The warm-up would outlast so short a training, whose step size the budget sets
    short = {"beta_warmup_epochs": 0, "lr_schedule": "constant", "lr_warmup_epochs": 0}
    config = dataclasses.replace(RECIPE, **short, **CASES[name][1])
    kind = kind_of(config)
    vae, images = build_model(config, kind), kind.data
    STATES.mkdir(parents=True, exist_ok=True)
    path = STATES / f"{name}.keras"
    path.with_suffix(".json").unlink(missing_ok=True)
    budget = Budget(path, SECONDS, float(config.learning_rate))
    vae.fit(
        kind.training_batches(config, 0),
        steps_per_epoch=kind.steps_per_epoch(config),
        epochs=10**6,
        shuffle=False,
        verbose=0,
        callbacks=[budget],
    )
    validation, some = images.validation.array(), images.train.array(10_000)
    bounds = {
        "validation": vae.evaluate(validation, batch_size=250, return_dict=True, verbose=0),
        "train": vae.evaluate(some, batch_size=250, return_dict=True, verbose=0),
    }
    found = evaluation.log_likelihood(vae, validation[:SCORED], SAMPLES)
    steps = int(vae.optimizer.iterations.numpy())
    return {
        "name": name,
        "changes": CASES[name][1],
        "validation_elbo": bounds["validation"]["elbo"],
        "validation_kl": bounds["validation"]["kl"],
        "validation_nll": found.nll,
        "train_elbo": bounds["train"]["elbo"],
        "kl_by_group": kl_by_group(vae, validation),
        "epochs": steps / kind.steps_per_epoch(config),
        "images_per_processor_second": steps * config.number("batch_size") / budget.used,
        "processor_seconds": budget.used,
        "scored": SCORED,
        "importance_samples": SAMPLES,
        "parameters": vae.count_params(),
    }


def ablate(*names: str) -> None:
    """Measures the cases that are asked for, or all that are not measured yet."""
    path = common.RESULTS / "flagship_ablation.json"
    for name in names or CASES:
        done = json.loads(path.read_text()) if path.exists() else {}
        if name in done and not names:
            continue
        entry = measure(name)
        # Another process may have measured another case meanwhile
        done = json.loads(path.read_text()) if path.exists() else {}
        done[name] = {**entry, "machine": common.machine(), "commit": common.commit()}
        ordered = {case: done[case] for case in CASES if case in done}
        path.write_text(json.dumps(ordered, indent=2) + "\n")
        print(json.dumps(done[name]), flush=True)


def kl_by_group(vae: vae_tf.VAE, x: np.ndarray) -> list[float]:
    """Returns the KL of each group of latents, the top first, mean over the images, in nats."""
    sums = 0.0
    for first in range(0, len(x), 250):
        batch = Batch(x[first : first + 250])
        params = vae.generator.encoded(batch)
        draws = (1, vae.prior.latent_dim, np.array([0, 0], "int32"), first)
        qz, z = vae.posterior.drawn(params, *draws)
        sums += np.sum(kl_parts(groups_of(qz, vae.parts.p(batch), z), "group"), axis=0)
    return (sums / len(x)).tolist()


def page() -> None:
    """Writes the table of the ablation."""
    done = json.loads((common.RESULTS / "flagship_ablation.json").read_text())
    text = "| | validation ELBO | validation NLL | passes | KL of each group, the top first |\n"
    text += "|---|---|---|---|---|\n"
    for name, (words, _) in CASES.items():
        row = done[name]
        numbers = [row["validation_elbo"], row["validation_nll"], row["epochs"]]
        groups = ", ".join(f"{kl:.1f}" for kl in row["kl_by_group"])
        text += f"| {words} | {' | '.join(f'{n:.1f}' for n in numbers)} | {groups} |\n"
    common.write_table("flagship", text, ROOT / "docs/hierarchical.md")


def scoring(path: str, images: str = "20", samples: str = "5000") -> None:
    """Prints how many images of the test set a second are scored, of the processor's seconds."""
    vae, test = keras.models.load_model(path), data.load("binarized_mnist").test.array()
    vae_tf.log_likelihood(vae, test[:1], int(samples))  # the graph is made
    wall, own = time.perf_counter(), time.process_time()
    found = vae_tf.log_likelihood(vae, test[: int(images)], int(samples))
    wall, own = time.perf_counter() - wall, time.process_time() - own
    entry = {
        "images_per_second": int(images) / wall,
        "images_per_processor_second": int(images) / own,
        "processor_hours_of_the_test_set": own / int(images) * len(test) / 3600,
        "effective_samples": float(np.median(found.effective_samples)),
        "importance_samples": int(samples),
    }
    print(json.dumps(entry))


def main(*flags: str) -> None:
    """Trains and scores the recipe, or goes on with it, and writes down what came of it."""
    result = train.finished(RUN, "--recipe", "flagship", *flags)
    vae, _ = load_run(RUN)
    test = data.load(RECIPE.dataset).test.array()
    more = {"test_kl_by_group": kl_by_group(vae, test), "group_sizes": list(vae.prior.group_sizes)}
    print(common.write("flagship", {**result, **more}))


if __name__ == "__main__":
    name, *rest = sys.argv[1:] or ["main"]
    {"main": main, "scoring": scoring, "ablate": ablate, "page": page}[name](*rest)
