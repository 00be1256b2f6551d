"""Processes that are killed at random moments and started again, and disks that fill up.

`python benchmarks/faults.py PART N [SEED]` does N such things and writes them to
results/faults.json, in place of what the file had of that part. The parts:

| part | what happens |
|---|---|
| train | SIGKILL of a training, which is then started again with `--resume` |
| stream | the same, of a training on TFRecord shards |
| export | SIGKILL of an export, which is then called again |
| workers | SIGKILL of one of two workers; `scripts/launch` starts both again |
| disk | a training on a disk that is full after so many bytes, then larger, then resumed |
| bulk | SIGKILL of a bulk job and all its processes, which is then called again |
| bulk-worker | SIGKILL of one of the two processes of a bulk job |

`bulk` and `bulk-worker` need Beam: call this by the Python of `.venv-beam`. `disk` needs root, for
a small file system of its own. A moment is drawn evenly over the time that an uninterrupted process
takes. What is finished is compared with what an uninterrupted process made: weights and report of
a training, golden vectors and `--verify` of a bundle, sha256 of shards. Nothing else intervenes.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np

ROOT = Path(__file__).parents[1]
NAME, PAGE = "faults", 4096
FLAGS = ["--recipe", "demo", "--deterministic", "--epochs", "30", "--importance-samples", "20"]
FLAGS += ["--hidden", "64", "--latent-dim", "3", "--prior", "normal"]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
ENV |= {"TF_CPP_MIN_LOG_LEVEL": "3", "VAE_TF_WORKER_SECONDS": "300"}

Command = Callable[[Path], list[str]]
Same = Callable[[Path, Path], bool]


def training(*more: str) -> Command:
    """Returns the command of a training that goes on if there is one."""
    train = [sys.executable, str(ROOT / "train.py"), *FLAGS, *more, "--resume"]
    return lambda place: [*train, "--run-dir", str(place / "run")]


def same_run(one: Path, other: Path) -> bool:
    """Returns whether two runs have the weights and the report of each other."""
    import keras

    import vae_tf

    assert vae_tf
    models = [keras.models.load_model(place / "run/model.keras") for place in (one, other)]
    weights = zip(*(model.get_weights() for model in models), strict=True)
    reports = [json.loads((place / "run/report.json").read_text()) for place in (one, other)]
    return all(np.array_equal(a, b) for a, b in weights) and all(
        reports[0][key] == reports[1][key] for key in ("test", "epochs")
    )


def same_bundle(one: Path, other: Path) -> bool:
    """Returns whether a bundle verifies, and its golden vectors are those of another."""
    command = [sys.executable, "-m", "export", "--verify", str(one / "bundle")]
    if subprocess.run(command, env=ENV, cwd=ROOT, capture_output=True, check=False).returncode:
        return False
    files = [sorted((place / "bundle/golden").rglob("*.npz")) for place in (one, other)]
    if [file.name for file in files[0]] != [file.name for file in files[1]]:
        return False
    for a, b in zip(*files, strict=True):
        with np.load(a) as first, np.load(b) as second:
            if not all(np.array_equal(first[k], second[k], equal_nan=True) for k in first.files):
                return False
    return bool(files[0])


def same_shards(one: Path, other: Path) -> bool:
    """Returns whether the outputs of two bulk jobs have the same shards, byte by byte."""
    sums = []
    for place in (one, other):
        found = sorted((place / "out").rglob("shard-*"))
        sums.append([(f.name, hashlib.sha256(f.read_bytes()).hexdigest()) for f in found])
        assert not (place / "out/.job").exists()
    return bool(sums[0]) and sums[0] == sums[1]


def started(command: list[str], said: Path) -> subprocess.Popen:
    """Returns a process in a group of its own, which speaks into a file."""
    with said.open("ab") as file:
        return subprocess.Popen(
            command, env=ENV, cwd=ROOT, stdout=file, stderr=file, start_new_session=True
        )


def whole(command: Command, place: Path) -> float:
    """Returns the seconds that a process takes which nothing happens to."""
    place.mkdir()
    began = time.perf_counter()
    ended(started(command(place), place / "said"), place)
    return time.perf_counter() - began


def ended(process: subprocess.Popen, place: Path) -> None:
    """Waits for a process, and stops here if it fails."""
    if code := process.wait():
        said = (place / "said").read_text(errors="replace")[-2000:]
        sys.exit(f"exit code {code} where nothing had happened:\n{said}")


def children(process: subprocess.Popen) -> list[int]:
    """Returns the processes that a process has started."""
    command = ["pgrep", "-P", str(process.pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in found.split()]


def of_all(process: subprocess.Popen, rng: np.random.Generator) -> bool:
    """Kills a process with all that it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def of_a_child(process: subprocess.Popen, rng: np.random.Generator) -> bool:
    """Kills one of the processes that a process has started; returns whether there was one."""
    pids = children(process)
    if pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(rng.choice(pids)), signal.SIGKILL)
            return True
    return False


