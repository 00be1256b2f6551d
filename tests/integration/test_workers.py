"""One run on several workers: `TF_CONFIG`, `scripts/launch`, and what goes wrong with them."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from vae_tf.errors import ConfigError
from vae_tf.runs import workers
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.training import train

ROOT = Path(__file__).parents[2]
LAUNCH = str(ROOT / "scripts/launch")
TRAIN = [sys.executable, str(ROOT / "train.py"), "--recipe", "demo", "--hidden", "16"]
TRAIN += ["--latent-dim", "2", "--importance-samples", "3", "--epochs", "4"]
ENV = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "VAE_TF_WORKER_SECONDS": "300"}
ENV |= {"PYTHONPATH": str(ROOT), "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def start(command, **env):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**ENV, **env}, **pipes)


def run(command, **env):
    process = start(command, **env)
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def config_of(index, addresses):
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def addresses_of(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    names = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return names


def weights(run_dir):
    return keras.models.load_model(run_dir / "model.keras").get_weights()


def epochs(run_dir):
    with (run_dir / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    code, out, err = run([LAUNCH, "2", *TRAIN, "--run-dir", str(one)])
    assert code == 0, err
    assert "NLL" in out
    assert len(epochs(one)) == 4
    assert (one / "pictures/learning_curves.png").exists()

    process = start([LAUNCH, "2", *TRAIN, "--run-dir", str(two)])
    killed = threading.Event()

    def kill():
        while not (two / "checkpoints").is_dir() and process.poll() is None:
            time.sleep(0.1)
        found = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
        )
        os.kill(int(found.stdout.split()[-1]), signal.SIGKILL)
        killed.set()

    threading.Thread(target=kill, daemon=True).start()
    out, err = process.communicate(timeout=600)
    assert killed.is_set()
    assert process.returncode == 0, err
    assert "a worker ended with SIGKILL; all start again with --resume" in err
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_workers_of_other_flags_refuse_each_other(tmp_path):
    addresses = addresses_of(2)
    command = [*TRAIN, "--run-dir", str(tmp_path / "run")]
    others = [[], ["--learning-rate", "0.005"]]
    processes = [
        start([*command, *more], TF_CONFIG=config_of(index, addresses))
        for index, more in enumerate(others)
    ]
    for process in processes:
        _, err = process.communicate(timeout=600)
        assert process.returncode == 1
        assert "All workers must have the same flags" in err
        assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_chiefs_refusal_ends_all(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("mine")
    code, _, err = run([LAUNCH, "2", *TRAIN, "--run-dir", str(tmp_path / "run")])
    assert code == 1
    assert "it holds thesis.tex and no run" in err
    assert "start again" not in err
    assert (tmp_path / "run/thesis.tex").read_text() == "mine"


def test_a_worker_alone_gives_up(tmp_path):
    code, _, err = run(
        [*TRAIN, "--run-dir", str(tmp_path / "run")],
        TF_CONFIG=config_of(0, addresses_of(2)),
        VAE_TF_WORKER_SECONDS="1",
    )
    assert code == 1
    assert "All 2 workers must start within 1 seconds" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Received: {."),
        ('{"cluster": {"worker": ["a:1"]}}', "Received: {"),
        (config_of(2, ["a:1", "b:2"]), "worker 2 of 2"),
        (config_of(-1, ["a:1", "b:2"]), "worker -1 of 2"),
        (config_of(0, ["a:1", "a:1"]), "the addresses a:1, a:1"),
        (config_of(0, ["a:1", "b"]), "the address b"),
        (
            config_of(0, ["b:2"]).replace('{"worker', '{"ps": ["a:1"], "worker'),
            "ps, worker, where only a chief and workers train",
        ),
    ],
)
def test_what_names_no_workers_is_refused(monkeypatch, text, said):
    monkeypatch.setenv("TF_CONFIG", text)
    with (
        pytest.raises(ConfigError, match="TF_CONFIG must name the workers") as refusal,
        workers.joined(),
    ):
        pass
    assert said in str(refusal.value)


def test_one_worker_is_alone(monkeypatch):
    nobody = ("", "{}", '{"cluster": {}, "task": {"type": "worker", "index": 0}}')
    for text in (*nobody, config_of(0, ["127.0.0.1:1"])):
        monkeypatch.setenv("TF_CONFIG", text)
        with workers.joined() as team:
            assert team.chief
            assert team.strategy is None
            team.agree({"anything": object()})
            team.wait()


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan", "inf"])
def test_a_wait_must_be_seconds(monkeypatch, seconds):
    monkeypatch.setenv("TF_CONFIG", config_of(0, ["a:1", "b:2"]))
    monkeypatch.setenv(workers.SECONDS, seconds)
    with pytest.raises(ConfigError, match="must be a number of seconds"), workers.joined():
        pass


def test_a_profile_is_of_one_process(tmp_path):
    class Two(workers.Workers):
        """Two workers, as one of them sees them before anything is exchanged."""

        def agree(self, said):
            pass

    config = TrainConfig(dataset="digits", profile=True, run_dir=str(tmp_path / "run"))
    with pytest.raises(ConfigError, match="A profile is of one process"):
        train(config, workers=Two(count=2))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments", [[], ["2"], ["two", "ls"], ["0", "ls"]])
def test_launch_says_how_it_is_called(arguments):
    code, _, err = run([LAUNCH, *arguments])
    assert code == 2
    assert err.startswith("error: launch needs a number of workers and a command")


def test_launch_tells_of_a_signal_as_shells_do():
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    code, _, err = run([LAUNCH, "1", sys.executable, "-c", script], RESTARTS="1")
    assert code == 128 + signal.SIGKILL
    assert err.count("all start again") == 1
    code, _, err = run([LAUNCH, "1", "true"], RESTARTS="often")
    assert code == 2
    assert err == "error: RESTARTS must be a whole number. Received: often.\n"


def test_launch_hands_on_what_a_worker_says_and_its_code():
    script = "import json, os, sys; i = json.loads(os.environ['TF_CONFIG'])['task']['index']"
    script += "; print('hello', i); sys.exit(i)"
    code, out, err = run([LAUNCH, "2", sys.executable, "-c", script])
    assert code == 1
    assert "hello 0" in out
    assert "worker 1: hello 1" in err
    code, _, err = run([LAUNCH, "1", "./no-such-program"])
    assert code == 1
    assert "No such file or directory: ./no-such-program" in err
