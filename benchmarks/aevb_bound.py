"""The bound of AEVB and of wake-sleep over training: Kingma and Welling (2014), figure 2.

TFDS_DATA_DIR=... python benchmarks/aevb_bound.py --faces frey.npy   what aevb_bound.json lacks
python benchmarks/aevb_bound.py page                                 picture and table of results

As in the paper: one hidden layer of tanh units (500 for MNIST, 200 for Frey faces), batches of 100,
one draw of z, Adagrad, and weights of N(0, 0.01^2) at first. AEVB and wake-sleep have the same
encoder, and each the step size, of STEP_SIZES, whose bound on validation data is best after a short
training. MNIST is statically binarized here, and a Gaussian decoder's mean for faces is a sigmoid.
`samples` counts training examples evaluated; bounds are of training and test examples, in nats.
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

import vae_tf
from vae_tf.errors import NonFiniteError
from vae_tf.objectives import ELBO, WakeSleep

PATH = common.RESULTS / "aevb_bound.json"
PAGE = common.RESULTS.parents[1] / "docs/results.md"
LATENTS = {"binarized_mnist": (3, 5, 10, 20, 200), "frey": (2, 5, 10, 20)}
HIDDEN = {"binarized_mnist": 500, "frey": 200}
SAMPLES = {"binarized_mnist": 1_000_000, "frey": 500_000}
TRIED = {"binarized_mnist": 50_000, "frey": 50_000}  # samples of the choice of step sizes
OBJECTIVES = {"AEVB": ELBO, "wake-sleep": WakeSleep}
STEP_SIZES, BATCH, SEEDS, POINTS = (0.01, 0.02, 0.1), 100, range(2), 14
JUDGED = 5000  # training examples, for their bound


def dense(inputs: Any, size: int, outputs: dict[str, Any], name: str) -> keras.Model:
    """Returns one hidden layer of tanh units, with heads of these shapes and activations."""
    start = keras.initializers.RandomNormal(stddev=0.01)
    x = keras.Input(inputs if isinstance(inputs, tuple) else (inputs,), name=name)
    h = keras.layers.Dense(size, "tanh", kernel_initializer=start)(keras.layers.Flatten()(x))
    heads = {}
    for head, (shape, activation) in outputs.items():
        width = int(np.prod(shape))
        flat = keras.layers.Dense(width, activation, kernel_initializer=start)(h)
        heads[head] = keras.layers.Reshape(shape)(flat)
    return keras.Model(x, heads)


def model(data: str, shape: tuple, latents: int, method: str, rate: float, seed: int) -> vae_tf.VAE:
    """Returns a compiled VAE of the paper's networks."""
    keras.utils.set_random_seed(seed)
    if data == "frey":
        likelihood: Any = vae_tf.likelihoods.GaussianPixelScale()
        heads = {name: (size, None) for name, size in likelihood.parameter_shapes(shape).items()}
        heads["loc"] = (shape, "sigmoid")
    else:
        likelihood = vae_tf.likelihoods.Bernoulli()
        heads = {name: (size, None) for name, size in likelihood.parameter_shapes(shape).items()}
    posterior = {"z_mean": ((latents,), None), "z_log_var": ((latents,), None)}
    encoder = dense(shape, HIDDEN[data], posterior, "x")
    decoder = dense(latents, HIDDEN[data], heads, "z")
    vae = vae_tf.VAE(
        encoder, decoder, likelihood=likelihood, objective=OBJECTIVES[method](), seed=seed
    )
    vae.compile(keras.optimizers.Adagrad(rate), steps_per_execution=50)
    return vae


def trained(vae: vae_tf.VAE, images, samples: int, points: int, seed: int) -> list[dict]:
    """Returns the bounds after numbers of samples that are equally far apart in logarithm."""
    train = images.train
    steps = train.steps_per_epoch(BATCH)
    epochs = max(1, round(samples / train.num_examples))
    marks = sorted({round(e) for e in np.geomspace(1, epochs, points)})
    judged = np.arange(min(JUDGED, train.num_examples))
    splits = {"train": train.part(judged), "test": images.test}
    done, found = 0, []
    for mark in marks:
        vae.fit(
            train.training_batches(BATCH, seed, done),
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=mark,
            shuffle=False,
            verbose=0,
        )
        done = mark
        bounds = {
            f"{name}_bound": vae.evaluate(split.batches(1000), verbose=0, return_dict=True)["elbo"]
            for name, split in splits.items()
        }
        found.append({"samples": done * train.num_examples, **bounds})
    return found


