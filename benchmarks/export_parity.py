"""Parity of every runtime with Keras: {runtime, variant} x {network, prior} x signature.

python benchmarks/export_parity.py [CASE ...]    all that results/export_parity.json lacks, or these

Models learn binarized MNIST for a few epochs (runs/parity/CASE; a run that is there is used).
`max_error` is the largest |error| over the largest |output|; `delta_nll` the mean change of the
importance-weighted NLL of 256 test images, 4 draws each, in nats; a latency is the median of one
row, or of the file's batch, on one thread where the runtime can be told so.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import common
import numpy as np
import runtimes

from vae_tf.exporting import Bundle
from vae_tf.formats.litert.nll import HeldOut
from vae_tf.runs.build import kind_of
from vae_tf.runs.bundle import export_run
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.training import load_run, train
from vae_tf.signatures import row_rng
from vae_tf.signatures.halves import Halves

RUNS = Path(__file__).parents[1] / "runs/parity"
PATH = common.RESULTS / "export_parity.json"
PRIORS = ("normal", "learned-normal", "mixture", "vamp", "realnvp", "maf")
CASES = {"conv": ("conv", "normal"), **{prior: ("mlp", prior) for prior in PRIORS}}
HALVES = {"encode": "encoder", "decode": "decoder", "generate": "decoder"}
EPOCHS = {"conv": 3, "mlp": 8}
ROWS, JUDGED, DRAWS = 64, 256, 4


def trained(case: str) -> Path:
    """Returns the run of a case, training it if it is not there."""
    network, prior = CASES[case]
    run = RUNS / case
    if not (run / "report.json").exists():
        train(
            TrainConfig(
                dataset="binarized_mnist",
                network=network,
                prior=prior,
                epochs=EPOCHS[network],
                importance_samples=0,
                run_dir=str(run),
            )
        )
    return run


def reference(vae, batches: dict) -> dict:
    """Returns signature -> outputs by the model's own parts; of vae_tf.exporting, noise alone."""
    seed, temperature = batches["generate"].values()
    normal, uniform = row_rng.normals(seed, vae.prior.latent_dim), row_rng.uniforms(seed, 1)[:, 0]
    z = vae.prior.from_noise(temperature[:, None] * normal, uniform)
    of = {
        "encode": vae.posterior.statistics(vae.encoder(batches["encode"]["image"])),
        "decode": vae.likelihood.statistics(vae.decoder(batches["decode"]["z"])),
        "generate": {**vae.likelihood.statistics(vae.decoder(z)), "z": z},
    }
    return {s: {k: np.asarray(v) for k, v in outputs.items()} for s, outputs in of.items()}


def error(expected: dict, received: dict) -> float:
    """Returns the largest error of any output, relative to its largest value."""
    return max(
        float(np.abs(received[k].reshape(v.shape) - v).max() / np.abs(v).max())
        for k, v in expected.items()
    )


def nll(held_out: HeldOut, signature: str, outputs: dict) -> float:
    """Returns the mean NLL of the held-out images with a half's outputs."""
    by = held_out.by_encoder if signature == "encode" else held_out.by_decoder
    return float(np.mean(by(outputs)))


def servers(
    bundle: Bundle, batches: dict, expected: dict, held_out: HeldOut, by_keras: dict
) -> Iterator[dict]:
    """Yields a row for each runtime that runs SavedModels, or what is made of them."""
    judged = {
        "encode": {"image": held_out.inputs["encoder"]["image"]},
        "decode": {"z": held_out.inputs["decoder"]["z"]},
    }
    for signature, batch in batches.items():
        row = {name: value[:1] for name, value in batch.items()}
        for kind in runtimes.SERVERS:
            try:
                runtime = kind(getattr(bundle, HALVES[signature]), signature)
            except LookupError:
                continue
            entry = {
                "runtime": runtime.name,
                "variant": "float32",
                "signature": signature,
                "half": HALVES[signature],
                "max_error": error(expected[signature], runtime(batch)),
                "bytes": runtime.bytes,
                "latency_us": runtime.latency(row),
                "delta_nll": None,
            }
            # The C++ program prints its numbers: too many here, and it runs the C API's graph.
            if signature in judged and kind is not runtimes.CppProgram:
                outputs = runtime(judged[signature])
                entry["delta_nll"] = nll(held_out, signature, outputs) - by_keras[signature]
            yield entry