def campaign(
    what: str, command: Command, same: Same, kill: Callable, kills: int, seed: int, home: Path
) -> dict[str, Any]:
    """Returns what came of so many kills.

    Args:
        what: is killed.
        command: from a directory to what to call until it ends by itself.
        same: whether what it made in one directory equals that in another.
        kill: does it, and tells whether it did.
        kills: how often.
        seed: of the moments.
        home: for the directories.
    """
    rng, log, runs, identical = np.random.default_rng(seed), [], 0, True
    seconds = whole(command, home / "whole")
    print(f"{what}: {seconds:.1f} s if nothing happens", flush=True)
    place, process, begun = home / "0", None, False
    place.mkdir()
    while len(log) < kills or begun:
        if process is None:
            process, begun = started(command(place), place / "said"), True
        limit = rng.uniform(0, seconds) if len(log) < kills else None
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            if kill(process, rng):
                log.append(round(limit, 2))
                print(f"{what}: kill {len(log)} after {limit:.1f} s", flush=True)
            process = None if process.poll() is not None else process
            continue
        ended(process, place)
        process, begun, runs = None, False, runs + 1
        good = same(place, home / "whole")
        identical = identical and good
        print(f"{what}: run {runs} ended, identical: {good}", flush=True)
        if len(log) < kills:
            place = home / str(runs)
            place.mkdir()
    return {
        "what": what,
        "kills": len(log),
        "identical": identical,
        "runs": runs,
        "seconds_uninterrupted": seconds,
        "moments": log,
    }


