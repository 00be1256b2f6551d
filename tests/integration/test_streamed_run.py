"""Runs on shards: resumed, on several workers, and on a shard that is damaged."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from vae_tf.errors import DataError
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.training import Watcher, load_run, train

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """900 images of 2 x 4, the first two pixels of which tell their number."""
    home = tmp_path_factory.mktemp("shards")
    rows = np.random.default_rng(0).integers(0, 256, (900, 2, 4))
    rows[:, 0, 0], rows[:, 0, 1] = np.divmod(np.arange(900), 256)
    for i, part in enumerate(np.split(rows, [500])):
        pq.write_table(pa.table({"image": part.tolist()}), home / f"{i}.parquet", row_group_size=64)
        with tf.io.TFRecordWriter(str(home / f"{i}.tfrecord")) as file:
            for row in part:
                made = tf.train.Example()
                made.features.feature["image"].int64_list.value.extend(row.ravel().tolist())
                file.write(made.SerializeToString())
    return home


def settings(home, run, **changes):
    given = {"dataset": f"tfrecord:{home}", "image_size": (2, 4), "run_dir": str(run)}
    given |= {"hidden": (8,), "latent_dim": 2, "epochs": 3, "importance_samples": 0}
    given |= {"batch_size": 64, "prior": "normal", "likelihood": "bernoulli"}
    return TrainConfig(**given | changes)


class Stop(keras.callbacks.Callback):
    """Stops like a crash, in the middle of the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


class Stopping(Watcher):
    def callbacks(self, config, num_examples, unit):
        return [Stop()]


def test_a_resumed_run_ends_with_the_weights_of_one_that_was_not_stopped(shards, tmp_path):
    train(settings(shards, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(settings(shards, tmp_path / "stopped"), Stopping())
    train(settings(shards, tmp_path / "stopped", resume=True))
    runs = (tmp_path / name for name in ("whole", "stopped"))
    for a, b in zip(*(load_run(run)[0].get_weights() for run in runs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_shard_that_is_damaged_meanwhile_ends_a_run_in_one_line(shards, tmp_path):
    path = tmp_path / "0.tfrecord"
    content = bytearray((shards / "0.tfrecord").read_bytes())

    class Damaging(Watcher):
        def stage(self, text):
            if text.startswith("evaluating"):
                content[len(content) // 3] ^= 255
                path.write_bytes(content)

    path.write_bytes(content)
    with pytest.raises(DataError, match=r"must be readable. Received: .*0.tfrecord") as caught:
        train(settings(tmp_path, tmp_path / "run"), Damaging())
    assert "\n" not in str(caught.value)


def test_two_workers_read_each_example_once(shards):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [str(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    script = str(Path(__file__).with_name("streamed_workers_script.py"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": ENV}
    processes = [
        subprocess.Popen([sys.executable, script, str(i), *ports, str(shards)], **pipes)
        for i in range(2)
    ]
    seen = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        lines = [line for line in out.splitlines() if line.startswith("RESULTS ")]
        assert lines, err[-3000:]
        seen.append(json.loads(lines[0].removeprefix("RESULTS ")))
    assert [len(a) + len(b) for a, b in zip(*seen, strict=True)][:-1] == [32] * 22
    numbers = [round(256 * v) for worker in seen for batch in worker for v in batch]
    assert len(numbers) == len(set(numbers)) == 720