def litert(bundle: Bundle) -> Iterator[dict]:
    """Yields a row for each signature of each LiteRT file, refused ones too, from the report."""
    directory = bundle.directory / "litert" / str(bundle.version)
    for entry in json.loads((directory / "report.json").read_text())["files"]:
        for signature, errors in entry["max_error"].items():
            first = signature == entry["signatures"][0]
            yield {
                "runtime": "LiteRT",
                "variant": f"{entry['precision']}, batch {entry['batch'] or 'free'}",
                "signature": signature,
                "half": entry["half"],
                "max_error": max(e["max_relative_error"] for e in errors.values()),
                "bytes": entry["bytes"],
                "latency_us": entry["latency_us"] if first else None,
                "delta_nll": entry["delta_nll"] if first else None,
                "refused": entry["refused"],
                "recommended": entry["recommended"],
            }


def browser(bundle: Bundle, batches: dict, expected: dict) -> Iterator[dict]:
    """Yields a row for each signature in the page, float32 and int8."""
    z, image = batches["decode"]["z"], batches["encode"]["image"]
    seeds = zip(*batches["generate"].values(), strict=True)
    calls = {
        ("encode", "encoder"): ("encode(row[0])", [[x] for x in image]),
        ("decode", "decoder"): ("decode(row[0])", [[x] for x in z]),
        ("decode", "int8"): ("decode(row[0], 'int8')", [[x] for x in z]),
        ("generate", "decoder"): (
            "generate(row[0], row[1])",
            [[int(seed), float(t)] for seed, t in seeds],
        ),
    }
    with tempfile.TemporaryDirectory() as scratch:
        page = runtimes.Browser(bundle.directory, Path(scratch))
        try:
            for (signature, role), (call, rows) in calls.items():
                answers = page(call, rows)
                received = {k: np.stack([a[k] for a in answers]) for k in answers[0]}
                yield {
                    "runtime": "browser",
                    "variant": "int8" if role == "int8" else "float32",
                    "signature": signature,
                    "half": HALVES[signature],
                    "max_error": error(expected[signature], received),
                    "bytes": page.models[role]["bytes"],
                    "latency_us": page.latency(call, rows[0]),
                    "delta_nll": None,
                }
        finally:
            page.close()


def measure(case: str) -> list[dict]:
    """Returns the rows of one case."""
    run = trained(case)
    vae, saved = load_run(run)
    images = kind_of(TrainConfig(**saved["config"])).data
    x = images.test.array(JUDGED)
    halves = Halves(vae.parts, vae.event_shape)
    held_out = HeldOut(halves, halves.examples(x, "test"), num_samples=DRAWS)
    rng = np.random.default_rng(0)
    batches = {
        "encode": {"image": x[:ROWS]},
        "decode": {"z": rng.standard_normal((ROWS, vae.prior.latent_dim)).astype("float32")},
        "generate": {
            "seed": rng.integers(-(2**31), 2**31, ROWS).astype("int32"),
            "temperature": np.ones(ROWS, "float32"),
        },
    }
    expected = reference(vae, batches)
    z = held_out.inputs["decoder"]["z"]
    by_keras = {
        "encode": nll(held_out, "encode", vae.posterior.statistics(vae.encoder(x))),
        "decode": nll(
            held_out,
            "decode",
            vae.likelihood.statistics(vae.decoder(z)),
        ),
    }
    network, prior = CASES[case]
    about = {"case": case, "network": network, "prior": prior}
    calls = {
        "encode": lambda: vae.encoder(x[:1]),
        "decode": lambda: vae.decoder(batches["decode"]["z"][:1]),
    }
    rows = [
        {
            "runtime": "Keras",
            "variant": "float32",
            "signature": signature,
            "half": HALVES[signature],
            "max_error": 0.0,
            "bytes": runtimes.size(run / "model.keras"),
            "latency_us": runtimes.median_latency(call),
            "delta_nll": 0.0,
        }
        for signature, call in calls.items()
    ]
    with tempfile.TemporaryDirectory() as scratch:
        bundle = export_run(run, Path(scratch) / "bundle")
        rows += servers(bundle, batches, expected, held_out, by_keras)
        rows += litert(bundle)
        rows += browser(bundle, batches, expected)
        weights = {
            h: runtimes.size(getattr(bundle, h) / "variables") for h in ("encoder", "decoder")
        }
    for row in rows:
        row |= about | {"weight_bytes": weights[row["half"]]}
        row |= {"machine": common.machine(), "commit": common.commit()}
    return rows


def main(cases: list[str]) -> None:
    """Measures `cases`, or those that are missing, and writes all."""
    done = json.loads(PATH.read_text()) if PATH.exists() else []
    for case in cases or [c for c in CASES if c not in {row["case"] for row in done}]:
        done = [row for row in done if row["case"] != case] + measure(case)
        PATH.write_text(json.dumps(done, indent=1) + "\n")
        print(f"{case}: {sum(row['case'] == case for row in done)} rows", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
