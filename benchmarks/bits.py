"""Bits per dimension of discretized and continuous likelihoods on Fashion-MNIST, 256 levels.

python benchmarks/bits.py
"""

import itertools
import json
import sys
import time

import common
import keras
import numpy as np

import vae_tf
from vae_tf import likelihoods
from vae_tf.evaluation import bits_per_dimension
from vae_tf.networks import mlp_decoder, mlp_encoder

DATA, SHAPE, LEVELS = "fashion_mnist", (28, 28, 1), 256
LATENT_DIM, HIDDEN, BATCH, EPOCHS, LEARNING_RATE = 32, (300, 300), 250, 8, 1e-3
TEST_EXAMPLES, SAMPLES = 1000, 100
PATH = common.RESULTS / "fashion_mnist_bits.json"

CASES = {
    "mixture of 5 discretized logistics": lambda: likelihoods.DiscretizedLogisticMixture(5),
    "discretized logistic": lambda: likelihoods.DiscretizedLogistic(),
    "Gaussian, a scale for each pixel": lambda: likelihoods.GaussianPixelScale(),
    "Gaussian, one learned scale": lambda: likelihoods.GaussianLearnedScale(0.3),
}


def batches(x: np.ndarray, discrete: bool):
    """Yields training batches for ever: grey levels as they are, or dequantized anew each time."""
    rng = np.random.default_rng(0)
    for step in itertools.count():
        batch = x[rng.choice(len(x), BATCH, replace=False)]
        yield (batch if discrete else vae_tf.data.dequantize(batch, LEVELS, step=step),)


def run(name: str, images) -> dict:
    """Returns the entry of one likelihood."""
    keras.utils.set_random_seed(0)
    likelihood = CASES[name]()
    encoder = mlp_encoder(SHAPE, LATENT_DIM, HIDDEN, seed=0)
    outputs = likelihood.parameter_shapes(SHAPE)
    decoder = mlp_decoder(LATENT_DIM, outputs, HIDDEN, seed=1)
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    vae.compile(keras.optimizers.Adam(LEARNING_RATE), steps_per_execution=20)
    x = images.train.array(images.train.num_examples)
    began = time.perf_counter()
    steps = len(x) // BATCH
    vae.fit(batches(x, likelihood.discrete), steps_per_epoch=steps, epochs=EPOCHS, verbose=0)
    seconds = time.perf_counter() - began
    test = images.test.array(TEST_EXAMPLES)
    levels = None if likelihood.discrete else LEVELS
    bits = bits_per_dimension(vae, test, SAMPLES, levels=levels)
    return {
        "likelihood": name,
        "discrete": likelihood.discrete,
        "bits_per_dimension": bits.value,
        "stderr": bits.stderr,
        "train_seconds": seconds,
        "epochs": EPOCHS,
        "test_examples": TEST_EXAMPLES,
        "importance_samples": SAMPLES,
        "parameters": vae.count_params(),
        "machine": common.machine(),
        "commit": common.commit(),
    }


def main(*names: str) -> None:
    """Runs the likelihoods named, or those not measured yet."""
    images = vae_tf.data.load(DATA)
    done = json.loads(PATH.read_text()) if PATH.exists() else []
    known = {entry["likelihood"] for entry in done}
    for name in names or [name for name in CASES if name not in known]:
        entry = run(name, images)
        done = [other for other in done if other["likelihood"] != name] + [entry]
        PATH.write_text(json.dumps(done, indent=2) + "\n")
        print(f"{name}: {entry['bits_per_dimension']:.3f} ± {entry['stderr']:.3f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
