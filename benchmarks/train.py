"""Trains with train.py's flags and records what the run's report says.

python benchmarks/train.py binarized_mnist_mlp --dataset binarized_mnist
python benchmarks/train.py fashion_mnist_hierarchy --recipe colours --dataset fashion_mnist ...
"""

import json
import subprocess
import sys
from pathlib import Path

import common

ROOT = Path(__file__).parents[1]


def finished(run: Path, *flags: str) -> dict:
    """Returns the numbers of `train.py *flags` in `run`, resuming it if it was interrupted."""
    command = [sys.executable, str(ROOT / "train.py"), *flags]
    subprocess.run([*command, "--run-dir", str(run), "--resume"], check=True, cwd=ROOT)
    report = json.loads((run / "report.json").read_text())
    test = report["test"]
    result = {
        "command": " ".join(["python train.py", *flags]),
        "test_nll": test["importance_weighted_nll"],
        "test_nll_stderr": test["importance_weighted_nll_stderr"],
        "monte_carlo_stderr": test["monte_carlo_stderr"],
        "importance_samples": test["importance_samples"],
        "test_examples": report["examples"]["test"],
        "test_elbo": test["elbo"],
        "test_reconstruction": test["nll"],
        "test_kl": test["kl"],
        "train_seconds": report["train_seconds"],
        "train_processor_seconds": report.get("train_processor_seconds"),
        "evaluation_seconds": report["evaluation_seconds"],
        "epochs": report["epochs"],
        "best_epoch": report["best_epoch"],
        "parameters": report["parameters"],
        "config": report["config"],
        "versions": report["versions"],
    }
    # Of grey levels and colours
    result |= {key: value for key, value in test.items() if key.startswith("bits_per_dimension")}
    for key in ("run_dir", "resume", "data_dir", "export"):  # of the machine, not of the numbers
        result["config"].pop(key)
    return result


def main(name: str, *flags: str) -> None:
    """Trains in runs/<name>, and writes down what came of it."""
    print(common.write(name, finished(ROOT / "runs" / name, *flags)))


if __name__ == "__main__":
    main(*sys.argv[1:])
