"""Rate and distortion over beta: Alemi et al. (2018), on binarized MNIST.

TFDS_DATA_DIR=... python benchmarks/rate_distortion.py   what rate_distortion.json lacks
python benchmarks/rate_distortion.py page                picture and tables of results

The rate is KL(q(z|x) || p(z)), the distortion E_q[-log p(x|z)], both in nats a test image; their
sum is the negative ELBO. One hidden layer of 200 units either way, Adam at 1e-3, batches of 200.
Active units are latents whose mean varies over test images (Burda et al. 2016, section 5.2).
"""

import argparse
import itertools
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import common
import keras
import numpy as np

import vae_tf
from vae_tf import evaluation
from vae_tf.networks import mlp_decoder, mlp_encoder

PATH = common.RESULTS / "rate_distortion.json"
PAGE = common.RESULTS.parents[1] / "docs/results.md"
BETAS, LATENTS, SEEDS = (0.1, 0.5, 1.0, 2.0, 5.0, 20.0), (32, 8, 2), range(2)
HIDDEN, BATCH, EPOCHS = (200,), 200, 8
TARGETS = (2, 5, 10, 15, 20, 30)  # nats, for the table of betas


def model(shape: tuple, latents: int, beta: float, seed: int) -> vae_tf.VAE:
    """Returns a compiled VAE."""
    keras.utils.set_random_seed(seed)
    likelihood = vae_tf.likelihoods.Bernoulli()
    encoder = mlp_encoder(shape, latents, HIDDEN)
    decoder = mlp_decoder(latents, likelihood.parameter_shapes(shape), HIDDEN)
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood, beta=beta, seed=seed)
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=25)
    return vae


def measured(vae: vae_tf.VAE, x: np.ndarray) -> dict:
    """Returns rate and distortion in nats an example, and the number of active units."""
    logs = vae.evaluate(x, batch_size=1000, verbose=0, return_dict=True)
    active = evaluation.active_units(vae.encode(x).mean())
    return {"rate": logs["kl"], "distortion": logs["nll"], "active": int(active.sum())}


def optimum(variances: np.ndarray, scale: float, beta: float) -> dict:
    """Returns rate, distortion and active units of the best linear VAE of normal data.

    With p(x|z) = N(W z + b, scale^2 I) the loss asks for the least E|x - E[x|z]|^2 / (2 scale^2) +
    beta I(x; z). That is reverse water-filling (Cover and Thomas 2006, theorem 10.3.3) at the level
    beta scale^2: a principal component of greater variance keeps an error of the level and costs
    log(variance / level) / 2 nats, and one of less is left out.

    Args:
        variances: of the data's principal components; there are as many latents.
        scale: of the likelihood.
        beta: weight of the rate.
    """
    level = beta * scale**2
    error = np.minimum(variances, level)
    normalizer = 0.5 * len(variances) * np.log(2 * np.pi * scale**2)
    return {
        "rate": float(0.5 * np.sum(np.log(variances / error))),
        "distortion": float(np.sum(error) / (2 * scale**2) + normalizer),
        "active": int(np.sum(variances > level)),
    }


def beta_for(rate: float, points: list[tuple[float, float]]) -> float | None:
    """Returns the beta that gives a rate, by interpolation of its logarithm; None outside of all.

    Args:
        rate: in nats.
        points: (beta, rate) that were measured, rates falling with beta.
    """
    betas, rates = np.array(sorted(points)).T
    if not rates.min() <= rate <= rates.max():
        return None
    inner = np.interp(rate, rates[::-1], np.log(betas)[::-1])
    return float(np.exp(inner))


def main() -> None:
    """Trains what the results lack, and writes them after each training."""
    rows = json.loads(PATH.read_text()) if PATH.exists() else []
    images = vae_tf.data.load("binarized_mnist", binarization="none")
    train, test = (np.concatenate(list(s.batches(1000))) for s in (images.train, images.test))
    for seed, latents, beta in itertools.product(SEEDS, LATENTS, BETAS):
        own = {"latents": latents, "beta": beta, "seed": seed}
        if any(own.items() <= row.items() for row in rows):
            continue
        began = time.process_time()
        vae = model(images.shape, latents, beta, seed)
        vae.fit(train, batch_size=BATCH, epochs=EPOCHS, verbose=0)
        row = {**own, **measured(vae, test), "seconds": time.process_time() - began}
        rows.append({**row, "machine": common.machine(), "commit": common.commit()})
        PATH.write_text(json.dumps(rows, indent=1) + "\n")
        print(row, flush=True)


def page() -> None:
    """Draws the curves and writes the tables into docs/results.md."""
    from matplotlib.figure import Figure

    rows = json.loads(PATH.read_text())
    figure = Figure((9.5, 3.2), dpi=110, layout="constrained")
    plane, rates, units = figure.subplots(1, 3)
    text = "| latents | beta | rate | distortion | rate + distortion | active units |\n"
    text += "|---|---|---|---|---|---|\n"
    curves = {}
    for latents, colour in zip(LATENTS, ("C0", "C1", "C2"), strict=True):
        points = []
        for beta in BETAS:
            runs = [row for row in rows if (row["latents"], row["beta"]) == (latents, beta)]
            if not runs:
                continue
            found = {name: [run[name] for run in runs] for name in ("rate", "distortion", "active")}
            sums = [run["rate"] + run["distortion"] for run in runs]
            cells = [_spread(values) for values in (found["rate"], found["distortion"], sums)]
            active = " to ".join(map(str, sorted({min(found["active"]), max(found["active"])})))
            text += f"| {latents} | {beta:g} | {' | '.join(cells)} | {active} |\n"
            points.append((beta, *(float(np.mean(values)) for values in found.values())))
            if latents == max(LATENTS):
                plane.annotate(f"{beta:g}", points[-1][1:3], fontsize=6)
        if not points:
            continue
        betas, rate, distortion, active = np.array(points).T
        curves[latents] = list(zip(betas, rate, strict=True))
        for axes, across, up in (
            (plane, rate, distortion),
            (rates, betas, rate),
            (units, betas, active),
        ):
            axes.plot(across, up, "o-", color=colour, ms=3, lw=1, label=f"{latents} latents")
    for axes, across, up in (
        (plane, "rate, nats", "distortion, nats"),
        (rates, "beta", "rate, nats"),
        (units, "beta", "active units"),
    ):
        axes.set_xlabel(across, fontsize=8)
        axes.set_ylabel(up, fontsize=8)
        axes.tick_params(labelsize=7)
        if across == "beta":
            axes.set_xscale("log")
    plane.legend(fontsize=7)
    figure.savefig(PAGE.parent / "images/rate_distortion.png")
    text += "\n| target rate, nats | " + " | ".join(f"{n} latents" for n in curves) + " |\n"
    text += "|---" * (len(curves) + 1) + "|\n"
    for target in TARGETS:
        betas = [beta_for(target, points) for points in curves.values()]
        cells = ["not measured" if beta is None else f"{beta:.2g}" for beta in betas]
        text += f"| {target} | {' | '.join(cells)} |\n"
    common.write_table("rate_distortion", text, PAGE)


def _spread(values: list[float]) -> str:
    """Returns the one value, or the least and the greatest."""
    low, high = (f"{value:.1f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=["page"])
    page() if parser.parse_args().what else main()
