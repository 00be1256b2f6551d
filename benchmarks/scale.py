"""Training on one, two and four workers: throughput, memory, and whether the losses are alike.

TFDS_DATA_DIR=... python benchmarks/scale.py [rounds]   results/scale.json
TFDS_DATA_DIR=... python benchmarks/scale.py memory     the memory alone, anew
python benchmarks/scale.py page                         the table of docs/scale.md

Each is `scripts/launch N train.py` on binarized MNIST, each worker with one thread of TensorFlow,
and the same batches of all workers together. `images_per_second` is that of the median epoch after
the first, which compiles, over rounds in which the numbers of workers take turns. `loss` is that of
the last training epoch. More workers than cores say nothing about speed: the loss counts alone, and
they train in the first round only. `peak_bytes` is the resident memory of the largest worker.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import common

ROOT = Path(__file__).parents[1]
PATH, PAGE = common.RESULTS / "scale.json", ROOT / "docs/scale.md"
EXAMPLES, EPOCHS = 50_000, 3
NETWORKS = {
    "conv": ["--network", "conv", "--latent-dim", "16"],
    "mlp": ["--hidden", "500", "500", "--latent-dim", "40"],
}
# A network, the batch size of all workers together, and how many workers there are
CASES = (("conv", 512, (1, 2, 4)), ("conv", 1024, (1, 2)), ("mlp", 512, (1, 2, 4)))
PEAK = (  # of the processes below this one, each counted alone
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def trained(network: str, size: int, replicas: int, epochs: int) -> tuple[list[dict], int]:
    """Returns the epochs of one training, as metrics.csv has them, and its peak of memory."""
    with tempfile.TemporaryDirectory() as run:
        command = [str(ROOT / "scripts/launch"), str(replicas), sys.executable]
        command += [str(ROOT / "train.py"), "--dataset", "binarized_mnist", *NETWORKS[network]]
        command += ["--epochs", str(epochs), "--batch-size", str(size), "--overwrite"]
        command += ["--importance-samples", "1", "--run-dir", f"{run}/run"]
        own = {name: "1" for name in THREADS} | {"VAE_TF_WORKER_SECONDS": "300", "RESTARTS": "0"}
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *command],
            env=os.environ | own,
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        with open(f"{run}/run/metrics.csv") as file:
            rows = [{name: float(v) for name, v in row.items()} for row in csv.DictReader(file)]
    return rows, int(done.stdout.split()[-1])


def main(rounds: int) -> None:
    """Measures all, and writes after each case."""
    rows = []
    for network, size, counts in CASES:
        speeds: dict[int, list[float]] = {replicas: [] for replicas in counts}
        losses, peaks = {}, {}
        for turn in range(rounds):
            for replicas in counts:
                if turn and replicas > (os.cpu_count() or 1):
                    continue
                epochs, peaks[replicas] = trained(network, size, replicas, EPOCHS)
                speeds[replicas] += [EXAMPLES / epoch["seconds"] for epoch in epochs[1:]]
                losses[replicas] = epochs[-1]["loss"]
        for replicas in counts:
            speed = statistics.median(speeds[replicas])
            row = {"network": network, "batch_size": size, "replicas": replicas}
            row["images_per_second"] = speed
            row["ratio"] = speed / statistics.median(speeds[1])
            row |= {"slowest": min(speeds[replicas]), "fastest": max(speeds[replicas])}
            row["peak_bytes"] = peaks[replicas]
            turns = len(speeds[replicas]) // (EPOCHS - 1)
            rows.append(row | {"loss": losses[replicas], "rounds": turns})
            print(rows[-1], flush=True)
        common.write("scale", {"rows": rows})


def memory() -> None:
    """Measures the memory of all cases, and writes it beside the speeds that are known."""
    rows = json.loads(PATH.read_text())["rows"]
    for row in rows:
        case = row["network"], row["batch_size"], row["replicas"]
        row["peak_bytes"] = trained(*case, epochs=1)[1]
        print(case, row["peak_bytes"], flush=True)
    common.write("scale", {"rows": rows})


def page() -> None:
    """Writes the table into docs/scale.md."""
    result = json.loads(PATH.read_text())
    text = "| network | batch size | workers | images a second | times one worker's "
    text += "| MB of memory each | loss of the last epoch |\n|---|---|---|---|---|---|---|\n"
    for row in result["rows"]:
        beyond = row["replicas"] > result["machine"]["cores"]
        speed = "" if beyond else f"{row['images_per_second']:,.0f}"
        ratio = "" if beyond else f"{row['ratio']:.2f}"
        cells = (row["network"], f"{row['batch_size']:,}", row["replicas"], speed, ratio)
        cells += (f"{row['peak_bytes'] / 1e6:,.0f}", f"{row['loss']:.4f}")
        text += f"| {' | '.join(map(str, cells))} |\n"
    common.write_table("scale", text, PAGE)


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        page()
    elif sys.argv[1:] == ["memory"]:
        memory()
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 3)
