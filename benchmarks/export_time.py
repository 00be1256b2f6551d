"""Time of a whole export, `vae_tf.export(..., options=FULL)`, of a model with fresh weights.

python benchmarks/export_time.py [MODEL ...]    all of MODELS, or these

`demo` is the model of `make demo`; the others are those of `train.py` on binarized MNIST. With each
go as many images of each split as `python -m export` passes on. `seconds` are of the clock and
`processor_seconds` of all threads and child processes; each model has a process of its own, and
imports and building are not counted.
"""

import dataclasses
import json
import multiprocessing
import os
import sys
import tempfile
import time

import common
import numpy as np

MNIST = {"dataset": "binarized_mnist"}
MODELS = {
    "demo": ("demo", {}),
    "mlp": ("mlp", {**MNIST, "network": "mlp", "prior": "mixture"}),
    "conv": ("mlp", {**MNIST, "network": "conv", "prior": "normal"}),
}
PATH = common.RESULTS / "export_time.json"


def measure(name: str) -> dict:
    """Returns the time of one model's export, by clock and by processor."""
    import vae_tf
    from vae_tf.exporting import FULL
    from vae_tf.recipes import recipe
    from vae_tf.runs.build import build_model, kind_of
    from vae_tf.runs.bundle import MOST_IMAGES

    base, settings = MODELS[name]
    config = dataclasses.replace(recipe(base), **settings)
    kind = kind_of(config)
    vae = build_model(config, kind)
    splits = {
        key: split.part(np.arange(min(MOST_IMAGES, split.num_examples))).array()
        for key in ("train", "validation", "test")
        for split in [getattr(kind.data, key)]
    }
    with tempfile.TemporaryDirectory() as directory:
        clock, processor = time.perf_counter(), sum(os.times()[:4])
        vae_tf.export(vae, directory, **splits, options=FULL)
        clock, processor = time.perf_counter() - clock, sum(os.times()[:4]) - processor
    return {"model": name, "seconds": round(clock, 1), "processor_seconds": round(processor, 1)}


def main(*names: str) -> None:
    """Measures and writes the results, beside those of models that are not measured again."""
    known = json.loads(PATH.read_text()) if PATH.exists() else []
    rows = {row["model"]: row for row in known}
    for name in names or MODELS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = pool.apply(measure, (name,))
        rows[name] = row | {"machine": common.machine(), "commit": common.commit()}
        print(json.dumps(row))
        PATH.write_text(json.dumps(list(rows.values()), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
