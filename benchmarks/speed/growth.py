"""Cost as work grows: batch, latents, image size, data set, importance samples."""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.speed.runner import Contender, Settings, race
from benchmarks.speed.worker import Measure

BATCH_SIZES = (16, 64, 128, 512, 2048)
LATENT_DIMS = (2, 8, 32, 128, 512)
SIDES, SIDE_BATCH = (28, 64, 128, 256), 8
SAMPLES, SAMPLED_IMAGES = (100, 1000, 5000, 20_000), 8
# Of 64x64x3 bytes each: up to 2 GB on disk, and up to 0.5 GB of float32 in memory
RECORDS, ARRAYS, PICTURE = (10_000, 40_000, 160_000), (2_500, 10_000), (64, 64, 3)
DATA_BATCH = 128
ROUNDS, SECONDS = 3, 1.0


def training(
    scratch: Path, network: str, batch_size: int, latent_dim: int, side: int = 28
) -> Measure:
    """Returns a `measure` of `fit` in bf16 on noise in memory."""
    from benchmarks.speed.training_tf import build, measured

    count = max(2 * batch_size, (2_000 if network == "conv" else 10_000) * 28**2 // side**2)
    x = np.random.default_rng(0).random((count, side, side, 1), np.float32)
    vae = build(network, "bf16", shape=(side, side, 1), latent_dim=latent_dim)
    return measured(vae, x, count, {"batch_size": batch_size})


def data_set(scratch: Path, count: int, records: bool) -> Measure:
    """Returns a `measure` of one epoch of a small MLP over `count` pictures."""
    import keras
    import tensorflow as tf

    import vae_tf

    encoder = vae_tf.networks.mlp_encoder(PICTURE, 8, (32,))
    outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes(PICTURE)
    vae = vae_tf.VAE(encoder, vae_tf.networks.mlp_decoder(8, outputs, (32,)))
    vae.compile(keras.optimizers.Adam(1e-3))
    if records:
        path = scratch / "pictures.tfrecord"
        batches = tf.data.TFRecordDataset(str(path)).take(count // DATA_BATCH)
        batches = batches.map(_pictures, tf.data.AUTOTUNE).prefetch(2)
        arguments = {"x": batches}
    else:
        x = np.random.default_rng(0).random((count, *PICTURE), np.float32)
        arguments = {"x": x, "batch_size": DATA_BATCH}

    def measure(seconds: float) -> tuple[float, float]:
        began = time.perf_counter()
        vae.fit(**arguments, verbose=0)
        return count, time.perf_counter() - began

    return measure


def _pictures(record):
    import tensorflow as tf

    pixels = tf.reshape(tf.io.decode_raw(record, tf.uint8), (-1, *PICTURE))
    return tf.cast(pixels, tf.float32) / 255


def importance(scratch: Path, num_samples: int) -> Measure:
    """Returns a `measure` of `log_likelihood` of a few images, compilation included."""
    import vae_tf
    from benchmarks.speed.training_tf import build

    vae = build("mlp")
    x = np.random.default_rng(0).integers(0, 2, (SAMPLED_IMAGES, 28, 28, 1)).astype("float32")

    def measure(seconds: float) -> tuple[float, float]:
        began = time.perf_counter()
        vae_tf.log_likelihood(vae, x, num_samples)
        return SAMPLED_IMAGES * num_samples, time.perf_counter() - began

    return measure


WRITE = f"""
import sys
import numpy as np, tensorflow as tf
noise = np.random.default_rng(0).integers(0, 256, {(DATA_BATCH, *PICTURE)}, np.uint8).tobytes()
with tf.io.TFRecordWriter(sys.argv[1]) as writer:
    for _ in range({max(RECORDS) // DATA_BATCH}):
        writer.write(noise)
"""


def write_records(path: Path) -> None:
    """Writes noise, a batch a record, in another process."""
    command = [sys.executable, "-c", WRITE, str(path)]
    subprocess.run(command, check=True, capture_output=True)


def curves() -> dict[str, tuple[str, list[Contender]]]:
    """Returns curve -> (unit, a contender for each point, named by its x)."""

    def points(values, make, **fixed) -> list[Contender]:
        (key,) = [name for name, value in fixed.items() if value is None]
        return [Contender(str(v), f".growth:{make}", {**fixed, key: v}) for v in values]

    mlp, conv = {"network": "mlp"}, {"network": "conv"}
    images = "images/s"
    return {
        "batch size": (
            images,
            points(BATCH_SIZES, "training", **mlp, batch_size=None, latent_dim=32),
        ),
        "latent size": (
            images,
            points(LATENT_DIMS, "training", **mlp, batch_size=128, latent_dim=None),
        ),
        "image side, conv": (
            images,
            points(SIDES, "training", **conv, batch_size=SIDE_BATCH, latent_dim=2, side=None),
        ),
        "pictures in memory": (images, points(ARRAYS, "data_set", count=None, records=False)),
        "pictures in TFRecords": (images, points(RECORDS, "data_set", count=None, records=True)),
        "importance samples": ("samples/s", points(SAMPLES, "importance", num_samples=None)),
    }


def run(settings: Settings) -> dict:
    """Returns a race for each curve; its contenders are the points."""
    write_records(settings.scratch / "pictures.tfrecord")
    brief = dataclasses.replace(
        settings, rounds=min(ROUNDS, settings.rounds), seconds=min(SECONDS, settings.seconds)
    )
    found = {}
    for name, (unit, contenders) in curves().items():
        found[name] = race(name, contenders, brief, unit=unit, what=f"cost as {name} grows")
    return {"curves": found}
