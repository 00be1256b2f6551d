"""Contenders in processes of their own, measured in turn: A B C A B C ...

All of a race are alive at once, at rest while another one works, so that whatever else the
machine does hits all alike.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
CORES = os.cpu_count() or 1
PATIENCE = 300  # seconds; compilers are slow, and some never end


@dataclass(frozen=True)
class Settings:
    """How long to measure, and where files may be left.

    Attributes:
        rounds: of each race.
        seconds: of work of each contender in a round.
        scratch: a directory that vanishes afterwards.
    """

    rounds: int
    seconds: float
    scratch: Path


@dataclass(frozen=True)
class Contender:
    """One way to do the work of a race.

    Attributes:
        name: unique in its race.
        make: `module:function`, `.module` if in this package; `function(scratch, **options)`
            returns a `measure`: seconds -> (units of work done, seconds taken).
        options: for the function; plain data.
        ours: whether it is `vae_tf`.
        environment: variables of its process.
    """

    name: str
    make: str
    options: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


class Failed(Exception):
    """A contender that could not be set up or broke down; the text says why."""


class Worker:
    """The process of one contender."""

    def __init__(self, contender: Contender, scratch: Path):
        self.contender, self.idle_cpu, self._left = contender, 0.0, None
        self.peak_mb = 0.0
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close
        job = {"make": contender.make, "options": dict(contender.options), "scratch": str(scratch)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.worker", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env=os.environ | contender.environment,
        )

    def wait_until_ready(self) -> None:
        """Returns when all is set up and warm.

        Raises:
            Failed: it never will be.
        """
        self._answer()

    def measure(self, seconds: float) -> float:
        """Returns units/s over about `seconds` of work.

        Raises:
            Failed: the work could not be done.
        """
        if self._left is not None:
            self.idle_cpu += cpu_seconds(self._process.pid) - self._left
        self._process.stdin.write(json.dumps({"seconds": seconds}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        self._left = cpu_seconds(self._process.pid)
        self.peak_mb = answer["peak_mb"]
        return answer["units"] / answer["seconds"]

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _answer(self) -> dict:
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            self._process.kill()
            raise Failed(f"no answer in {PATIENCE} s")
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": self._last_words()}
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def _last_words(self) -> str:
        self._process.wait()
        self._log.seek(0)
        lines = self._log.read().strip().splitlines() or ["no message"]
        return f"exit status {self._process.returncode}: {lines[-1]}"


def race(
    name: str, contenders: Sequence[Contender], settings: Settings, *, unit: str, what: str
) -> dict:
    """Returns the rates of each contender in each round, with what is needed to read them.

    Those that fail are named with the reason and left out. `idle_cpu` is the share of a core that
    a worker took while at rest, the largest of all; it should be next to nothing.
    """
    print(f"{name}: starting {len(contenders)} contenders", flush=True)
    workers: list[Worker] = []
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    failed: dict[str, str] = {}

    def attempt(worker: Worker, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Failed as failure:
            failed[worker.contender.name] = str(failure)
            del rates[worker.contender.name]

    try:
        for i in range(0, len(contenders), CORES):  # as many set up at once
            started = [Worker(c, settings.scratch) for c in contenders[i : i + CORES]]
            workers += started
            for worker in started:
                attempt(worker, worker.wait_until_ready)
        began = time.perf_counter()
        for _ in range(settings.rounds):
            for worker in workers:
                if (own := rates.get(worker.contender.name)) is not None:
                    own.append(attempt(worker, lambda w=worker: w.measure(settings.seconds)))
        elapsed = time.perf_counter() - began
    finally:
        for worker in workers:
            worker.close()
    for contender, values in rates.items():
        print(f"  {contender:<44} {median(values):>12,.0f} {unit}", flush=True)
    for contender, reason in failed.items():
        print(f"  {contender:<44} failed: {reason}", flush=True)
    return {
        "name": name,
        "what": what,
        "unit": unit,
        "ours": [c.name for c in contenders if c.ours and c.name in rates],
        "rates": rates,
        "failed": failed,
        "peak_mb": {w.contender.name: round(w.peak_mb) for w in workers if w.peak_mb},
        "idle_cpu": max((w.idle_cpu for w in workers), default=0.0) / elapsed,
    }


def cpu_seconds(pid: int) -> float:
    """Returns the seconds of processor time a process has had; 0 where nobody tells."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
