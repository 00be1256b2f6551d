"""The script of random kills and full disks, `benchmarks/faults.py`, in short."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
COUNTER = '''
"""Counts to a number, in a file that is whole at any moment."""
import sys, time
from pathlib import Path

def main(flags):
    place, last = Path(flags[0]), int(flags[1])
    file, aside = place / "n", place / "aside"
    try:
        for n in range(int(file.read_text()) if file.exists() else 0, last):
            time.sleep(0.02)
            aside.write_text(str(n + 1))
            aside.replace(file)
    except OSError:
        print("error: no room", file=sys.stderr)
        return 1
    return 0

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''


@pytest.fixture
def faults(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.syspath_prepend(str(tmp_path))  # where the counter is
    (tmp_path / "counter.py").write_text(COUNTER)
    spec = importlib.util.spec_from_file_location("faults", ROOT / "benchmarks/faults.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.kills, "IMPORTS", [])  # the counter needs none
    for name, value in module.kills.ENV.items():
        monkeypatch.setenv(name, os.environ.get(name, value))
    return module


def same(one, other):
    return (one / "n").read_text() == (other / "n").read_text()


@pytest.mark.parametrize("last", [20, 19])
@pytest.mark.parametrize("forked", [True, False])
def test_a_campaign_kills_so_often_and_tells_what_differs(faults, tmp_path, last, forked):
    """Of a counter, the whole one of which counts to 20."""

    def command(place):
        flags = [str(place), "20" if place.name == "whole" else str(last)]
        if forked:
            return faults.Call("counter", flags)
        return [sys.executable, str(tmp_path / "counter.py"), *flags]

    case = faults.Case("a counter", command, same)
    line = {"what": "a counter", "runs": 0, "identical": True, "commits": []}
    line |= {"moments": [], "changes": []}
    for found in faults.kills.campaign(case, 4, [], 0, tmp_path):
        line = faults.added(line, found)
    assert line["kills"] == len(line["moments"]) + len(line["changes"]) >= 4
    assert line["runs"] >= 1
    assert line["identical"] is (last == 20)
    # The counter opens one file and renames it, 20 times
    assert line["changes_uninterrupted"] == (40 if forked else 0)
    assert all(change <= 40 for change in line["changes"])


@pytest.mark.parametrize("change", [1, 2, 39, 40])
def test_a_process_is_killed_before_the_change_that_it_is_told(faults, tmp_path, change):
    """Changes 2n - 1 and 2n of the counter write and rename its n-th number."""
    place = tmp_path / "place"
    place.mkdir()
    call = faults.Call("counter", [str(place), "20"])
    process = faults.kills.started(call, place, faults.kills.Order("kill", change))
    assert process.wait() == -9
    whole = (change - 1) // 2
    assert (place / "n").exists() is (whole > 0)
    assert not whole or (place / "n").read_text() == str(whole)
    assert (place / "aside").exists() is (change % 2 == 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
def test_a_disk_is_full_before_each_change_once(faults, tmp_path):
    def command(place):
        return faults.Call("counter", [str(place), "3"])

    case = faults.Case("a counter", command, same, "fill", each=1)
    try:
        found = list(faults.kills.campaign(case, 9, [2], 0, tmp_path))
    except faults.kills.subprocess.CalledProcessError:
        pytest.skip("no file system can be mounted here")
    assert sorted(one["changes"] for one in found) == [[1], [3], [4], [5], [6]]
    assert all(one["identical"] for one in found)


@pytest.mark.slow  # a training from memory is killed in test_resume, too
@pytest.mark.parametrize("part", [pytest.param("train", marks=pytest.mark.long), "stream"])
def test_a_training_that_is_killed_twice(faults, tmp_path, part):
    case = faults.case_of(part, 2, tmp_path)
    found = list(faults.kills.campaign(case, 2, [], 1, tmp_path))
    assert sum(len(one["moments"]) + len(one["changes"]) for one in found) >= 2
    assert all(one["identical"] for one in found)


def test_the_table_is_the_measured_one(faults, tmp_path, monkeypatch):
    page = (ROOT / "docs/scale.md").read_text("utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/scale.md").write_text(page, "utf-8")
    monkeypatch.setattr(faults, "ROOT", tmp_path)
    faults.page()
    assert (tmp_path / "docs/scale.md").read_text("utf-8") == page
    lines = json.loads(faults.PATH.read_text())
    assert all(line["kills"] == len(line["moments"] + line["changes"]) for line in lines)
    assert all(np.isfinite(line["seconds_uninterrupted"]) for line in lines)
