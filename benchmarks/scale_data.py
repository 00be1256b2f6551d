"""Data that are read while a model trains: memory by the number of examples, and speed.

`python benchmarks/scale_data.py [memory | speed] [examples] [rounds]`, both if neither is named,
writes results/scale_data.json. Examples are generated, 28 x 28 grey levels. For memory a process
trains an epoch on so many of them and tells its peak of resident memory. For speed the same
examples lie in memory and in files, and trainings of three epochs take turns: medians over the
rounds of images by second of the clock in the epochs after the first, and of the ratio within a
round, which is told by processor time as well, since that is what other work touches least. Either
measurement replaces only its own part of the file.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np

NAME, SIDE, SHARD, GROUP = "scale_data", 28, 50_000, 4096
SIZES, FOLDERS = (10_000, 100_000, 1_000_000), (10_000, 100_000)
BATCHES, ROUNDS, EPOCHS, SPEED_OF = (128, 512), 5, 3, 50_000
KINDS = ("tfrecord", "tfrecord of bytes", "parquet", "parquet of bytes", "folder")
DOCS = Path(__file__).parents[1] / "docs/scale.md"


def images(start: int, stop: int) -> np.ndarray:
    """Returns images [n, 784] uint8: a bright square somewhere on noise."""
    rng = np.random.default_rng(start)
    x = rng.integers(0, 60, (stop - start, SIDE, SIDE), np.uint8)
    at = rng.integers(0, SIDE - 8, (stop - start, 2))
    for image, (row, column) in zip(x, at, strict=True):
        image[row : row + 8, column : column + 8] += 190
    return x.reshape(len(x), -1)


def write(kind: str, count: int, home: Path) -> str:
    """Returns the data set's name, having written it: lists of whole numbers, or bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import tensorflow as tf
    from PIL import Image

    scheme, _, packed = kind.partition(" of ")
    for start in range(0, count, SHARD):
        stop = min(start + SHARD, count)
        x = images(start, stop)
        if scheme == "tfrecord":
            with tf.io.TFRecordWriter(str(home / f"{start:08}.tfrecord")) as file:
                for row in x:
                    made = tf.train.Example()
                    feature = made.features.feature["image"]
                    if packed:
                        feature.bytes_list.value.append(row.tobytes())
                    else:
                        feature.int64_list.value.extend(row.tolist())
                    file.write(made.SerializeToString())
        elif scheme == "parquet":
            column = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), SIDE * SIDE)
            if packed:
                column = pa.array([row.tobytes() for row in x], pa.binary())
            path = home / f"{start:08}.parquet"
            pq.write_table(pa.table({"image": column}), path, row_group_size=GROUP)
        else:
            for i, row in enumerate(x, start):
                folder = home / f"{i // 1000:05}"
                folder.mkdir(exist_ok=True)
                Image.fromarray(row.reshape(SIDE, SIDE)).save(folder / f"{i:08}.png")
    return f"{scheme}:{home}"


def data_of(name: str):
    """Returns the data of a name."""
    import vae_tf

    folder = name.startswith("folder:")
    size = None if folder or name.startswith("array:") else (SIDE, SIDE)
    return vae_tf.data.load(name, image_size=size, stream=folder, binarization="dynamic")


def model():
    """Returns a small MLP, compiled."""
    import vae_tf

    likelihood, shape = vae_tf.likelihoods.Bernoulli(), (SIDE, SIDE, 1)
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder(shape, 16, hidden=(256,)),
        vae_tf.networks.mlp_decoder(16, likelihood.parameter_shapes(shape), hidden=(256,)),
        likelihood=likelihood,
    )
    vae.compile("adam")
    return vae


def trained(vae, split, batch_size: int, epochs: int = 1) -> list[tuple[float, float]]:
    """Returns the seconds of each epoch of a training, on the clock and of the processor."""
    import keras

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter(), time.process_time()

        def on_epoch_end(self, epoch, logs=None):
            found.append((time.perf_counter() - self.began[0], time.process_time() - self.began[1]))

    found: list[tuple[float, float]] = []
    steps, batches = split.steps_per_epoch(batch_size), split.training_batches(batch_size, 0)
    fit = {"steps_per_epoch": steps, "epochs": epochs, "shuffle": False, "verbose": 0}
    vae.fit(batches, callbacks=[Clock()], **fit)
    return found


