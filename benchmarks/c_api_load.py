"""Threads that put requests through SavedModels in the C++ loader: what export_load.py starts.

`python -I -S c_api_load.py < plan.json > report.json`, with the standard library alone. As in TF
Serving, all threads share one session for each SavedModel.

Plan: `{"tf_c_api": path, "libraries": [...], "threads", "requests", "warmup", "pool": [runs as in
tf_c_api.py]}`. Report: see `main`.
"""

import ctypes
import importlib.util
import json
import os
import random
import sys
import threading
import time
import zlib
from array import array
from ctypes import c_void_p
from pathlib import Path

STRING = 7


class Request:
    """One entry of the pool: its tensors, and the different answers it ever got."""

    def __init__(self, session, run, output_type):
        self.session = session
        sources, sinks = session.signatures[run["signature"]]
        self.names = list(sinks)
        self.feeds = (output_type * len(sources))(*map(session.end, sources.values()))
        self.fetches = (output_type * len(sinks))(*map(session.end, sinks.values()))
        self.given = (c_void_p * len(sources))(*[session.tensor(run["inputs"][k]) for k in sources])
        self.answers = {}

    def __call__(self, status):
        """Returns the seconds that a run took; raises RuntimeError with the runtime's message."""
        api, taken = self.session.api, (c_void_p * len(self.fetches))()
        inputs = self.feeds, self.given, len(self.feeds)
        outputs = self.fetches, taken, len(self.fetches)
        began = time.perf_counter()
        api.TF_SessionRun(self.session.session, None, *inputs, *outputs, None, 0, None, status)
        seconds = time.perf_counter() - began
        if api.TF_GetCode(status) != 0:
            raise RuntimeError(api.TF_Message(status).decode(errors="replace"))
        key = tuple(map(self.checksum, taken))
        if key not in self.answers:
            arrays = map(self.session.array, taken)
            self.answers[key] = dict(zip(self.names, arrays, strict=True))
        for tensor in taken:
            api.TF_DeleteTensor(tensor)
        return seconds

    def checksum(self, tensor):
        """Returns a checksum of the contents of a TF_Tensor."""
        api = self.session.api
        if api.TF_TensorType(tensor) == STRING:
            return zlib.crc32(json.dumps(self.session.array(tensor)).encode())
        data, size = api.TF_TensorData(tensor), api.TF_TensorByteSize(tensor)
        return zlib.crc32((ctypes.c_char * size).from_address(data)) if size else 0


def resident() -> int:
    """Returns the bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def drive(pool, count, threads, api, seed) -> dict:
    """Returns latencies (pool index, seconds, pool index, ...) and errors of `count` requests."""
    # Arrays: a tuple for each request would look like memory that grows.
    latencies, errors = [array("d") for _ in range(threads)], []

    def work(number):
        rng, status = random.Random(seed * threads + number), api.TF_NewStatus()
        for _ in range(number, count, threads):
            index = rng.randrange(len(pool))
            try:
                latencies[number].extend((index, pool[index](status)))
            except RuntimeError as error:
                errors.append(str(error))

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - began
    return {"latencies": sum(latencies, array("d")), "errors": errors, "seconds": seconds}


def main() -> None:
    """Prints `{latencies, errors, seconds, resident: [...], answers: [[outputs] by pool index]}`.

    `resident` is the memory after the warm-up and after each tenth of the requests.
    """
    pipe = os.dup(1)
    os.dup2(2, 1)
    plan = json.load(sys.stdin)
    spec = importlib.util.spec_from_file_location("tf_c_api", plan["tf_c_api"])
    tf_c_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tf_c_api)
    api = tf_c_api.open_library(plan["libraries"])
    directories = {run["saved_model"] for run in plan["pool"]}
    sessions = {d: tf_c_api.Session(api, d) for d in sorted(directories)}
    pool = [Request(sessions[run["saved_model"]], run, tf_c_api.Output) for run in plan["pool"]]
    threads, parts = plan["threads"], 10
    report = drive(pool, plan["warmup"], threads, api, seed=0)
    report |= {"latencies": array("d"), "seconds": 0.0, "resident": [resident()]}
    for part in range(parts):
        count = plan["requests"] * (part + 1) // parts - plan["requests"] * part // parts
        done = drive(pool, count, threads, api, seed=part + 1)
        for key in ("latencies", "errors", "seconds"):
            report[key] += done[key]
        report["resident"].append(resident())
    report["latencies"] = list(report["latencies"])
    report["answers"] = [list(request.answers.values()) for request in pool]
    with os.fdopen(pipe, "w") as stream:
        json.dump(report, stream)


if __name__ == "__main__":
    main()
