"""The marginal likelihood of AEVB, wake-sleep and Monte Carlo EM: Kingma and Welling, figure 3.

TFDS_DATA_DIR=... python benchmarks/aevb_marginal.py [1000] [50000]   what aevb_marginal.json lacks
python benchmarks/aevb_marginal.py page                               picture and table of results

As in the paper: 3 latents, one hidden layer of 100 tanh units on either side, batches of 100,
Adagrad, and weights of N(0, 0.01^2) at first; MNIST is statically binarized here. Each method has
the step size, of STEP_SIZES, whose likelihood of training data is best after a short training.
Monte Carlo EM makes two transitions of 10 leapfrog steps, begun at draws of an encoder that learns
from them; the paper's has no encoder, and five updates for each draw. log p(x) of the first JUDGED
training and test examples is importance-weighted. The proposal is alike for all methods: a normal
fitted to draws of p(z|x) by Hamiltonian Monte Carlo, with some draws of the prior, since the
encoders differ in how well they suit examples they were not trained on. `samples` counts training
examples evaluated. `seconds` are the processor's, after the first steps, which compile, and without
the estimates.
"""

import argparse
import itertools
import json
import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import common
import keras
import numpy as np
import tensorflow as tf
from aevb_bound import dense
from tensorflow_probability import distributions as tfd

import vae_tf
from vae_tf.data.batch import Batch
from vae_tf.errors import NonFiniteError
from vae_tf.objectives import ELBO, MonteCarloEM, WakeSleep, log_mean_exp

PATH = common.RESULTS / "aevb_marginal.json"
PAGE = common.RESULTS.parents[1] / "docs/results.md"
OBJECTIVES: dict[str, Any] = {"AEVB": ELBO, "wake-sleep": WakeSleep, "Monte Carlo EM": MonteCarloEM}
# Training samples: Monte Carlo EM gets fewer, since each costs many gradients
SAMPLES = {
    1000: {"AEVB": 1_000_000, "wake-sleep": 1_000_000, "Monte Carlo EM": 200_000},
    50_000: {"AEVB": 1_000_000, "wake-sleep": 1_000_000, "Monte Carlo EM": 200_000},
}
TRIED = 20_000  # samples of the choice of step sizes
LATENTS, HIDDEN, STEP_SIZES, BATCH, SEEDS, POINTS = 3, 100, (0.01, 0.02, 0.1), 100, range(3), 9
JUDGED = 200
WARM_UP, KEPT, WIDER = 20, 40, 1.5  # transitions, and the factor on their covariance
DRAWS, OF_PRIOR, STARTS = 200, 20, 25  # importance samples; how many of them the prior's


def model(method: str, shape: tuple, rate: float, seed: int, hidden: int = HIDDEN) -> vae_tf.VAE:
    """Returns a compiled VAE of the paper's networks."""
    keras.utils.set_random_seed(seed)
    likelihood = vae_tf.likelihoods.Bernoulli()
    heads = {name: (size, None) for name, size in likelihood.parameter_shapes(shape).items()}
    posterior = {"z_mean": ((LATENTS,), None), "z_log_var": ((LATENTS,), None)}
    encoder = dense(shape, hidden, posterior, "x")
    decoder = dense(LATENTS, hidden, heads, "z")
    vae = vae_tf.VAE(
        encoder, decoder, likelihood=likelihood, objective=OBJECTIVES[method](), seed=seed
    )
    vae.compile(keras.optimizers.Adagrad(rate), steps_per_execution=10)
    return vae