def child(name: str) -> None:
    """Trains an epoch and tells the peak of this process's memory, in bytes."""
    began = time.perf_counter()
    found = data_of(name)
    opened = time.perf_counter() - began
    ((seconds, _),) = trained(model(), found.train, 128)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print("RESULT", json.dumps({"peak": peak, "opening": opened, "epoch": seconds}), flush=True)


def memory(most: int) -> list[dict]:
    """Returns the peak of memory of each kind and number of examples."""
    lines = []
    for kind in KINDS:
        for count in FOLDERS if kind == "folder" else SIZES:
            if count > most:
                continue
            with tempfile.TemporaryDirectory() as home:
                name = write(kind, count, Path(home))
                stored = sum(path.stat().st_size for path in Path(home).rglob("*"))
                command = [sys.executable, __file__, "child", name]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                told = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
                if not told:
                    sys.exit(done.stderr[-2000:])
                line = {"kind": kind, "examples": count, "stored_bytes": stored}
                line["decoded_bytes"] = count * SIDE * SIDE
                lines.append(line | json.loads(told[0].removeprefix("RESULT ")))
                print(lines[-1], flush=True)
    return lines


def speed(count: int, rounds: int) -> list[dict]:
    """Returns the speed of each kind beside that of the same data in memory."""
    lines = []
    with tempfile.TemporaryDirectory() as home:
        array = Path(home) / "x.npy"
        np.save(array, images(0, count).reshape(-1, SIDE, SIDE))
        splits = {"memory": data_of(f"array:{array}").train}
        for kind in KINDS:
            (Path(home) / kind).mkdir()
            some = count // 4 if kind == "folder" else count  # it is much slower
            splits[kind] = data_of(write(kind, some, Path(home) / kind)).train
        for batch_size in BATCHES:
            vae = model()
            rates: dict[str, list[np.ndarray]] = {kind: [] for kind in splits}
            for _ in range(rounds):
                for kind, split in splits.items():  # in turn: other work hits all alike
                    seconds = trained(vae, split, batch_size, EPOCHS)[1:]
                    rates[kind].append(split.num_examples / np.median(seconds, 0))
            for kind, found in rates.items():
                ratios = np.array(found) / np.array(rates["memory"])
                line = {"kind": kind, "batch_size": batch_size, "examples": count}
                line |= {"rounds": rounds, "images_per_second": float(np.median(found, 0)[0])}
                line |= {"ratio": float(np.median(ratios[:, 0])), "ratios": ratios[:, 0].tolist()}
                line["ratio_of_processor_time"] = float(np.median(ratios[:, 1]))
                lines.append(line)
                print(line, flush=True)
    return lines


def tables(result: dict) -> str:
    """Returns the figures as the page has them."""
    text = (
        "| data | examples | decoded, MB | peak of memory, MB | seconds to open | of an epoch |\n"
    )
    text += "|---|---|---|---|---|---|\n"
    for line in result.get("memory", []):
        text += (
            f"| {line['kind']} | {line['examples']:,} | {line['decoded_bytes'] / 1e6:,.0f} | "
            f"{line['peak'] / 1e6:,.0f} | {line['opening']:.1f} | {line['epoch']:.1f} |\n"
        )
    text += "\n| data | batch size | images a second | share of the speed in memory |"
    text += " share by processor time |\n|---|---|---|---|---|\n"
    for line in result.get("speed", []):
        text += (
            f"| {line['kind']} | {line['batch_size']} | {line['images_per_second']:,.0f} | "
            f"{line['ratio']:.2f} | {line['ratio_of_processor_time']:.2f} |\n"
        )
    return text


def main(what: str = "", most: str = "", rounds: str = "") -> None:
    """Writes the results."""
    path = common.RESULTS / f"{NAME}.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    result = {key: result[key] for key in ("memory", "speed") if key in result}
    if what in ("", "memory"):
        result["memory"] = memory(int(most or SIZES[-1]))
    if what in ("", "speed"):
        result["speed"] = speed(int(most or SPEED_OF) if what else SPEED_OF, int(rounds or ROUNDS))
    result["threads"] = os.environ.get("TF_NUM_INTRAOP_THREADS", "as many as cores")
    common.write(NAME, result)
    common.write_table(NAME, tables(result), DOCS)


if __name__ == "__main__":
    child(*sys.argv[2:]) if sys.argv[1:2] == ["child"] else main(*sys.argv[1:])