def rate_of(data: str, images, latents: int, method: str) -> float:
    """Returns the step size with the best validation bound after a short training."""
    scores = {}
    for rate in STEP_SIZES:
        vae = model(data, images.shape, latents, method, rate, seed=100)
        try:
            trained(vae, images, TRIED[data], 1, seed=100)
            validation = images.validation.batches(1000)
            scores[rate] = vae.evaluate(validation, verbose=0, return_dict=True)["elbo"]
        except NonFiniteError:
            scores[rate] = -np.inf
    return max(scores, key=lambda rate: scores[rate])


def main(faces: str | None) -> None:
    """Trains what the results lack, and writes them after each training."""
    rows = json.loads(PATH.read_text()) if PATH.exists() else []
    sources = {"binarized_mnist": "binarized_mnist", "frey": faces and f"array:{faces}"}
    splits = {
        data: vae_tf.data.load(source, binarization="none")
        for data, source in sources.items()
        if source
    }
    cases = [(data, latents) for data in splits for latents in LATENTS[data]]
    for seed, (data, latents), method in itertools.product(SEEDS, cases, OBJECTIVES):
        own = {"data": data, "latents": latents, "method": method}
        done = [row for row in rows if own.items() <= row.items()]
        if any(row["seed"] == seed for row in done):
            continue
        images = splits[data]
        rate = done[0]["step_size"] if done else rate_of(data, images, latents, method)
        began = time.perf_counter()
        vae = model(data, images.shape, latents, method, rate, seed)
        curve = trained(vae, images, SAMPLES[data], POINTS, seed)
        seconds = time.perf_counter() - began
        rows.append({**own, "seed": seed, "step_size": rate, "seconds": seconds})
        rows[-1] |= {"curve": curve, "machine": common.machine(), "commit": common.commit()}
        PATH.write_text(json.dumps(rows, indent=1) + "\n")
        print(data, latents, method, seed, curve[-1], f"{seconds:.0f} s", flush=True)


def page() -> None:
    """Draws the curves and writes the final bounds into docs/results.md."""
    from matplotlib.figure import Figure

    rows = json.loads(PATH.read_text())
    names = [data for data in LATENTS if any(row["data"] == data for row in rows)]
    text = (
        "| data | latents | samples | runs of each | AEVB, test bound | wake-sleep, test bound |\n"
    )
    text += "|---|---|---|---|---|---|\n"
    widest = max(len(LATENTS[name]) for name in names)
    figure = Figure((2.6 * widest, 2.5 * len(names)), dpi=110, layout="constrained")
    panels = figure.subplots(len(names), widest, squeeze=False)
    for line, data in zip(panels, names, strict=True):
        for axes in line[len(LATENTS[data]) :]:
            axes.set_axis_off()
        for axes, latents in zip(line, LATENTS[data], strict=False):
            cells, counts, samples = [], [], 0
            for method, colour in zip(OBJECTIVES, ("C0", "C1"), strict=True):
                own = {"data": data, "latents": latents, "method": method}
                runs = [row for row in rows if own.items() <= row.items()]
                for run in runs:
                    at = [point["samples"] for point in run["curve"]]
                    for split, style in (("test", "-"), ("train", ":")):
                        bound = [point[f"{split}_bound"] for point in run["curve"]]
                        first = run is runs[0]
                        label = f"{method}, {split}" if first else None
                        axes.plot(at, bound, style, color=colour, label=label, lw=1)
                samples = max([samples, *(run["curve"][-1]["samples"] for run in runs)])
                counts.append(len(runs))
                ends = [run["curve"][-1]["test_bound"] for run in runs]
                spread = f" to {max(ends):.1f}" if len(ends) > 1 else ""
                cells.append(f"{min(ends):.1f}{spread}" if ends else "")
            of_each = " and ".join(map(str, counts if counts[0] != counts[1] else counts[:1]))
            text += f"| {data} | {latents} | {samples:,} | {of_each} | {' | '.join(cells)} |\n"
            axes.set_xscale("log")
            axes.set_title(f"{data}, {latents} latents", fontsize=8)
            axes.tick_params(labelsize=6)
            ends = [p["test_bound"] for row in rows if row["data"] == data for p in row["curve"]]
            axes.set_ylim(np.quantile(ends, 0.1), max(ends) + 0.05 * np.ptp(ends))
    panels[0, 0].legend(fontsize=6)
    figure.supxlabel("training samples evaluated", fontsize=8)
    figure.supylabel("bound, nats", fontsize=8)
    figure.savefig(PAGE.parent / "images/aevb_bound.png")
    common.write_table("aevb_bound", text, PAGE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=["page"])
    parser.add_argument("--faces", help="frey_uint8_1965x28x20.npy")
    given = parser.parse_args()
    if given.what:
        page()
    else:
        main(given.faces)
