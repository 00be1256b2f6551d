"""What `train.py` chooses where only the data are given, beside other choices.

TFDS_DATA_DIR=... python benchmarks/defaults.py --faces frey.npy        what defaults.json lacks
TFDS_DATA_DIR=... python benchmarks/defaults.py --faces frey.npy NAME   the runs of this data set

Every run is `python train.py --dataset ...` with the flags of a method and no others. Choices are
made by the validation ELBO, `validation_elbo`; the test images are told of, not chosen by. Rates
are clocked beside whatever else the machine did.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import common
import numpy as np
from PIL import Image
from sklearn import datasets

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs/defaults"
PATH = common.RESULTS / "defaults.json"
SAMPLES = 500  # importance samples of each test example
MNIST = "--network mlp --batch-size 250 --weight-decay 0.2 --epochs 150 --patience 50"
METHODS = {
    "auto": "",
    "as for MNIST": f"{MNIST} --prior-components 500",
    "mlp": "--network mlp",
    "mlp, MNIST's step size": "--network mlp --learning-rate 0.002",
    "500 components": "--prior-components 500",
    "standard normal prior": "--prior normal",
}
CASES = {
    "frey": ("auto", "as for MNIST", "mlp", "500 components", "standard normal prior"),
    "photos": ("auto", "mlp", "mlp, MNIST's step size", "standard normal prior"),
    "patches_32": ("auto", "mlp", "standard normal prior"),
    "patches_64": ("auto",),
    "wine": ("auto",),
    "breast_cancer": ("auto",),
    "diabetes": ("auto",),
    "fashion_mnist": ("auto",),
    "binarized_mnist": ("auto",),
}


def patches(side: int, stride: int) -> np.ndarray:
    """Returns patches [N, side, side, 3] uint8 of scikit-learn's two photographs."""
    cut = [
        image[y : y + side, x : x + side]
        for image in datasets.load_sample_images().images
        for y in range(0, image.shape[0] - side + 1, stride)
        for x in range(0, image.shape[1] - side + 1, stride)
    ]
    return np.random.default_rng(0).permutation(np.stack(cut))


def dataset(name: str, faces: str | None) -> str | None:
    """Returns what `--dataset` is given, having written the files; None without the data."""
    RUNS.mkdir(parents=True, exist_ok=True)
    if name == "frey":
        return faces and f"array:{faces}"
    if name.startswith("patches"):
        side = int(name.rpartition("_")[2])
        path = RUNS / f"{name}.npy"
        np.save(path, patches(side, 16))
        return f"array:{path}"
    if name == "photos":
        folder = RUNS / "photos"
        folder.mkdir(exist_ok=True)
        for i, image in enumerate(patches(64, 8)[:300]):
            Image.fromarray(image).save(folder / f"{i:03}.jpg", quality=92)
        return f"folder:{folder}"
    if name in ("wine", "breast_cancer", "diabetes"):
        path = RUNS / f"{name}.csv"
        getattr(datasets, f"load_{name}")(as_frame=True).frame.to_csv(path, index=False)
        return f"table:{path}"
    return name


def lines(name: str, method: str, source: str) -> list[dict]:
    """Returns the numbers of a run, trained or gone on with first."""
    run = RUNS / re.sub(r"[^a-z0-9_]+", "-", f"{name} {method}".lower())
    own = ["--importance-samples", str(SAMPLES), "--run-dir", str(run), "--resume"]
    command = [sys.executable, str(ROOT / "train.py"), "--dataset", source]
    subprocess.run([*command, *METHODS[method].split(), *own], check=True, cwd=ROOT)
    report = json.loads((run / "report.json").read_text())
    test, shared = report["test"], {"data": name, "method": method}
    chosen = json.loads((run / "config.json").read_text()).get("chosen", "")
    return [
        {**shared, "metric": "validation_elbo", "value": report["validation"]["elbo"]},
        {**shared, "metric": "test_elbo", "value": test["elbo"]},
        {
            **shared,
            "metric": "test_nll",
            "value": test["importance_weighted_nll"],
            "stderr": test["importance_weighted_nll_stderr"],
            "importance_samples": SAMPLES,
            "few_effective_samples": test["few_effective_samples"],
        },
        {
            **shared,
            "metric": "train_seconds",
            "value": report["train_seconds"],
            "epochs": report["epochs"],
            "best_epoch": report["best_epoch"],
            "chosen": chosen,
            "commit": common.commit(),
        },
    ]


def main() -> None:
    """Runs what is asked for and writes it among the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=", ".join(CASES))
    parser.add_argument("--faces", help="the Frey faces, uint8 [1965, 28, 20] in a .npy file")
    args = parser.parse_args()
    for name in args.names or CASES:
        source = dataset(name, args.faces)
        if source is None:
            continue
        for method in CASES[name]:
            found = json.loads(PATH.read_text()) if PATH.exists() else []
            known = {(line["data"], line["method"]) for line in found}
            if (name, method) in known and not args.names:
                continue
            other = [x for x in found if (x["data"], x["method"]) != (name, method)]
            PATH.write_text(json.dumps([*other, *lines(name, method, source)], indent=1) + "\n")


if __name__ == "__main__":
    main()
