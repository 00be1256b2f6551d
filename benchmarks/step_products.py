"""How much of a training step its matrix products take, for a model of each family.

TFDS_DATA_DIR=... python benchmarks/step_products.py            all families
TFDS_DATA_DIR=... python benchmarks/step_products.py NAME ...   these, anew
python benchmarks/step_products.py page                         the table of docs/speed.md

Each family is a recipe, or train.py's own choice for its data, on one thread of TensorFlow.

step: seconds of processor time of a step of `fit`, data, reports and Python included.
products: seconds a step that a trace shows within matrix products and convolutions, forwards and
    backwards, as they run in the step: with a bias and an activation where TensorFlow fused them.
    The median over executions of each operation, so that other work on the machine counts little.
ratio: of step to products.
"""

import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import common
import keras
import numpy as np
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

from vae_tf.profiling.fitting import FOREVER, Tracer
from vae_tf.recipes import RECIPES
from vae_tf.runs.build import build_model, kind_of
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.suited import suited

PATH, PAGE = common.RESULTS / "step_products.json", common.RESULTS.parents[1] / "docs/speed.md"
SERIES = "series:{}/series.npy"
FAMILIES: dict[str, TrainConfig] = {
    "mlp": TrainConfig(dataset="binarized_mnist", batch_size=128, prior="normal"),
    "mlp, mixture prior": TrainConfig(dataset="binarized_mnist", batch_size=128),
    "conv": TrainConfig(dataset="binarized_mnist", network="conv", batch_size=128, prior="normal"),
    "two groups": TrainConfig(dataset="binarized_mnist", latents=(8, 40), batch_size=128),
    "flagship": RECIPES["flagship"],
    "m2": RECIPES["m2"],
    "text": RECIPES["text"],
    "series": dataclasses.replace(RECIPES["series"], dataset=SERIES),
}
PRODUCTS = ("MatMul", "Conv2D", "Einsum")  # parts of the names of the kernels' types
WARM, STEPS, ROUNDS = 20, 60, 5


class Clock(keras.callbacks.Callback):
    """Takes the processor time of rounds of steps, after some that are not counted.

    Attributes:
        rounds: seconds a step, one number a round.
    """

    def __init__(self):
        super().__init__()
        self.rounds: list[float] = []
        self.began: tuple[int, float] | None = None

    def on_train_batch_end(self, batch, logs=None):
        """Starts a round, or ends it; the last one stops `fit`."""
        steps = int(self.model.optimizer.iterations)
        if self.began is None and steps >= WARM:
            self.began = (steps, time.process_time())
        elif self.began is not None and steps - self.began[0] >= STEPS:
            now = time.process_time()
            self.rounds.append((now - self.began[1]) / (steps - self.began[0]))
            self.began = (steps, now)
            self.model.stop_training = len(self.rounds) >= ROUNDS


def products(logs: Path) -> float:
    """Returns the seconds within matrix products of all steps of the trace below `logs`.

    Raises:
        SystemExit: the trace has none, as where the kernels have other names.
    """
    space, seconds = XSpace(), defaultdict(list)
    (path,) = logs.rglob("*.xplane.pb")
    space.ParseFromString(path.read_bytes())
    for plane in (p for p in space.planes if p.name == "/host:CPU"):
        names = {number: entry.name for number, entry in plane.event_metadata.items()}
        for event in (e for line in plane.lines for e in line.events):
            operation, _, kernel = names[event.metadata_id].rpartition(":")
            if operation and any(part in kernel for part in PRODUCTS):
                seconds[operation].append(event.duration_ps * 1e-12)
    if not seconds:
        sys.exit("error: a trace must show matrix products. Received: none. Look at its kernels.")
    return sum(len(found) * statistics.median(found) for found in seconds.values())


def measure(name: str, scratch: Path) -> dict:
    """Returns the numbers of a family."""
    config = FAMILIES[name]
    if config.dataset == SERIES:
        rng = np.random.default_rng(0)
        np.save(scratch / "series.npy", rng.normal(size=(2000, 64, 3)).cumsum(1).astype("f4"))
        config = dataclasses.replace(config, dataset=SERIES.format(scratch))
    kind = kind_of(config)
    config, _ = suited(config, kind)
    vae = build_model(config, kind)
    steps = {"steps_per_epoch": kind.steps_per_epoch(config)}
    # A trace of one step after the other: their number is known
    given = {"epochs": FOREVER, "shuffle": False, "verbose": 0, **steps}
    clock = Clock()
    vae.fit(kind.training_batches(config, 0), callbacks=[clock], **given)
    tracer = Tracer(scratch / "logs")
    vae.fit(kind.training_batches(config, 0), callbacks=[tracer], **given)
    tracer.stop()
    traced = int(vae.optimizer.iterations) - tracer.began
    step = statistics.median(clock.rounds)
    within = products(scratch / "logs") / traced
    return {
        "name": name,
        "batch_size": config.number("batch_size"),
        "step": step,
        "products": within,
        "ratio": step / within,
        "rounds": clock.rounds,
        "traced_steps": traced,
    }


def main(names: list[str]) -> None:
    """Measures the families that are asked for, or all."""
    for name in names or FAMILIES:
        keras.utils.clear_session()
        with tempfile.TemporaryDirectory() as scratch:
            entry = measure(name, Path(scratch))
        known = json.loads(PATH.read_text())["families"] if PATH.exists() else []
        rows = {row["name"]: row for row in [*known, entry]}
        common.write("step_products", {"families": [rows[n] for n in FAMILIES if n in rows]})
        print(json.dumps(entry), flush=True)


def page() -> None:
    """Writes the table."""
    text = "| model | batch size | ms a step | ms in products | times the products |\n"
    text += "|---|---|---|---|---|\n"
    for row in json.loads(PATH.read_text())["families"]:
        name, size, step, within = (row[k] for k in ("name", "batch_size", "step", "products"))
        text += f"| {name} | {size} | {1e3 * step:,.1f} | {1e3 * within:,.1f} | "
        text += f"{row['ratio']:.2f} |\n"
    common.write_table("step_products", text, PAGE)


if __name__ == "__main__":
    page() if sys.argv[1:] == ["page"] else main(sys.argv[1:])
