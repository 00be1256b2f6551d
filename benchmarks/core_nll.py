"""Test NLL of each prior, posterior and objective: the same data, networks and budget for all.

python benchmarks/core_nll.py            all that results/core_binarized_mnist.json lacks
python benchmarks/core_nll.py NAME ...   these, anew
"""

import json
import sys
import time

import common
import keras
import numpy as np

import vae_tf
from vae_tf import objectives, posteriors, priors
from vae_tf.evaluation import collapse, fit_mixture
from vae_tf.networks import mlp_decoder, mlp_encoder

DATA, SHAPE = "binarized_mnist", (28, 28, 1)
LATENT_DIM, HIDDEN, BATCH, EPOCHS, LEARNING_RATE = 32, (300, 300), 250, 15, 1e-3
TEST_SAMPLES = 500
PATH = common.RESULTS / "core_binarized_mnist.json"
K = 5  # draws of the multi-sample objectives


def cases(x: np.ndarray) -> dict:
    """Returns name -> the arguments of VAE that differ from N(0, I), diagonal, ELBO."""
    iaf = posteriors.InverseAutoregressive(LATENT_DIM, 32)
    return {
        "reference": {},
        "learned normal": {"prior": priors.LearnedNormal(LATENT_DIM)},
        "mixture of 100 normals": {"prior": priors.MixtureOfNormals(LATENT_DIM, 100)},
        "VampPrior of 100": {"prior": priors.VampPrior.from_data(LATENT_DIM, x, 100)},
        "RealNVP": {"prior": priors.RealNVP(LATENT_DIM)},
        "MAF": {"prior": priors.MaskedAutoregressive(LATENT_DIM)},
        "mixture of 100, fitted afterwards": {},
        "full covariance": {"posterior": posteriors.FullNormal()},
        "IAF": {"posterior": iaf},
        "mixture and IAF": {
            "prior": priors.MixtureOfNormals(LATENT_DIM, 100),
            "posterior": posteriors.InverseAutoregressive(LATENT_DIM, 32),
        },
        "ELBO, Monte Carlo KL": {"objective": objectives.ELBO(closed_form=False)},
        f"ELBO, {K} draws": {"objective": objectives.ELBO(K)},
        "STL": {"objective": objectives.StickingTheLanding()},
        f"IWAE, {K} draws": {"objective": objectives.IWAE(K)},
        f"DReG, {K} draws": {"objective": objectives.DReG(K)},
        f"Renyi 0.5, {K} draws": {"objective": objectives.Renyi(K, 0.5)},
        "score function": {"objective": objectives.ScoreFunction()},
        "score function, running mean": {
            "objective": objectives.ScoreFunction(baseline=objectives.RunningMean())
        },
        "score function, learned baseline": {
            "objective": objectives.ScoreFunction(baseline=objectives.LearnedBaseline(SHAPE))
        },
        f"score function, {K} draws, leave one out": {
            "objective": objectives.ScoreFunction(K, objectives.LeaveOneOut())
        },
        f"VIMCO, {K} draws": {"objective": objectives.VIMCO(K)},
        "KL warm-up over 5 epochs": {"beta": objectives.LinearWarmup(epochs=5)},
        "free bits, 0.1 nats a dimension": {"kl_control": objectives.FreeBits(0.1)},
    }


def model(**parts) -> vae_tf.VAE:
    """Returns the VAE all cases share, but for `parts`."""
    keras.utils.set_random_seed(0)
    posterior = parts.get("posterior") or posteriors.DiagonalNormal()
    likelihood = vae_tf.likelihoods.Bernoulli()
    heads = posterior.parameter_shapes(LATENT_DIM)
    encoder = mlp_encoder(SHAPE, LATENT_DIM, HIDDEN, outputs=heads, seed=0)
    decoder = mlp_decoder(LATENT_DIM, likelihood.parameter_shapes(SHAPE), HIDDEN, seed=1)
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood, **parts)
    vae.compile(keras.optimizers.Adam(LEARNING_RATE), steps_per_execution=20)
    return vae


def run(name: str, parts: dict, images) -> dict:
    """Returns the entry of one case."""
    vae = model(**parts)
    began = time.perf_counter()
    vae.fit(
        images.train.training_batches(BATCH, seed=0),
        steps_per_epoch=images.train.steps_per_epoch(BATCH),
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
    )
    train_seconds = time.perf_counter() - began
    if name.endswith("fitted afterwards"):
        x = images.train.array(images.train.num_examples)
        prior = fit_mixture(vae, x, 100, seed=0)
        vae = vae_tf.VAE(vae.encoder, vae.decoder, prior=prior)
    test = images.test.batches(BATCH)
    likelihood = vae_tf.log_likelihood(vae, test, TEST_SAMPLES)
    bound = vae.evaluate(test, return_dict=True, verbose=0)
    kls = collapse.kl_per_dimension(vae, images.test.array(1000))
    return {
        "name": name,
        "prior": type(vae.prior).__name__,
        "posterior": type(vae.posterior).__name__,
        "objective": type(vae.objective).__name__,
        "draws": vae.objective.num_samples,
        "test_nll": likelihood.nll,
        "test_nll_stderr": likelihood.stderr,
        "monte_carlo_stderr": likelihood.monte_carlo_stderr,
        "test_elbo": bound["elbo"],
        "test_kl": bound["kl"],
        "kl_per_dimension": None if kls is None else [float(kl) for kl in kls],
        "train_seconds": train_seconds,
        "epochs": EPOCHS,
        "importance_samples": TEST_SAMPLES,
        "parameters": vae.count_params(),
        "machine": common.machine(),
        "commit": common.commit(),
    }


def main(*names: str) -> None:
    """Runs the cases named, or those not measured yet, and writes each as soon as it is done."""
    images = vae_tf.data.load(DATA)
    table = cases(images.train.array(1000))
    done = json.loads(PATH.read_text()) if PATH.exists() else []
    known = {entry["name"] for entry in done}
    for name in names or [name for name in table if name not in known]:
        entry = run(name, table[name], images)
        done = [other for other in done if other["name"] != name] + [entry]
        done.sort(key=lambda entry: list(table).index(entry["name"]))
        PATH.write_text(json.dumps(done, indent=2) + "\n")
        print(f"{name}: {entry['test_nll']:.2f} ± {entry['test_nll_stderr']:.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
