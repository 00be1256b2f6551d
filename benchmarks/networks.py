"""Networks at equal processor time: validation ELBO on binarized MNIST, then test NLL of some.

TFDS_DATA_DIR=... python benchmarks/networks.py              what results/networks.json lacks
TFDS_DATA_DIR=... python benchmarks/networks.py NAME ...     these, anew
TFDS_DATA_DIR=... python benchmarks/networks.py test NAME ...  test NLL of trained ones

Each network trains on one thread for the same processor time, which a busy machine does not
falsify; the step size falls as a cosine of the time used. What is chosen is chosen by the
validation ELBO; the test images are looked at afterwards.
"""

import json
import math
import os
import re
import sys
import time

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import common
import keras

import vae_tf
from vae_tf import networks

DATA, SHAPE = "binarized_mnist", (28, 28, 1)
LATENT_DIM, BATCH, SECONDS, LEARNING_RATE, WARMUP = 32, 100, 120, 2e-3, 0.03
SAMPLES = 100  # importance samples of each test image
PATH = common.RESULTS / "networks.json"
MODELS = common.RESULTS.parents[1] / "runs/benchmark_networks"
SEEDS = (0, 1)

# name -> kind of network, arguments of both builders, arguments of the decoder alone
RESIDUAL = {f"residual, {n}": ("resnet", {"normalization": n}, {}) for n in ("none", "group")}
CASES = {
    "mlp": ("mlp", {}, {}),
    "conv": ("conv", {}, {}),
    **RESIDUAL,
    "residual, layer": ("resnet", {"normalization": "layer"}, {}),
    "residual, batch": ("resnet", {"normalization": "batch"}, {}),
    "residual, bilinear": ("resnet", {"normalization": "none"}, {"upsampling": "bilinear"}),
    "residual, nearest": ("resnet", {"normalization": "none"}, {"upsampling": "nearest"}),
    "residual, depth 2": ("resnet", {"normalization": "none", "depth": 2}, {}),
    "conv, nearest": ("conv", {}, {"upsampling": "nearest"}),
    "conv, bilinear": ("conv", {}, {"upsampling": "bilinear"}),
}


class Budget(keras.callbacks.Callback):
    """Ends training after `seconds` of processor time; step size and marks go by it.

    Args:
        seconds: of this process, over all its threads.
        marks: shares of them at which `look()` is called, its own time not counted.
        look: returns what to note.
    """

    def __init__(self, seconds, marks, look):
        super().__init__()
        self.seconds, self.marks, self.look = seconds, list(marks), look
        self.used, self.steps, self.notes = 0.0, 0, []

    def on_train_begin(self, logs=None):
        self.since = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        now = time.process_time()
        if self.steps:  # the first step has traced the graphs
            self.used += now - self.since
        self.steps += 1
        share = self.used / self.seconds
        if self.marks and share >= self.marks[0]:
            self.notes.append({"share": self.marks.pop(0), "step": self.steps, **self.look()})
        fall = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        self.model.optimizer.learning_rate = LEARNING_RATE * min(share / WARMUP + 0.01, fall)
        self.model.stop_training = share >= 1
        self.since = time.process_time()


def model(name: str, seed: int) -> vae_tf.VAE:
    """Returns the VAE of a case."""
    keras.utils.set_random_seed(seed)
    kind, both, own = CASES[name]
    likelihood = vae_tf.likelihoods.Bernoulli()
    encoder = getattr(networks, f"{kind}_encoder")(SHAPE, LATENT_DIM, **both, seed=2 * seed)
    outputs = likelihood.parameter_shapes(SHAPE)
    decoder = getattr(networks, f"{kind}_decoder")(
        LATENT_DIM, outputs, **both, **own, seed=2 * seed + 1
    )
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood, seed=seed)
    vae.compile(keras.optimizers.Adam(LEARNING_RATE), steps_per_execution=1)
    return vae


def train(name: str, seed: int, images) -> dict:
    """Returns the entry of one case, and keeps the model."""
    vae = model(name, seed)
    validation = images.validation.batches(250)

    def look() -> dict:
        bound = vae.evaluate(validation, return_dict=True, verbose=0)
        return {"elbo": bound["elbo"], "kl": bound["kl"]}

    budget = Budget(SECONDS, (0.25, 0.5, 0.75), look)
    vae.fit(
        images.train.training_batches(BATCH, seed=seed),
        steps_per_epoch=10**6,
        shuffle=False,
        verbose=0,
        callbacks=[budget],
    )
    MODELS.mkdir(parents=True, exist_ok=True)
    vae.save(MODELS / f"{name}, {seed}.keras")
    end = look()
    kind, both, own = CASES[name]
    return {
        "name": name,
        "seed": seed,
        "network": kind,
        "arguments": {**both, **own},
        "validation_elbo": end["elbo"],
        "validation_kl": end["kl"],
        "train_elbo": vae.evaluate(images.train.batches(250).take(40), return_dict=True, verbose=0)[
            "elbo"
        ],
        "on_the_way": budget.notes,
        "processor_seconds": budget.used,
        "steps": budget.steps,
        "epochs": budget.steps * BATCH / images.train.num_examples,
        "images_per_processor_second": budget.steps * BATCH / budget.used,
        "parameters": vae.count_params(),
        "machine": common.machine(),
        "commit": common.commit(),
    }


def test(name: str, seed: int, images) -> dict:
    """Returns the test likelihood of a trained model."""
    vae = keras.models.load_model(MODELS / f"{name}, {seed}.keras")
    found = vae_tf.log_likelihood(vae, images.test.batches(BATCH), SAMPLES, precision="auto")
    return {
        "test_nll": found.nll,
        "test_nll_stderr": found.stderr,
        "importance_samples": SAMPLES,
    }


def main(*names: str) -> None:
    """Runs what is asked for, and writes each entry as soon as it is done."""
    testing = names[:1] == ("test",)
    names = names[1:] if testing else names
    images = vae_tf.data.load(DATA)
    done = json.loads(PATH.read_text()) if PATH.exists() else {}
    for seed in SEEDS:
        for name in names or CASES:
            key = f"{re.sub(r'[^a-z0-9]+', '_', name)}_{seed}"
            if testing and key in done:
                done[key] |= test(name, seed, images)
            elif not testing and (names or key not in done):
                done[key] = train(name, seed, images)
            else:
                continue
            PATH.write_text(json.dumps(done, indent=2) + "\n")
            print(key, done[key]["validation_elbo"], done[key].get("test_nll"), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
