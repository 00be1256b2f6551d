"""What a second level is worth: two groups of latents against one, on binarized MNIST.

TFDS_DATA_DIR=... python benchmarks/hierarchical.py                 all that is not done yet
TFDS_DATA_DIR=... python benchmarks/hierarchical.py two 0           one model of one seed; or `one`
python benchmarks/hierarchical.py page         the table of docs/hierarchical.md, of the results

Both are dense networks with a standard normal at the top. The flat model has as many latents, and
layers so wide that it has as many parameters as the ladder. Each trains on one thread for the same
processor time. Of the states kept on the way none is chosen: the last one is scored, once.
"""

import json
import math
import os
import sys

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import common
import families_page
import keras
import numpy as np
from budget import Budget

import vae_tf
from vae_tf import data
from vae_tf.environment import versions
from vae_tf.models.optimizers import KernelAdamW
from vae_tf.networks import mlp_decoder, mlp_encoder, mlp_ladder
from vae_tf.objectives import LinearWarmup

ROOT = common.RESULTS.parents[1]
MODELS = ROOT / "runs/benchmark_hierarchical"
SECONDS = float(os.environ.get("SECONDS_OF_EACH", 600))
LEARNING_RATE, WEIGHT_DECAY, BATCH, WARMUP_EPOCHS = 1e-3, 0.2, 250, 10
SHAPE, LATENTS, HIDDEN = (28, 28, 1), (8, 40), (256, 512)
SEEDS, SAMPLES, TEST = (0, 1, 2), 500, 10_000
CASES = ("two", "one")


def ladder(seed: int) -> vae_tf.VAE:
    """Returns the model of two groups."""
    outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes(SHAPE)
    made = mlp_ladder(SHAPE, LATENTS, outputs, HIDDEN, seed=seed)
    prior = vae_tf.priors.Hierarchy(vae_tf.priors.StandardNormal(LATENTS[0]), made.prior)
    return model(made.encoder, made.decoder, prior, vae_tf.posteriors.Ladder(made.posterior), seed)


def flat(seed: int) -> vae_tf.VAE:
    """Returns the model of one group, as near as may be in parameters."""
    wanted, latent_dim = ladder(seed).count_params(), sum(LATENTS)

    def of(width: int) -> vae_tf.VAE:
        outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes(SHAPE)
        encoder = mlp_encoder(SHAPE, latent_dim, (width, width), seed=2 * seed)
        decoder = mlp_decoder(latent_dim, outputs, (width, width), seed=2 * seed + 1)
        return model(encoder, decoder, vae_tf.priors.StandardNormal(latent_dim), None, seed)

    low, high = 16, 4096
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if of(middle).count_params() <= wanted else (low, middle)
    return of(low)


def model(encoder, decoder, prior, posterior, seed: int) -> vae_tf.VAE:
    """Returns a compiled VAE."""
    vae = vae_tf.VAE(
        encoder,
        decoder,
        prior=prior,
        posterior=posterior,
        beta=LinearWarmup(epochs=WARMUP_EPOCHS),
        seed=seed,
    )
    vae.compile(KernelAdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY))
    return vae


def name_of(case: str, seed: int) -> str:
    """Returns what the files of one model are called."""
    return f"{case}_{seed}"


def train(case: str, seed: int) -> None:
    """Trains one model, or goes on with it."""
    path = MODELS / f"{name_of(case, seed)}.keras"
    MODELS.mkdir(parents=True, exist_ok=True)
    budget = Budget(path, SECONDS, LEARNING_RATE)
    made = {"two": ladder, "one": flat}[case]
    vae = keras.models.load_model(path) if budget.used else made(seed)
    images = data.load("binarized_mnist", seed=seed)
    steps = images.train.steps_per_epoch(BATCH)
    start = int(vae.optimizer.iterations.numpy()) // steps
    if budget.used < SECONDS:
        vae.fit(
            images.train.training_batches(BATCH, seed, start),
            steps_per_epoch=steps,
            initial_epoch=start,
            epochs=10**6,
            shuffle=False,
            verbose=0,
            callbacks=[budget],
        )


def score(case: str, seed: int) -> dict:
    """Returns the numbers of a trained model on the test images, each of which counts once."""
    path = MODELS / f"{name_of(case, seed)}.keras"
    vae, done = keras.models.load_model(path), json.loads(path.with_suffix(".json").read_text())
    test = data.load("binarized_mnist", seed=seed).test.array()[:TEST]
    found = vae_tf.log_likelihood(vae, test, SAMPLES, checkpoint=path.with_suffix(".npz"))
    collapse = vae_tf.evaluation.measure_collapse(vae, test[:100])
    return {
        "case": case,
        "seed": seed,
        "test_nll": found.nll,
        "test_nll_stderr": found.stderr,
        "monte_carlo_stderr": found.monte_carlo_stderr,
        "test_elbo": vae.evaluate(test, batch_size=BATCH, return_dict=True, verbose=0)["elbo"],
        "kl_by_group": collapse.kl_by_group.tolist(),
        "active_by_group": collapse.active_by_group,
        "group_sizes": list(collapse.group_sizes),
        "parameters": vae.count_params(),
        "processor_seconds": done["seconds"],
        "steps": done["steps"],
    }


def collected(scores: list[dict]) -> dict:
    """Returns the numbers of all models, and means and standard errors over the seeds."""
    summary = {}
    for case in CASES:
        nll = np.array([one["test_nll"] for one in scores if one["case"] == case])
        summary[f"test_nll_{case}"] = float(nll.mean())
        spread = float(nll.std(ddof=1) / math.sqrt(len(nll)))
        summary[f"test_nll_{case}_stderr_over_seeds"] = spread
    return {
        "data": "binarized_mnist",
        **summary,
        "gain": summary["test_nll_one"] - summary["test_nll_two"],
        "importance_samples": SAMPLES,
        "processor_seconds": SECONDS,
        "latents": LATENTS,
        "hidden": HIDDEN,
        "models": scores,
        "versions": versions(),
    }


def main(*asked: str) -> None:
    """Trains and scores the model that is asked for; without any, all, and writes it down."""
    pairs = [(asked[0], int(asked[1]))] if asked else [(c, s) for s in SEEDS for c in CASES]
    scores = []
    for case, seed in pairs:
        train(case, seed)
        scores.append(score(case, seed))
        print(scores[-1], flush=True)
    if not asked:
        print(common.write("hierarchical", collected(scores)))


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        families_page.main("hierarchical")
    else:
        main(*sys.argv[1:])