def disk(sizes: int, seed: int, home: Path) -> dict[str, Any]:
    """Returns what came of a training on disks that were full after so many bytes."""
    command = training()
    whole(command, home / "whole")
    files = [path.stat().st_size for path in (home / "whole/run").rglob("*") if path.is_file()]
    total, place = sum(PAGE * -(-size // PAGE) for size in files), home / "disk"
    place.mkdir()
    identical, log, refused = True, [], 0
    for size in np.linspace(2 * PAGE, total, sizes).astype(int):
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
        subprocess.run(mount, check=True)
        try:
            process = subprocess.run(
                command(place), env=ENV, cwd=ROOT, capture_output=True, text=True, check=False
            )
            errors = [x for x in process.stderr.splitlines() if x.startswith("error: ")]
            clean = process.returncode == 0 or (
                process.returncode == 1 and len(errors) == 1 and "Traceback" not in process.stderr
            )
            refused += process.returncode == 1
            subprocess.run(["mount", "-o", "remount,size=100m", str(place)], check=True)
            ended(started(command(place), home / "said"), home)
            good = clean and same_run(place, home / "whole")
        finally:
            subprocess.run(["umount", str(place)], check=True)
        identical = identical and good
        log.append(int(size))
        print(f"disk: {size} bytes, exit code {process.returncode}, identical: {good}", flush=True)
    what = "a full disk"
    return {
        "what": what,
        "kills": len(log),
        "identical": identical,
        "refused": refused,
        "bytes": log,
    }


def shards(home: Path) -> list[str]:
    """Returns the flags of a training on shards of the digits."""
    import tensorflow as tf

    import vae_tf

    split = vae_tf.data.load("digits").train
    (home / "shards").mkdir()
    for number, rows in enumerate(np.array_split(split.rows, 5)):
        with tf.io.TFRecordWriter(str(home / f"shards/{number}.tfrecord")) as file:
            for row in rows:
                made = tf.train.Example()
                pixels = split.stored[row].ravel().tolist()
                made.features.feature["image"].int64_list.value.extend(pixels)
                file.write(made.SerializeToString())
    return ["--dataset", f"tfrecord:{home / 'shards'}", "--image-size", "8", "8"]


def exporting(home: Path) -> Command:
    """Returns the command of an export of a run that it makes first."""
    whole(training("--epochs", "2"), home / "trained")
    run = str(home / "trained/run")

    def command(place: Path) -> list[str]:
        if (place / "bundle/manifest.json").exists():  # the kill came after publication
            return [sys.executable, "-m", "export", "--verify", str(place / "bundle")]
        return [sys.executable, "-m", "export", run, "--output", str(place / "bundle")]

    return command


def scoring(home: Path) -> Command:
    """Returns the command of a bulk job over a bundle that it makes first."""
    import bulk

    bundle, digits = bulk.bundle_of(home)
    np.save(home / "x.npy", np.tile(digits, (20, 1, 1, 1)))
    job = [sys.executable, "-m", "vae_tf.bulk", "score", "--bundle", str(bundle)]
    job += ["--input", str(home / "x.npy"), "--batch-rows", "64", "--shard-rows", "1024"]

    def command(place: Path) -> list[str]:
        if (place / "out/manifest.json").exists():  # the kill came after the last word
            return ["true"]
        return [*job, "--output", str(place / "out"), "--processes", "2"]

    return command


def launched(place: Path) -> list[str]:
    """Returns the command of a training on two workers."""
    return [str(ROOT / "scripts/launch"), "2", *training()(place)]


def measured(part: str, number: int, seed: int, home: Path) -> dict[str, Any]:
    """Returns the line of a part."""
    if part == "disk":
        return disk(number, seed, home)
    if part == "train":
        found = "a training", training(), same_run, of_all
    elif part == "stream":
        found = "a training on shards", training(*shards(home)), same_run, of_all
    elif part == "export":
        found = "an export", exporting(home), same_bundle, of_all
    elif part == "workers":
        ENV["RESTARTS"] = str(10 * number)
        found = "a worker of two", launched, same_run, of_a_child
    elif part == "bulk":
        found = "a bulk job", scoring(home), same_shards, of_all
    elif part == "bulk-worker":
        found = "a process of a bulk job", scoring(home), same_shards, of_a_child
    else:
        sys.exit(f"error: PART must be a known one. Received: {part}. See the head of this file.")
    return campaign(*found, number, seed, home)


def main(part: str, number: str, seed: str = "0") -> None:
    """Writes the line of a part."""
    with tempfile.TemporaryDirectory() as home:
        line = measured(part, int(number), int(seed), Path(home))
    path = common.RESULTS / f"{NAME}.json"
    lines = json.loads(path.read_text()) if path.exists() else []
    lines = [known for known in lines if known["what"] != line["what"]]
    lines.append({**line, "machine": common.machine(), "commit": common.commit()})
    path.write_text(json.dumps(lines, indent=1) + "\n")
    text = "| what | kills, or full disks | same result as undisturbed |\n|---|---|---|\n"
    for known in lines:
        text += (
            f"| {known['what']} | {known['kills']} | {'yes' if known['identical'] else 'no'} |\n"
        )
    common.write_table(NAME, text, ROOT / "docs/scale.md")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
