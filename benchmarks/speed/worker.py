"""The process of one contender: sets up, says so, then measures a round for each line it reads.

`python -m benchmarks.speed.worker JOB`, with `{"make", "options", "scratch"}` as JSON. Standard
output: `{"ready": true}`, then `{"units", "seconds", "peak_mb"}` for each `{"seconds"}` read; or
`{"error": text}`.
"""

import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

Measure = Callable[[float], tuple[float, float]]


def main() -> None:
    """Answers until standard input ends."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer

    def say(**answer: object) -> None:
        print(json.dumps(answer), file=pipe, flush=True)

    try:
        job = json.loads(sys.argv[1])
        module, function = job["make"].split(":")
        make = getattr(importlib.import_module(module, "benchmarks.speed"), function)
        measure: Measure = make(scratch=Path(job["scratch"]), **job["options"])
        gc.collect()
        say(ready=True)
        for line in sys.stdin:
            units, seconds = measure(json.loads(line)["seconds"])
            gc.collect()  # between rounds, not within the next one
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            say(units=units, seconds=seconds, peak_mb=peak / 2**10)
    except Exception as error:
        say(error=f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
        raise


def repeated(work: Callable[[], object], units: float, warmup: int = 3) -> Measure:
    """Returns a `measure` that calls `work`, worth so many `units`, until the time is up."""
    for _ in range(warmup):
        work()

    def measure(seconds: float) -> tuple[float, float]:
        calls, began = 0, time.perf_counter()
        while (taken := time.perf_counter() - began) < seconds:
            work()
            calls += 1
        return calls * units, taken

    return measure


if __name__ == "__main__":
    main()
