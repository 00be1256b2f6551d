"""Processes to which something happens: SIGKILL, or a disk that is suddenly full.

TensorFlow takes longer to import than a small training takes, and an import changes no file. So a
`Call` is forked from a process that has its imports behind it, and nothing else. What happens to it
comes at a moment on the clock, or just before a change: Python's audit hooks tell of each file
that is opened to be written, renamed or removed, and of each directory that is made or removed.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
ENV = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
ENV |= {"VAE_TF_WORKER_SECONDS": "300", "TF_NUM_INTRAOP_THREADS": "1"}
IMPORTS = ["tensorflow", "matplotlib.pyplot", "vae_tf", "vae_tf.runs.training"]
IMPORTS += ["vae_tf.runs.bundle", "vae_tf.exporting", "vae_tf.cli.train", "vae_tf.cli.export"]
IMPORTS += ["vae_tf.cli.tables", "vae_tf.cli.progress", "sklearn.datasets"]
IMPORTS += ["tensorflow_datasets", "tensorboard"]
FORKS = multiprocessing.get_context("forkserver")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
BALLAST = ".ballast"


class Call(NamedTuple):
    """A module with a `main` that takes flags, for a process that has imported it."""

    module: str
    flags: list[str]


class Order(NamedTuple):
    """What a process does before one of its changes: "kill" itself, or "fill" the disk."""

    what: str
    change: int


class Forked:
    """A process of a `Call`, with the methods of `subprocess.Popen` that are needed here."""

    def __init__(self, call: Call, place: Path, order: Order | None):
        FORKS.set_forkserver_preload(IMPORTS)
        self._process = FORKS.Process(target=_carry_out, args=(call, place, order))
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a call", seconds or 0)
        return self._process.exitcode


def _carry_out(call: Call, place: Path, order: Order | None) -> None:
    """Does what a call says, as the leader of a group of processes."""
    os.setsid()
    descriptor = os.open(said(place), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(ROOT)
    main = importlib.import_module(call.module).main
    counted = _counting(place, order)
    code = main(call.flags)
    if order is None:
        changes(place).write_text(str(counted()))
    sys.exit(code)


def _counting(place: Path, order: Order | None) -> Callable[[], int]:
    """Carries out an order at its change; returns a function that tells how many there were."""
    count = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        if not (event in CHANGES or (event == "open" and arguments[2] & WRITING)):
            return
        path = str(arguments[0])  # relative where a directory is removed with all in it
        if isinstance(arguments[0], int) or (path[:1] == "/" and not path.startswith(str(place))):
            return
        count += 1
        if order and count == order.change:
            if order.what == "kill":
                os.killpg(0, signal.SIGKILL)
            free = os.statvfs(place)
            with (place / BALLAST).open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize))

    sys.addaudithook(hook)
    return lambda: count


def said(place: Path) -> Path:
    """Returns the file that has the words of all processes in a directory."""
    return place.parent / f"{place.name}.txt"


def changes(place: Path) -> Path:
    """Returns the file that has the number of changes of a process to which nothing happened."""
    return place.parent / f"{place.name}.changes"


def started(command: Call | list[str], place: Path, order: Order | None = None) -> Any:
    """Returns a process in a group of its own, which speaks into a file."""
    os.environ.update(ENV)
    if isinstance(command, Call):
        return Forked(command, place, order)
    with said(place).open("ab") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)


def main(flags: list[str]) -> int:
    """Does nothing, in the first `Call` of all, which waits for the imports."""
    return 0


def of_all(process: Any, rng: np.random.Generator) -> bool:
    """Kills a process with all that it has started."""
    while process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it leads no group yet
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
    return False


def of_a_child(process: Any, rng: np.random.Generator) -> bool:
    """Kills one of the processes that a process has started; returns whether there was one."""
    command = ["pgrep", "-P", str(process.pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(rng.choice(found)), signal.SIGKILL)
            return True
    return False


class Case(NamedTuple):
    """What is disturbed, and how.

    Attributes:
        what: its name.
        command: from a directory to what to call until it ends by itself.
        same: whether what it made in one directory equals that in another.
        how: "kill" or "fill".
        kill: kills at a moment on the clock, and tells whether it did.
        survives: whether the process goes on by itself after a kill.
        each: number of disturbances before a run is left to end, and compared.
    """

    what: str
    command: Callable[[Path], Call | list[str]]
    same: Callable[[Path, Path], bool]
    how: str = "kill"
    kill: Callable[[Any, np.random.Generator], bool] = of_all
    survives: bool = False
    each: int = 4


class Whole(NamedTuple):
    """The run to which nothing happened: where it is, its seconds, and its changes of files."""

    place: Path
    seconds: float
    changes: int


def whole(case: Case, place: Path) -> Whole:
    """Returns a run to which nothing happened."""
    place.mkdir()
    started(Call("kills", []), place).wait()
    began = time.perf_counter()
    if code := started(case.command(place), place).wait():
        sys.exit(f"exit code {code} where nothing had happened:\n{said(place).read_text()[-2000:]}")
    seconds, file = time.perf_counter() - began, changes(place)
    return Whole(place, seconds, int(file.read_text()) if file.exists() else 0)


def disturbed(
    case: Case, place: Path, other: Whole, orders: list[Order | None], rng: np.random.Generator
) -> dict[str, Any]:
    """Returns what happened to one run, and whether it ended like the other.

    Args:
        case: is disturbed.
        place: an empty directory.
        other: the run to which nothing happened.
        orders: are carried out in turn; None is a moment on the clock.
        rng: of the moments.
    """
    left, moments, carried_out, process, hit = list(orders), [], [], None, False
    while True:
        if process is None:
            order = left[0] if left else None
            limit = rng.uniform(0, other.seconds) if left and order is None else None
            begun = said(place).stat().st_size if said(place).exists() else 0
            process, hit = started(case.command(place), place, order), False
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            if case.kill(process, rng):
                hit, left = True, left[1:]
                moments.append(round(limit, 2))
            limit = rng.uniform(0, other.seconds) if left else None
            process = process if process.poll() is None else None
            continue
        with said(place).open(errors="replace") as file:
            file.seek(begun)
            words = file.read()
        ballast, process = place / BALLAST, None
        happened = hit or ballast.exists() or (order is not None and code == -signal.SIGKILL)
        if order is not None and happened:
            carried_out.append(order.change)
            left = left[1:]
        ballast.unlink(missing_ok=True)
        errors = [line for line in words.splitlines() if line.startswith("error: ")]
        refused = code == 1 and len(errors) == 1 and "Traceback" not in words
        if code == 0 or not happened or not (code == -signal.SIGKILL or refused) or case.survives:
            good = code == 0 and case.same(place, other.place)
            if not good:
                print(f"{case.what}: exit code {code} in {place}\n{words[-3000:]}", flush=True)
            return {"moments": moments, "changes": carried_out, "identical": good}


@contextlib.contextmanager
def disk(case: Case, place: Path) -> Iterator[None]:
    """Gives a directory for a run, on a file system of its own if that is to fill up."""
    place.mkdir()
    if case.how != "fill":
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def campaign(case: Case, number: int, done: list[int], seed: int, home: Path) -> Iterator[dict]:
    """Yields, for each run that has ended, what happened to it, until there were so many.

    Half of the kills of whole processes come at a moment on the clock, half before a change. Disks
    are full before each change once, except those `done`, in any order.
    """
    rng = np.random.default_rng(seed)
    other = whole(case, home / "whole")
    print(f"{case.what}: {other.seconds:.1f} s, {other.changes} changes undisturbed", flush=True)
    todo = [int(n) for n in 1 + rng.permutation(other.changes) if n not in done]
    count, runs = 0, 0
    while count < number and (todo or case.how == "kill"):
        orders: list[Order | None] = []
        for i in range(min(case.each, number - count)):
            if case.how == "fill":
                orders += [Order("fill", todo.pop(0))] if todo else []
            elif case.kill is of_all and other.changes and (count + i) % 2:
                orders.append(Order("kill", int(rng.integers(1, other.changes + 1))))
            else:
                orders.append(None)
        with disk(case, home / str(runs)):
            found = disturbed(case, home / str(runs), other, orders, rng)
        runs, count = runs + 1, count + len(found["moments"]) + len(found["changes"])
        print(f"{case.what}: {count} so far; {found}", flush=True)
        yield {**found, "seconds": other.seconds, "all_changes": other.changes}
