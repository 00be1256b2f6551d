"""Load on exported SavedModels in the C++ loader: 20,000 requests, 8 threads, all signatures.

python benchmarks/export_load.py [BUNDLE] [--requests N]

Signatures and batch sizes are mixed at random. Each answer is compared, to the last bit, with the
earlier ones to the same request, and each that is new with TensorFlow's Python loader. Without
BUNDLE the models are MLPs of MNIST's size that never were trained. A latency is that of one run
while the other threads want the same cores. With another number of requests the result is shown
and not written.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import common
import numpy as np

from vae_tf import distributions, networks
from vae_tf.errors import ExportError
from vae_tf.exporting import Bundle, manifest, write_bundle
from vae_tf.exporting.options import Options
from vae_tf.exporting.serving.warmup import example_picture
from vae_tf.formats import parity
from vae_tf.formats.runtimes import cpp_loader, saved_model
from vae_tf.models.parts import Parts
from vae_tf.signatures.endpoint import example_of
from vae_tf.signatures.probes import filled

REQUESTS, WARMUP, THREADS = 20_000, 2_000, 8
BATCH_SIZES = (1, 2, 4, 7, 16, 32)
SHAPE, LATENT_DIM, HIDDEN = (28, 28, 1), 32, (500, 500)
# What may be in memory at the end above what was after the warm-up: the allocator's slack
GROWTH = 16 * 2**20
PROGRAM = Path(__file__).with_name("c_api_load.py")


def make_bundle(directory: Path) -> Bundle:
    """Returns a bundle of untrained MLPs, with a prior whose draws are some work."""
    likelihood = distributions.Bernoulli()
    parts = Parts(
        encoder=networks.mlp_encoder(SHAPE, LATENT_DIM, HIDDEN, seed=0),
        decoder=networks.mlp_decoder(
            LATENT_DIM, likelihood.parameter_shapes(SHAPE), HIDDEN, seed=1
        ),
        prior=distributions.MixtureOfNormals(LATENT_DIM, components=20),
        posterior=distributions.DiagonalNormal(),
        likelihood=likelihood,
    )
    return write_bundle(
        parts,
        preprocessing={"scale": 1 / 255, "value_range": [0.0, 1.0]},
        options=Options(whole=True, importance_samples=8),
        directory=directory,
    )


def requests(signatures: dict, sizes: Sequence[int] = BATCH_SIZES) -> list[tuple[str, dict]]:
    """Returns (signature, inputs) for each signature of a manifest and each batch size."""
    rng = np.random.default_rng(0)

    def values(spec: dict, size: int) -> np.ndarray:
        shape = (size, *spec["shape"][1:])
        if "choices" in spec or "typical" in spec:
            return filled(shape, example_of(spec), spec["dtype"])
        if spec["dtype"] == "string":
            return np.full(shape, example_picture(signatures), object)
        if spec["dtype"] == "int32":
            low, high = map(int, spec.get("range", (-(2**31), 2**31 - 1)))
            return rng.integers(low, high + 1, shape).astype(np.int32)
        drawn = rng.uniform(size=shape) if "only" not in spec else np.full(shape, spec["only"])
        drawn = drawn.round() if spec.get("whole") else drawn
        return (drawn * (255 if spec["dtype"] == "uint8" else 1)).astype(spec["dtype"])

    return [
        (name, {key: values(spec, size) for key, spec in signature["inputs"].items()})
        for name, signature in signatures.items()
        for size in sizes
    ]


def load(directory: Path, count: int = REQUESTS) -> dict:
    """Returns throughput, latencies and memory of `count` requests to the bundle in `directory`.

    Raises:
        ExportError: for a request that failed, or a wrong answer.
    """
    signatures = manifest.read(directory)["signatures"]
    pool = requests(signatures)
    paths = {name: directory / entry["saved_model"] for name, entry in signatures.items()}
    report = drive(pool, paths, count, min(WARMUP, count))
    check(report, pool, paths)
    return summary(report, pool)


def check(report: dict, pool: list, paths: dict[str, Path]) -> None:
    """Refuses errors and wrong answers.

    Raises:
        ExportError: for the first of them.
    """
    if report["errors"]:
        received = f"{len(report['errors'])} errors, the first: {report['errors'][0]}"
        raise ExportError("every request must be answered", received, "Look at that signature.")
    for name, path in paths.items():
        asked = [i for i, (signature, _) in enumerate(pool) if signature == name]
        expected = saved_model.run(path, name, [pool[i][1] for i in asked])
        for i, want in zip(asked, expected, strict=True):
            for answer in report["answers"][i]:
                have = {key: cpp_loader._unpacked(x) for key, x in answer.items()}
                parity.compare("the C++ loader under load", name, [want], [have])


def summary(report: dict, pool: list) -> dict:
    """Returns throughput, latencies and memory of a report."""
    indices, seconds = np.reshape(report["latencies"], (-1, 2)).T
    rows = np.array([len(next(iter(inputs.values()))) for _, inputs in pool])[indices.astype(int)]
    names = np.array([name for name, _ in pool])[indices.astype(int)]
    microseconds = 1e6 * seconds
    return {
        "requests": len(seconds),
        "threads": THREADS,
        "batch_sizes": list(BATCH_SIZES),
        "requests_per_second": len(seconds) / report["seconds"],
        "rows_per_second": float(rows.sum() / report["seconds"]),
        **_percentiles(microseconds),
        "signatures": {
            name: {
                "requests": int((names == name).sum()),
                **_percentiles(microseconds[names == name]),
            }
            for name in dict.fromkeys(name for name, _ in pool)
        },
        "different_answers_to_one_request": max(map(len, report["answers"])),
        "resident_mib": [round(size / 2**20, 1) for size in report["resident"]],
        "memory_flat": max(report["resident"]) - report["resident"][0] <= GROWTH,
    }


def _percentiles(microseconds: np.ndarray) -> dict[str, float]:
    return {f"p{p}_us": round(float(np.percentile(microseconds, p)), 1) for p in (50, 99)}


def drive(
    pool: list, paths: dict[str, Path], count: int, warmup: int, threads: int = THREADS
) -> dict:
    """Returns the report of c_api_load.py in a process of its own."""
    plan = {
        "tf_c_api": str(cpp_loader.PROGRAM),
        "libraries": [str(path) for path in cpp_loader.libraries()],
        "threads": threads,
        "requests": count,
        "warmup": warmup,
        "pool": [
            {
                "saved_model": str(paths[name]),
                "signature": name,
                "inputs": {key: cpp_loader._packed(x) for key, x in inputs.items()},
            }
            for name, inputs in pool
        ],
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", PROGRAM],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
    )
    return json.loads(done.stdout)


def main() -> None:
    """Puts the load on a bundle that is there, or on one made for it, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", help="a directory that was exported")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(flags.bundle) if flags.bundle else make_bundle(Path(scratch)).directory
        result = load(directory, flags.requests)
    result = {"model": flags.bundle or "MLP 784-500-500-32", **result}
    print(json.dumps(result, indent=2))
    if flags.requests == REQUESTS:
        common.write("export_load", result)


if __name__ == "__main__":
    main()
