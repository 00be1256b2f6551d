"""Five scores of disentanglement of five kinds of VAE, on shapes of known factors.

python benchmarks/disentanglement.py            all that is not done yet
python benchmarks/disentanglement.py picture    docs/images/traversals.png, of the models kept
python benchmarks/disentanglement.py page       the table of docs/results.md

All have the same network, and differ in their objective and their seed, which sets the initial
weights, the order of the images and the draws. The strength of each objective is a usual one of the
literature and was not tuned. The scores are those of the means of q(z|x) of all combinations of the
factors. A case that is done is read from results/disentanglement.json.
"""

import json
import os
import sys
import time

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import common
import keras
import numpy as np

import vae_tf
from vae_tf import networks, plots
from vae_tf.evaluation import traversals
from vae_tf.evaluation.disentanglement import disentanglement
from vae_tf.files import write_aside
from vae_tf.objectives.penalties import DIPVAE2, FactorVAE, TotalCorrelation

ROOT = common.RESULTS.parents[1]
RESULT, MODELS = common.RESULTS / "disentanglement.json", ROOT / "runs/benchmark_disentanglement"
PICTURE = ROOT / "docs/images/traversals.png"
PICTURED = ("VAE", "beta-TCVAE")
SEEDS = (0, 1, 2)
LATENT_DIM, HIDDEN, EPOCHS, BATCH, LEARNING_RATE = 10, (256, 256), 40, 128, 1e-3
# name -> arguments of the VAE, given the number of training images and the seed
METHODS = {
    "VAE": lambda number, seed: {},
    "beta-VAE": lambda number, seed: {"beta": 4.0},
    "beta-TCVAE": lambda number, seed: {"penalties": [TotalCorrelation(5.0, number)]},
    "DIP-VAE-II": lambda number, seed: {"penalties": [DIPVAE2(10.0)]},
    "FactorVAE": lambda number, seed: {"penalties": [FactorVAE(10.0, LATENT_DIM, seed=seed)]},
}
SHOWN = 6  # latents in the picture
GAP = ((0, 0), (0, 1), (0, 0), (0, 0), (0, 0))  # an empty column between two methods
COLUMNS = {
    "mig": "MIG",
    "sap": "SAP",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "beta_vae": "beta-VAE score",
    "factor_vae": "FactorVAE score",
    "test_elbo": "test ELBO",
}
SPLITS = ("train", "validation", "test")


def model(method: str, seed: int, images) -> vae_tf.VAE:
    """Returns a trained VAE of a case."""
    keras.utils.set_random_seed(seed)
    likelihood = vae_tf.likelihoods.Bernoulli()
    outputs = likelihood.parameter_shapes(images.shape)
    vae = vae_tf.VAE(
        networks.mlp_encoder(images.shape, LATENT_DIM, HIDDEN, seed=2 * seed),
        networks.mlp_decoder(LATENT_DIM, outputs, HIDDEN, seed=2 * seed + 1),
        likelihood=likelihood,
        seed=seed,
        **METHODS[method](images.train.num_examples, seed),
    )
    vae.compile(keras.optimizers.Adam(LEARNING_RATE))
    vae.fit(
        images.train.training_batches(BATCH, seed),
        steps_per_epoch=images.train.steps_per_epoch(BATCH),
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
    )
    return vae


def table(images) -> tuple[np.ndarray, np.ndarray]:
    """Returns all images, and their factors [N, 5]."""
    splits = [getattr(images, split) for split in SPLITS]
    factors = [np.stack(list(split.factors.values()), 1) for split in splits]
    return np.concatenate([split.array() for split in splits]), np.concatenate(factors)


def codes(vae: vae_tf.VAE, x: np.ndarray) -> np.ndarray:
    """Returns the means of q(z|x), [N, L]."""
    return np.concatenate([vae.encode(part).mean().numpy() for part in np.array_split(x, 20)])


def measured(method: str, seed: int, images) -> dict:
    """Returns the line of a case, and keeps the model."""
    began = time.process_time()
    vae = model(method, seed, images)
    trained = time.process_time()
    x, factors = table(images)
    scores = disentanglement(codes(vae, x), factors, seed=seed)
    bound = vae.evaluate(images.test.batches(250), return_dict=True, verbose=0)
    MODELS.mkdir(parents=True, exist_ok=True)
    vae.save(MODELS / f"{method}_{seed}.keras")
    return {
        "method": method,
        "seed": seed,
        **scores,
        "test_elbo": bound["elbo"],
        "test_nll": bound["nll"],
        "test_kl": bound["kl"],
        "train_processor_seconds": trained - began,
        "score_processor_seconds": time.process_time() - trained,
        "commit": common.commit(),
    }


def picture(images) -> None:
    """Draws the latents of two methods' first models, those that vary most at the top."""
    x, _ = table(images)
    figures = []
    for method in PICTURED:
        vae = keras.models.load_model(MODELS / f"{method}_{SEEDS[0]}.keras")
        found = codes(vae, x)
        rows = np.argsort(-np.var(found, 0))[:SHOWN]
        figures.append(traversals(vae, codes(vae, images.test.array(20)[:20])[0], latents=rows))
    beside = np.concatenate([np.pad(f, GAP, constant_values=1) for f in figures], 1)
    figure = plots.image_grid(beside, " (left), ".join(PICTURED) + " (right)")
    figure.savefig(PICTURE)


def page() -> None:
    """Writes the table into docs/results.md."""
    lines = json.loads(RESULT.read_text())
    text = "| method | seeds | " + " | ".join(COLUMNS.values()) + " |\n"
    text += "|---|---|" + "---|" * len(COLUMNS) + "\n"
    for method in METHODS:
        own = [line for line in lines if line["method"] == method]
        if not own:
            continue
        cells = [common.spread([line[key] for line in own]) for key in COLUMNS]
        text += f"| {method} | {len(own)} | {' | '.join(cells)} |\n"
    common.write_table("disentanglement", text)


def main(*asked: str) -> None:
    """Measures all cases that are not done, or draws the picture."""
    images = vae_tf.data.load("shapes")
    done = json.loads(RESULT.read_text()) if RESULT.exists() else []
    if asked == ("picture",):
        return picture(images)
    if asked == ("page",):
        return page()
    for seed in SEEDS:
        for method in METHODS:
            if any(line["method"] == method and line["seed"] == seed for line in done):
                continue
            done.append(measured(method, seed, images))
            text = json.dumps(done, indent=2) + "\n"
            write_aside(RESULT, lambda path, text=text: path.write_text(text))
            print(done[-1], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
