"""Several replicas train as one device does; in processes of their own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ENV = {**os.environ, "PYTHONPATH": str(HERE.parents[2]), "CUDA_VISIBLE_DEVICES": "-1"}


def run(script, *arguments):
    command = [sys.executable, str(HERE / script), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=ENV, **pipes)


def results(process):
    out, err = process.communicate(timeout=800)
    lines = [line for line in out.splitlines() if line.startswith("RESULTS ")]
    assert lines, err[-3000:]
    return json.loads(lines[-1].removeprefix("RESULTS "))


def check_alike(case):
    # Sums in another order; a step on twice the gradient, or on half, is off by `moved`
    assert case["moved"] > 1e-3
    assert case["weights"] < 1e-4 * case["moved"] + 5e-6
    assert case["reports"] < 1e-4
    assert case["tested"] < 1e-4
    assert case["names"]


@pytest.mark.slow
def test_two_replicas_are_one_device():
    found = results(run("replicas_script.py"))
    others = found.pop("others")
    for case in found.values():
        check_alike(case)
    assert others["noise"] > 0.01
    # Four batches; Keras counts the step that finds a distributed stream at its end, too
    assert others["steps on a stream"] in (4, 5)
    assert others["steps of the clock"] in (4, 5)
    for row, batch in ((1, 1), (31, 2)):
        said = others[f"refusal of row {row}"]
        assert f"nan in batch {batch} of epoch 1" in said, said
    assert others["predicted"]
    # Draws 0, 1, 2 on one replica, 10, 11, 12 on the other
    np.testing.assert_allclose(others["baseline"], [6, 6])
    assert np.isfinite(others["float16"])
    variables, updates = others["variables and updates by kernel"]
    assert updates == 2 * variables  # each replica its copy
    assert others["mean of own reports"] == 0.5
    before, after = others["losses on a batch"]
    assert after < before
    assert np.isfinite(others["loss of one eager epoch"])


@pytest.mark.slow
def test_two_workers_end_alike_and_as_one_device():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [str(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    workers = [run("workers_script.py", str(i), *ports) for i in range(2)]
    alone = run("workers_script.py")
    first, second, one = (results(process) for process in (*workers, alone))
    assert first == second
    assert first.pop("averaged again") == one.pop("averaged again") == 0
    for name, values in one.items():
        np.testing.assert_allclose(first[name], values, rtol=2e-4, err_msg=name)
