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
from vae_tf import evaluation, objectives, posteriors, priors
from vae_tf.networks import mlp_decoder, mlp_encoder

DATA, SHAPE = "binarized_mnist", (28, 28, 1)
LATENT_DIM, HIDDEN, BATCH, EPOCHS, LEARNING_RATE = 32, (300, 300), 250, 15, 1e-3
TEST_SAMPLES = 200
PATH = common.RESULTS / "core_binarized_mnist.json"
K = 5  # draws of the multi-sample objectives


def cases(x: np.ndarray) -> dict:
    """Returns name -> what makes the arguments of VAE that differ from N(0, I), diagonal, ELBO."""
    return {
        "reference": lambda: {},
        "learned normal": lambda: {"prior": priors.LearnedNormal(LATENT_DIM)},
        "mixture of 100 normals": lambda: {"prior": priors.MixtureOfNormals(LATENT_DIM, 100)},
        "VampPrior of 100": lambda: {"prior": priors.VampPrior.from_data(LATENT_DIM, x, 100)},
        "RealNVP": lambda: {"prior": priors.RealNVP(LATENT_DIM)},
        "MAF": lambda: {"prior": priors.MaskedAutoregressive(LATENT_DIM)},
        "mixture of 100, fitted afterwards": lambda: {},
        "full covariance": lambda: {"posterior": posteriors.FullNormal()},
        "IAF": lambda: {"posterior": posteriors.InverseAutoregressive(LATENT_DIM, 32)},
        "mixture and IAF": lambda: {
            "prior": priors.MixtureOfNormals(LATENT_DIM, 100),
            "posterior": posteriors.InverseAutoregressive(LATENT_DIM, 32),
        },
        "ELBO, Monte Carlo KL": lambda: {"objective": objectives.ELBO(closed_form=False)},
        f"ELBO, {K} draws": lambda: {"objective": objectives.ELBO(K)},
        "STL": lambda: {"objective": objectives.StickingTheLanding()},
        f"IWAE, {K} draws": lambda: {"objective": objectives.IWAE(K)},
        f"DReG, {K} draws": lambda: {"objective": objectives.DReG(K)},
        f"Renyi 0.5, {K} draws": lambda: {"objective": objectives.Renyi(K, 0.5)},
        "score function": lambda: {"objective": objectives.ScoreFunction()},
        "score function, running mean": lambda: {
            "objective": objectives.ScoreFunction(baseline=objectives.RunningMean())
        },
        "score function, learned baseline": lambda: {
            "objective": objectives.ScoreFunction(baseline=objectives.LearnedBaseline(SHAPE))
        },
        f"score function, {K} draws, leave one out": lambda: {
            "objective": objectives.ScoreFunction(K, objectives.LeaveOneOut())
        },
        f"VIMCO, {K} draws": lambda: {"objective": objectives.VIMCO(K)},
        "KL warm-up over 5 epochs": lambda: {"beta": objectives.LinearWarmup(epochs=5)},
        "free bits, 0.1 nats a dimension": lambda: {"kl_control": objectives.FreeBits(0.1)},
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
        prior = evaluation.fit_mixture(vae, x, 100, seed=0)
        vae = vae.replace(prior=prior)
    test = images.test.batches(BATCH)
    likelihood = vae_tf.log_likelihood(vae, test, TEST_SAMPLES)
    bound = vae.evaluate(test, return_dict=True, verbose=0)
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
        "kl_per_dimension": kl_per_dimension(vae, images.test.array(2000)),
        "train_seconds": train_seconds,
        "epochs": EPOCHS,
        "importance_samples": TEST_SAMPLES,
        "parameters": vae.count_params(),
        "machine": common.machine(),
        "commit": common.commit(),
    }


def kl_per_dimension(vae: vae_tf.VAE, x: np.ndarray) -> list[float] | None:
    """Returns the mean KL of each latent over `x`, in nats; None where it is no sum of such."""
    if not (vae.prior.factorized and vae.posterior.factorized):
        return None
    qz, pz = vae.encode(x), vae.prior.distribution()
    return [float(kl) for kl in evaluation.kl_per_dimension(qz, pz, qz.sample(1))]


def main(*names: str) -> None:
    """Runs the cases named, or those not measured yet, and writes each as soon as it is done."""
    images = vae_tf.data.load(DATA)
    table = cases(images.train.array(1000))
    done = json.loads(PATH.read_text()) if PATH.exists() else []
    known = {entry["name"] for entry in done}
    for name in names or [name for name in table if name not in known]:
        entry = run(name, table[name](), images)
        done = [other for other in done if other["name"] != name] + [entry]
        done.sort(key=lambda entry: list(table).index(entry["name"]))
        PATH.write_text(json.dumps(done, indent=2) + "\n")
        print(f"{name}: {entry['test_nll']:.2f} ± {entry['test_nll_stderr']:.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
