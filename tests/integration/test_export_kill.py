"""An export killed at several moments, while it builds and verifies and while it publishes.

`tests/unit/exporting/test_publication.py` kills publication before each system call, with
made-up contents; here the contents are real and so is the work before publication.
"""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import write_bundle
from vae_tf import distributions, networks
from vae_tf.exporting import publication, verify_bundle
from vae_tf.formats.runtimes import cpp_loader

ROOT = Path(__file__).parents[2]
SHAPE, LATENT = (9, 7, 1), 3
SERVING = "batching.config compose.yaml grpc_client.py models.config monitoring.config request.sh"
ENTRIES = [
    *("decoder/1", "encoder/1", "golden/1"),
    *("README.md", "decoder.tflite", "encoder.tflite", "parity.json"),
    *(f"serving/{name}" for name in (*SERVING.split(), "rest_client.py")),
    "manifest.json",
]

# Tells when it is ready, waits for a line, exports version 1. The renames are slowed down, to
# 1.2 s from the seal to the manifest, so that kills can fall between them.
PROGRAM = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from tests.bundles import write_bundle
from tests.integration.test_export_kill import make_parts

parts, rename = make_parts(), os.rename

def slow_rename(source, target):
    time.sleep(0.04)
    rename(source, target)
    time.sleep(0.04)

os.rename = slow_rename
print("ready", flush=True)
sys.stdin.readline()
write_bundle(**parts, directory=sys.argv[1])
print("done", flush=True)
"""


def make_parts():
    """Returns write_bundle's arguments, the same in every process."""
    likelihood = distributions.Bernoulli()
    return {
        "encoder": networks.conv_encoder(SHAPE, LATENT),
        "decoder": networks.conv_decoder(LATENT, likelihood.parameter_shapes(SHAPE)),
        "prior": distributions.StandardNormal(LATENT),
        "posterior": distributions.DiagonalNormal(),
        "likelihood": likelihood,
    }


class Child:
    """A process that is about to export version 1 to `directory`."""

    def __init__(self, directory):
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def start(self):
        assert self.process.stdout.readline() == "ready\n", "the child did not even start"
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def wait_for_seal(self):
        while not list(self.directory.glob(f".staging-*/{publication.SEAL}")):
            assert self.process.poll() is None
            time.sleep(0.002)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def tree_hash(path: Path) -> str:
    """Returns a hash of a file, or of all names and contents below a directory."""
    total = hashlib.sha256()
    for file in sorted(p for p in (path, *path.rglob("*")) if p.is_file()):
        total.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def watch(child: Child) -> tuple[float, dict[str, str]]:
    """Returns the seconds before the first rename, and hash by entry when it appeared."""
    child.start()
    began, seconds, seen = time.monotonic(), 0.0, {}
    while child.process.poll() is None:
        for entry in ENTRIES:
            if entry not in seen and (child.directory / entry).exists():
                seen[entry] = tree_hash(child.directory / entry)
                seconds = seconds or time.monotonic() - began
        time.sleep(0.002)
    assert child.process.stdout.readline() == "done\n"
    return seconds, seen


def assert_whole(directory: Path, reference: dict[str, np.ndarray]) -> list[str]:
    """Returns what is visible in `directory`, having run and hashed each entry of it."""
    visible = [entry for entry in ENTRIES if (directory / entry).exists()]
    manifests = [*directory.glob("manifest.json"), *directory.glob(".staging-*/manifest.json")]
    listed = {}
    for path in manifests:
        listed |= json.loads(path.read_text())["files"]
    for entry in visible:
        paths = [p for p in (directory / entry, *(directory / entry).rglob("*")) if p.is_file()]
        names = {p.relative_to(directory).as_posix(): p for p in paths}
        assert names
        for name, path in names.items():
            if name != "manifest.json":
                assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[name]["sha256"]
        if entry in ("encoder/1", "decoder/1"):
            assert set(names) == {name for name in listed if name.startswith(entry)}
            signature, input_name, key = (
                ("encode", "image", "z_mean") if entry == "encoder/1" else ("decode", "z", "image")
            )
            call = cpp_loader.Call(
                directory / entry, signature, [{input_name: reference[input_name]}]
            )
            ((outputs,),) = cpp_loader.run([call])
            np.testing.assert_allclose(outputs[key], reference[f"{signature}d"], atol=1e-5)
    for half in ("encoder", "decoder"):
        assert {p.name for p in directory.glob(f"{half}/*")} <= {"1"}
    return visible


@pytest.fixture
def start_child():
    """Returns a function: directory -> Child; none of them outlives the test."""
    children = []

    def start(directory):
        children.append(Child(directory))
        return children[-1]

    yield start
    for child in children:
        child.kill()


@pytest.mark.parametrize(
    ("building", "publishing"),
    [pytest.param(3, 2, marks=pytest.mark.slow), pytest.param(7, 3, marks=pytest.mark.long)],
)
def test_killed_export_shows_nothing_half_written(
    tmp_path, capsys, start_child, building, publishing
):
    parts = make_parts()
    rng = np.random.default_rng(0)
    image = rng.uniform(size=(2, *SHAPE)).astype("float32")
    z = rng.standard_normal((2, LATENT)).astype("float32")
    encoded, decoded = parts["encoder"](image), parts["decoder"](z)
    reference = {
        "image": image,
        "z": z,
        "encoded": parts["posterior"].statistics(encoded)["z_mean"].numpy(),
        "decoded": parts["likelihood"].statistics(decoded)["image"].numpy(),
    }

    whole = tmp_path / "whole"
    seconds, seen = watch(start_child(whole))
    assert seen == {entry: tree_hash(whole / entry) for entry in ENTRIES}

    moments = random.Random(0)
    lines, outcomes = [], set()
    child = start_child(tmp_path / "0")
    for kill in range(building + publishing):
        child.start()
        if kill < building:
            after, since = seconds * (kill + moments.random()) / building, "the start"
        else:
            after, since = 1.2 * (kill - building + moments.random()) / publishing, "the seal"
            child.wait_for_seal()
        time.sleep(after)
        child.kill()
        directory = child.directory
        # Importing takes longer than all else; the next one may as well begin.
        child = start_child(tmp_path / str(kill + 1))

        visible = assert_whole(directory, reference)
        sealed = bool(list(directory.glob(f".staging-*/{publication.SEAL}")))
        staged = bool(list(directory.glob(".staging-*")))
        complete = len(visible) == len(ENTRIES) and not sealed
        outcome = (
            "complete" if complete else "sealed" if sealed else "building" if staged else "nothing"
        )
        outcomes.add(outcome)
        lines.append(f"{after:.2f} s after {since:9s}  {outcome:8s}  visible: {visible}")

        version = 2 if complete else 1
        before = {entry: tree_hash(directory / entry) for entry in visible[:3]}
        assert write_bundle(**parts, directory=directory, version=version).version == version
        for entry, content in before.items():
            assert tree_hash(directory / entry) == content, "a visible version may not change"
        verify_bundle(directory)
        assert not [p.name for p in directory.iterdir() if p.name.startswith(".")]
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert {"building", "sealed"} <= outcomes, "the kills must fall into both halves"
