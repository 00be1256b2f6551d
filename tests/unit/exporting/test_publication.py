"""Publication with made-up contents: killed before each of its system calls, then continued."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vae_tf.errors import ExportError
from vae_tf.exporting import publication

ROOT = Path(publication.__file__).parents[2]

# For each line `directory version fatal calls`, a process is forked that publishes the version in
# the directory and dies of SIGKILL before call number `fatal` of `calls`; its exit code is the
# answer. Loaded by path: importing vae_tf.exporting would import TensorFlow.
NAMES = ["decoder/{}", "encoder/{}", "vae/{}", "a.tflite", "serving/models.config", "manifest.json"]
PROGRAM = f"""
import importlib.util, os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
spec = importlib.util.spec_from_file_location("publication", {publication.__file__!r})
publication = importlib.util.module_from_spec(spec)
spec.loader.exec_module(publication)
from pathlib import Path

def publish(directory, version, fatal, calls):
    count = 0

    def deadly(function):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)
        return call

    for name in calls:
        setattr(os, name, deadly(getattr(os, name)))
    with publication.locked(directory):
        completed = [seal["version"] for seal in publication.recover(directory)]
        if version not in completed:
            publication.refuse_existing(directory, version)
            with publication.staging(directory, version) as stage:
                for name in (pattern.format(version) for pattern in {NAMES}):
                    path = stage / name
                    if name.endswith(str(version)):
                        path = path / "variables" / "data"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(f"{{name}} of {{version}}")
                publication.publish(stage, directory, version, "the same")

for line in sys.stdin:
    directory, version, fatal, *calls = line.split()
    child = os.fork()
    if not child:
        publish(Path(directory), int(version), int(fatal), calls)
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


FILES, VERSIONED = NAMES[3:], ("decoder", "encoder", "vae")
CALLS = "rename unlink rmdir mkdir fsync close"


