"""What the chip can do: GFLOP/s of matmul and convolution, GB/s of copying."""

import dataclasses
import os
import threading
from pathlib import Path

import numpy as np

from benchmarks.speed import work
from benchmarks.speed.runner import Contender, Settings, race
from benchmarks.speed.worker import Measure, repeated

DTYPES = {"float32": "float32", "bf16": "bfloat16"}
LAYER, SQUARE = (128, 784, 500), (2048, 2048, 2048)
CONV = (64, 14, 64)  # batch, side, channels of a 3x3 convolution
COPIED = 2**27  # bytes: no cache holds them
SECONDS = 0.5


def matmul(scratch: Path, shape: tuple[int, int, int], precision: str) -> Measure:
    """Returns a `measure` of [m, k] times [k, n], in GFLOP."""
    m, k, n = shape
    return _product("matmul", (m, k), (k, n), precision, 2e-9 * m * k * n)


def convolution(scratch: Path, precision: str) -> Measure:
    """Returns a `measure` of a 3x3 convolution, in GFLOP."""
    batch, side, channels = CONV
    images, kernel = (batch, side, side, channels), (3, 3, channels, channels)
    return _product("conv", images, kernel, precision, 2e-9 * batch * side**2 * 9 * channels**2)


def _product(kind: str, a_shape: tuple, b_shape: tuple, precision: str, gflop: float) -> Measure:
    import tensorflow as tf

    a, b = (tf.cast(tf.random.normal(shape), DTYPES[precision]) for shape in (a_shape, b_shape))
    one = tf.matmul if kind == "matmul" else lambda a, b: tf.nn.conv2d(a, b, 1, "SAME")
    times = max(1, round(2 / gflop))  # in one graph: Python's part does not count

    @tf.function
    def many(a, b):
        # One after the other, as layers are; a sum of each, so that none is optimized away
        total = tf.zeros((), a.dtype)
        for _ in tf.range(times):
            total += tf.reduce_sum(one(a, b))
        return total

    return repeated(lambda: many(a, b), times * gflop)


def copy(scratch: Path) -> Measure:
    """Returns a `measure` of a copy by all cores, in GB read and written."""
    cores = os.cpu_count() or 1
    source, target = np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)
    parts = list(zip(np.array_split(source, cores), np.array_split(target, cores), strict=True))

    def once() -> None:
        threads = [threading.Thread(target=np.copyto, args=(t, s)) for s, t in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return repeated(once, 2e-9 * COPIED)


def ceilings() -> list[Contender]:
    """Returns what a training race is seen against: the best the chip does, in GFLOP/s."""
    return [
        Contender(f"matmul 2048^3, {p}", ".roofline:matmul", {"shape": SQUARE, "precision": p})
        for p in DTYPES
    ]


def run(settings: Settings) -> dict:
    """Returns the measured ceilings, and what a training step cannot do without."""
    shape = "x".join(map(str, LAYER))
    contenders = [
        *ceilings(),
        *(
            Contender(f"matmul {shape}, {p}", ".roofline:matmul", {"shape": LAYER, "precision": p})
            for p in DTYPES
        ),
        *(
            Contender(f"conv 3x3, 64 channels, {p}", ".roofline:convolution", {"precision": p})
            for p in DTYPES
        ),
    ]
    brief = dataclasses.replace(settings, seconds=min(SECONDS, settings.seconds))
    what = "what the chip can do, in TensorFlow"
    copying = [Contender("copy", ".roofline:copy")]
    return {
        "compute": race("ceilings", contenders, brief, unit="GFLOP/s", what=what),
        "memory": race("copy", copying, brief, unit="GB/s", what=what),
        "networks": {
            network: {
                "flops_per_image": work.flops_per_image(network),
                "weights": work.weights(network),
                "bytes_per_step": work.bytes_per_step(network),
            }
            for network in work.NETWORKS
        },
    }
