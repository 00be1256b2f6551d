"""Runs under attack: rivals, full and read-only disks, and a process that is told to end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vae_tf.runs import training

PAGE = 4096
ROOT = Path(__file__).parents[2]
FLAGS = ["--recipe", "demo", "--deterministic", "--epochs", "4", "--importance-samples", "5"]
FLAGS += ["--hidden", "64", "--latent-dim", "3", "--prior", "normal"]

pytestmark = pytest.mark.slow


def command(run, *flags):
    return [sys.executable, str(ROOT / "train.py"), *FLAGS, "--run-dir", str(run), *flags]


def train(run, *flags):
    return subprocess.run(command(run, *flags), capture_output=True, text=True, timeout=600)


def one_line(done, *words):
    """Checks that a command ended in one line of refusal."""
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert done.stderr.strip().endswith(lines[0])
    assert "Traceback" not in done.stderr
    assert all(word in lines[0] for word in words), lines[0]


def weights(run):
    return training.load_run(run)[0].get_weights()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to."""
    run = tmp_path_factory.mktemp("whole") / "run"
    done = train(run)
    assert done.returncode == 0, done.stderr
    return run


@pytest.fixture
def disk(tmp_path):
    """A function: options of a tmpfs -> the directory where it is mounted during the test."""
    directory = tmp_path / "disk"

    def make(options):
        directory.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(directory)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("a small disk may not be mounted here")
        return directory

    yield make
    if os.path.ismount(directory):
        subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.parametrize("share", [0.0, pytest.param(0.5, marks=pytest.mark.long), 0.95])
def test_a_full_disk_ends_in_one_line_and_the_run_goes_on(disk, whole, share):
    """Full before the first checkpoint, on the way, and at the end."""
    files = [path.stat().st_size for path in whole.rglob("*") if path.is_file()]
    size = sum(PAGE * -(-size // PAGE) for size in files)
    run = disk(f"size={max(2 * PAGE, int(share * size))}") / "run"
    done = train(run)
    one_line(done, "must have room for the run", "--resume")
    subprocess.run(["mount", "-o", "remount,size=50m", str(run.parent)], check=True)
    assert not list(run.glob("checkpoints/.aside*"))
    resumed = train(run, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    for one, other in zip(weights(whole), weights(run), strict=True):
        np.testing.assert_array_equal(one, other)
    reports = [json.loads((path / "report.json").read_text()) for path in (whole, run)]
    assert reports[0]["test"] == reports[1]["test"]


def test_a_read_only_disk(disk):
    one_line(train(disk("size=1m,ro") / "run"), "a directory that can be written", "Read-only")


def test_a_run_that_is_told_to_end(whole, tmp_path):
    run = tmp_path / "run"
    process = subprocess.Popen(
        command(run, "--epochs", "400"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while not list(run.glob("checkpoints/epoch-*")):
            assert process.poll() is None
            time.sleep(0.1)
        rival = train(run, "--resume")
        one_line(rival, "must not be in use by another training", f"process {process.pid} on")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in err
    assert "stopped by SIGTERM; --resume continues" in err
    assert not [path for path in run.rglob(".*")]