class Marginal:
    """Estimates of log p(x), in nats, of one model as it is when asked.

    Args:
        vae: a model whose prior is N(0, I).
    """

    def __init__(self, vae: vae_tf.VAE):
        self.vae, self.chains = vae, MonteCarloEM(num_samples=1, burn_in=0)
        self.joint = tf.function(self._joint, autograph=False, reduce_retracing=True)
        self.moved = tf.function(self._moved, autograph=False)

    def _joint(self, z, x):
        return self.vae.parts.log_px(z, Batch(x)) + self.vae.parts.p().log_prob(z)

    def _moved(self, z, x):
        draws, accepted = self.chains.posterior_draws(self.vae, Batch(x), z)
        self.chains.adapt(tf.reduce_mean(accepted))
        return draws[0]

    def estimate(self, x: np.ndarray, seed: int = 0) -> tuple[float, float]:
        """Returns the mean estimate, and the median share of draws that are effective."""
        x = tf.constant(x)
        of_q, of_prior, of_normal, of_rest = tf.random.split([seed, 0], 4)
        pz, q = self.vae.parts.p(), self.vae.parts.q(Batch(x))
        rows = x.shape[0]
        starts = [q.sample(STARTS, seed=of_q), pz.sample([STARTS, rows], seed=of_prior)]
        starts = tf.concat(starts, 0)
        best = tf.argmax(self.joint(starts, x), 0)
        z, kept = tf.gather(tf.transpose(starts, [1, 0, 2]), best, batch_dims=1), []
        for transition in range(WARM_UP + KEPT):
            z = self.moved(z, x)
            if transition >= WARM_UP:
                kept.append(z)
        mean, left = tf.reduce_mean(kept, 0), tf.stack(kept, 1) - tf.reduce_mean(kept, 0)[:, None]
        covariance = WIDER * tf.matmul(left, left, transpose_a=True) / KEPT
        covariance += 1e-5 * tf.eye(mean.shape[-1])
        normal = tfd.MultivariateNormalTriL(mean, tf.linalg.cholesky(covariance))
        draws = [normal.sample(DRAWS - OF_PRIOR, seed=of_normal)]
        draws = tf.concat([*draws, pz.sample([OF_PRIOR, rows], seed=of_rest)], 0)
        shares = np.log([1 - OF_PRIOR / DRAWS, OF_PRIOR / DRAWS]).astype("float32")
        log_r = tf.reduce_logsumexp(
            [shares[0] + normal.log_prob(draws), shares[1] + pz.log_prob(draws)], 0
        )
        log_w = tf.concat([self.joint(part, x) for part in tf.split(draws, 8)], 0) - log_r
        sums = tf.reduce_logsumexp(log_w, 0), tf.reduce_logsumexp(2 * log_w, 0)
        effective = np.exp(2 * sums[0] - sums[1]) / DRAWS
        return float(tf.reduce_mean(log_mean_exp(log_w))), float(np.median(effective))


def marks_of(samples: int, examples: int, points: int) -> list[int]:
    """Returns numbers of steps that are equally far apart in logarithm, the last of all samples."""
    first, last = min(examples, 1000), samples
    return sorted({max(10, round(n / BATCH / 10) * 10) for n in np.geomspace(first, last, points)})