class Publisher:
    """A process whose forks publish and die, which is quicker than a new Python for each."""

    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM], **pipes, text=True)

    def __call__(self, directory: Path, version: int, fatal: int = 0, calls: str = CALLS) -> int:
        print(directory, version, fatal, calls, file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def publish():
    """A function that publishes in a process of its own, and returns its exit code."""
    publisher = Publisher()
    yield publisher
    publisher.close()


def assert_whole(directory: Path, versions: set[int]) -> None:
    """Asserts that whatever is visible is one of `versions`, complete."""
    for half in VERSIONED:
        for path in (directory / half).glob("*"):
            text = (path / "variables" / "data").read_text()
            assert text == f"{half}/{path.name} of {path.name}"
            assert int(path.name) in versions
    for name in FILES:
        path = directory / name
        assert not path.exists() or path.read_text() in {f"{name} of {v}" for v in versions}


def assert_published(directory: Path, versions: set[int]) -> None:
    """Asserts that all of `versions` are there, and nothing else."""
    assert_whole(directory, versions)
    names = {path.name for path in directory.iterdir()}
    assert names == {Path(name).parts[0] for name in NAMES}
    for half in VERSIONED:
        assert {int(path.name) for path in (directory / half).iterdir()} == versions
    for name in FILES:
        assert (directory / name).read_text() == f"{name} of {max(versions)}"


def is_complete(directory: Path, version: int) -> bool:
    """Tells whether the export was killed after its end, so that its version is taken."""
    manifest = directory / "manifest.json"
    sealed = list(directory.glob(f".staging-*/{publication.SEAL}"))
    return manifest.exists() and manifest.read_text().endswith(f"of {version}") and not sealed


@pytest.mark.parametrize("before", [set(), {1}])
def test_killed_before_each_system_call(publish, tmp_path, before):
    version = len(before) + 1
    for fatal in range(1, 200):
        directory = tmp_path / str(fatal)
        for earlier in before:
            assert publish(directory, earlier) == 0
        code = publish(directory, version, fatal)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert_whole(directory, before | {version})
        following = version + 1 if is_complete(directory, version) else version
        assert publish(directory, following) == 0
        assert_published(directory, before | {version, following})
    assert fatal > 40, "the calls were not counted"


def cut(publish: Publisher, directory: Path) -> None:
    """Leaves version 1 killed between the rename of the decoder and that of the encoder."""
    assert publish(directory, 1, 3, "rename") == -signal.SIGKILL  # the first is the seal's
    assert (directory / "decoder" / "1").exists()
    assert not (directory / "encoder" / "1").exists()


def test_recovery_killed_before_each_system_call(publish, tmp_path):
    for fatal in range(1, 100):
        directory = tmp_path / str(fatal)
        directory.mkdir()
        cut(publish, directory)
        code = publish(directory, 1, fatal)
        if code == 0:
            break
        assert_whole(directory, {1})
        following = 2 if is_complete(directory, 1) else 1
        assert publish(directory, following) == 0
        assert_published(directory, {1, following})
    assert fatal > 5


def test_next_version_completes_the_one_cut_short(publish, tmp_path):
    cut(publish, tmp_path)
    assert publish(tmp_path, 2) == 0
    assert_published(tmp_path, {1, 2})


def test_what_cannot_be_completed_is_dropped(publish, tmp_path):
    cut(publish, tmp_path)
    (tmp_path / "encoder" / "1").mkdir(parents=True)  # somebody else's
    assert publish(tmp_path, 2) == 0
    assert not list(tmp_path.glob(".staging-*"))
    assert list((tmp_path / "encoder" / "1").iterdir()) == []
    assert (tmp_path / "manifest.json").read_text() == "manifest.json of 2"


def stage_files(stage: Path, version: int) -> None:
    for name in (pattern.format(version) for pattern in NAMES):
        path = stage / name / "data" if name.endswith(str(version)) else stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def publish_here(directory: Path) -> None:
    with publication.locked(directory), publication.staging(directory, 1) as stage:
        stage_files(stage, 1)
        publication.publish(stage, directory, 1, "f")


@pytest.mark.parametrize("failing", [1, 2, 3, 7])
def test_rename_that_fails(tmp_path, monkeypatch, failing):
    rename, count = os.rename, iter(range(1, 100))

    def fails(source, target):
        if next(count) == failing:
            raise PermissionError("no")
        rename(source, target)

    directory = tmp_path / "bundle"
    monkeypatch.setattr(os, "rename", fails)
    visible = failing > 2  # the first is the seal's, the second the decoder's
    with pytest.raises(ExportError if visible else PermissionError):
        publish_here(directory)
    if not visible:
        assert not directory.exists()
        return
    with publication.locked(directory):
        (seal,) = publication.recover(directory)
    assert (seal["version"], seal["fingerprint"]) == (1, "f")
    assert {p.name for p in directory.iterdir()} == {Path(n).parts[0] for n in NAMES}


def test_one_of_many_threads_wins(tmp_path):
    # Each holder keeps the lock until all others have been refused.
    refused, results = threading.Semaphore(0), []

    def attempt():
        try:
            with publication.locked(tmp_path / "bundle"):
                for _ in range(7):
                    assert refused.acquire(timeout=10)
                results.append("won")
        except ExportError as error:
            results.append(str(error))
            refused.release()

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("won") == 1
    # The holder writes its name after it has the lock: who asks in between is told of a process
    held, of = "Received: a lock held by ", (f"process {os.getpid()} on ", "another process.")
    assert all(any(held + name in found for name in of) for found in results if found != "won")
    # The one who made the directory may not be the one who won; then it can stay, empty.
    assert [path.name for path in tmp_path.rglob("*")] in ([], ["bundle"])


def test_another_process_is_refused(tmp_path, capfd):
    with contextlib.closing(Publisher()) as publish:  # after capfd, which has its last words
        with publication.locked(tmp_path):
            assert publish(tmp_path, 1) == 1
        assert "must not be in use by another export" in capfd.readouterr().err
        assert publish(tmp_path, 1) == 0


@pytest.mark.slow
def test_lock_of_a_dead_process_is_free(publish, tmp_path):
    assert publish(tmp_path, 1, 1, "rename") == -signal.SIGKILL
    assert (tmp_path / publication.LOCK).exists()
    assert publish(tmp_path, 1) == 0
    assert_published(tmp_path, {1})


@pytest.mark.slow
def test_staging_area_is_no_version_and_hidden(tmp_path):
    with publication.staging(tmp_path, 3) as stage:
        assert stage.parent == tmp_path
        assert stage.name == f".staging-3-{os.getpid()}"
    assert not stage.exists()


@pytest.mark.slow
def test_seal_lists_the_manifest_last(tmp_path):
    with publication.staging(tmp_path, 1) as stage:
        stage_files(stage, 1)
        names = publication.entries(stage, 1)
        publication._seal(stage, {"entries": names})
    assert names == [name.format(1) for name in NAMES]
    assert json.loads((stage / publication.SEAL).read_text())["entries"] == names
