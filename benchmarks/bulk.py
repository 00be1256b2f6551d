"""Bulk scoring beside a bare loop over the same SavedModel: rows by second of processor time.

`python benchmarks/bulk.py [rows [rounds]]`, in `.venv-beam`, writes results/bulk.json: for each
runner and number of processes the rows per processor second, which other work on the machine
touches least, and their ratio to the loop's. The loop has its data in memory, has its SavedModel
read, and keeps its answers; the job is the command from its start to its end, with imports,
reading and writing.
`ratio_after_start` leaves out what a job of one batch a process takes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

import common
import numpy as np
import tensorflow as tf

import vae_tf
from vae_tf.exporting import Options

BATCH, SHARD = 256, 2048


def bundle_of(directory: Path) -> tuple[Path, np.ndarray]:
    """Returns a bundle of a small model of digits, and the digits."""
    data = vae_tf.data.load("digits", binarization="static")
    likelihood = vae_tf.likelihoods.Bernoulli()
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((8, 8, 1), 8, hidden=(128,)),
        vae_tf.networks.mlp_decoder(8, likelihood.parameter_shapes((8, 8, 1)), hidden=(128,)),
        likelihood=likelihood,
    )
    vae.compile("adam")
    vae.fit(data.train.array(), epochs=5, verbose=0)
    vae_tf.export(vae, directory / "bundle", options=Options(whole=True, only="savedmodel"))
    return directory / "bundle", data.train.array()


def loop(bundle: Path, x: np.ndarray) -> float:
    """Returns the processor seconds of scoring x in batches, the first one not counted."""
    loaded = tf.saved_model.load(str(bundle / "vae" / "1"))
    score = loaded.signatures["score"]
    seeds = np.arange(len(x), dtype="int32")

    def answer(start: int) -> dict[str, np.ndarray]:
        rows = slice(start, start + BATCH)
        outputs = score(image=tf.constant(x[rows]), seed=tf.constant(seeds[rows]))
        return {name: value.numpy() for name, value in outputs.items()}

    answer(0)
    began = time.process_time()
    kept = [answer(start) for start in range(0, len(x), BATCH)]
    assert len(kept) == -(-len(x) // BATCH)
    return time.process_time() - began


def job(bundle: Path, x: np.ndarray, processes: int) -> tuple[float, float]:
    """Returns processor seconds and seconds on the clock of the command."""
    with tempfile.TemporaryDirectory() as home:
        np.save(f"{home}/x.npy", x)
        command = [sys.executable, "-m", "vae_tf.bulk", "score", "--bundle", str(bundle)]
        command += ["--input", f"{home}/x.npy", "--output", f"{home}/out"]
        command += ["--batch-rows", str(BATCH), "--shard-rows", str(SHARD)]
        before, began = os.times(), time.perf_counter()
        subprocess.run([*command, "--processes", str(processes)], check=True)
        after = os.times()
        spent = sum(after[2:4]) - sum(before[2:4])
        return spent, time.perf_counter() - began


def main(rows: int = 200_000, rounds: int = 3) -> None:
    """Writes the results."""
    with tempfile.TemporaryDirectory() as home:
        bundle, digits = bundle_of(Path(home))
        x = np.tile(digits, (-(-rows // len(digits)), 1, 1, 1))[:rows]
        seconds: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        bare, starts = [], {}
        for _ in range(rounds):  # in turn, so that what else the machine does hits all alike
            bare.append(loop(bundle, x))
            for processes, found in seconds.items():
                found.append(job(bundle, x, processes))
                print(processes, "processes:", found[-1], "loop:", bare[-1], flush=True)
        for processes in seconds:
            starts[processes] = job(bundle, x[: BATCH * processes], processes)[0]
    known = {"rows": rows, "rounds": rounds, "machine": common.machine(), "commit": common.commit()}
    loop_rate = rows / float(np.median(bare))
    lines = [
        {"runner": "loop", "processes": 1, "rows_per_second": loop_rate, "ratio": 1.0, **known}
    ]
    for processes, found in seconds.items():
        spent, clock = np.median(found, 0)
        rate = rows / spent
        lines.append(
            {
                "runner": "in process",
                "processes": processes,
                "rows_per_second": rate,
                "ratio": rate / loop_rate,
                "ratio_after_start": rows / (spent - starts[processes]) / loop_rate,
                "start_seconds": starts[processes],
                "seconds_on_the_clock": clock,
                **known,
            }
        )
    (common.RESULTS / "bulk.json").write_text(json.dumps(lines, indent=2) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