def trained(
    vae: vae_tf.VAE, x: np.ndarray, judged: dict[str, np.ndarray], marks: list[int], seed: int
) -> list[dict]:
    """Returns the estimates of log p(x) after numbers of steps.

    Args:
        vae: a compiled model.
        x: training examples, [N, *event], N a multiple of BATCH.
        judged: name -> examples whose likelihood is estimated.
        marks: the numbers of steps, multiples of 10.
        seed: of the order of examples.
    """
    rng, done, seconds, found = np.random.default_rng(seed), 0, 0.0, []
    waiting, marginal = np.zeros(0, int), Marginal(vae)
    for mark in marks:
        while len(waiting) < (mark - done) * BATCH:
            waiting = np.concatenate([waiting, rng.permutation(len(x))])
        now, waiting = np.split(waiting, [(mark - done) * BATCH])
        began = time.process_time()
        for rows in np.array_split(now, -(-len(now) // 100_000)):
            vae.fit(x[rows], batch_size=BATCH, shuffle=False, verbose=0)
        seconds += time.process_time() - began if done else 0.0  # the first fit compiles
        done = mark
        point: dict = {"samples": done * BATCH, "seconds": seconds}
        for name, examples in judged.items():
            point[name], point[f"{name}_effective"] = marginal.estimate(examples)
        found.append(point)
    return found


def rate_of(method: str, x: np.ndarray, tried: int = TRIED) -> float:
    """Returns the step size with the best likelihood of training data after a short training."""
    scores = {}
    for rate in STEP_SIZES:
        vae = model(method, x.shape[1:], rate, seed=100)
        try:
            curve = trained(vae, x, {"train": x[:JUDGED]}, [tried // BATCH], seed=100)
            scores[rate] = curve[-1]["train"]
        except NonFiniteError:
            scores[rate] = -np.inf
    return max(scores, key=lambda rate: scores[rate])


def main(sizes: list[int]) -> None:
    """Trains what the results lack, and writes them after each training."""
    rows = json.loads(PATH.read_text()) if PATH.exists() else []
    images = vae_tf.data.load("binarized_mnist", binarization="none")
    everything, test = (
        np.concatenate([batch[0] if isinstance(batch, tuple) else batch for batch in batches])
        for batches in (images.train.batches(1000), images.test.batches(1000))
    )
    for size, seed, method in itertools.product(sizes, SEEDS, OBJECTIVES):
        own = {"examples": size, "method": method}
        done = [row for row in rows if own.items() <= row.items()]
        if any(row["seed"] == seed for row in done):
            continue
        x = everything[:size]
        judged = {"train": x[:JUDGED], "test": test[:JUDGED]}
        rate = done[0]["step_size"] if done else rate_of(method, x)
        vae = model(method, images.shape, rate, seed)
        curve = trained(vae, x, judged, marks_of(SAMPLES[size][method], size, POINTS), seed)
        row = {**own, "seed": seed, "step_size": rate, "curve": curve}
        if method == "Monte Carlo EM":
            row["leapfrog_step_size"] = float(np.exp(vae.objective.log_step_size.numpy()))
        rows.append({**row, "machine": common.machine(), "commit": common.commit()})
        PATH.write_text(json.dumps(rows, indent=1) + "\n")
        print(size, seed, method, rate, curve[-1], flush=True)


def page() -> None:
    """Draws the curves and writes the final estimates into docs/results.md."""
    from matplotlib.figure import Figure

    rows = json.loads(PATH.read_text())
    sizes = [size for size in SAMPLES if any(row["examples"] == size for row in rows)]
    text = "| training examples | method | seeds | samples | processor seconds | train | test |"
    text += " effective draws, test |\n|---|---|---|---|---|---|---|---|\n"
    figure = Figure((7.5, 2.9 * len(sizes)), dpi=110, layout="constrained")
    panels = figure.subplots(len(sizes), 2, squeeze=False)
    for line, size in zip(panels, sizes, strict=True):
        for method, colour in zip(OBJECTIVES, ("C0", "C1", "C2"), strict=True):
            own = {"examples": size, "method": method}
            runs = [row for row in rows if own.items() <= row.items()]
            for run in runs:
                for axes, across in zip(line, ("samples", "seconds"), strict=True):
                    at = [point[across] for point in run["curve"]]
                    for split, style in (("test", "-"), ("train", ":")):
                        label = f"{method}, {split}" if run is runs[0] else None
                        values = [point[split] for point in run["curve"]]
                        axes.plot(at, values, style, color=colour, label=label, lw=1)
            if not runs:
                continue
            last = [run["curve"][-1] for run in runs]
            cells = [f"{np.mean([point['seconds'] for point in last]):.0f}"]
            for split in ("train", "test"):
                values = [point[split] for point in last]
                spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
                cells.append(f"{np.mean(values):.1f}{spread}")
            share = np.mean([point["test_effective"] for point in last])
            cells.append(f"{share:.0%}")
            samples = f"{last[0]['samples']:,}"
            text += f"| {size:,} | {method} | {len(runs)} | {samples} | {' | '.join(cells)} |\n"
        for axes, across in zip(
            line, ("training samples evaluated", "processor seconds"), strict=True
        ):
            axes.set_xscale("log")
            axes.set_xlabel(across, fontsize=8)
            axes.set_title(f"{size:,} training examples", fontsize=8)
            axes.tick_params(labelsize=7)
            ends = [p["test"] for row in rows if row["examples"] == size for p in row["curve"]]
            axes.set_ylim(np.quantile(ends, 0.05), None)
    panels[0, 0].legend(fontsize=6)
    figure.supylabel("log p(x), nats", fontsize=8)
    figure.savefig(PAGE.parent / "images/aevb_marginal.png")
    common.write_table("aevb_marginal", text, PAGE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", default=["1000", "50000"], help="sizes, or page")
    given = parser.parse_args().what
    if given == ["page"]:
        page()
    else:
        main([int(size) for size in given])
