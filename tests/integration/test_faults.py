"""The script of random kills, `benchmarks/faults.py`, in short."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNTER = """
import sys, time
from pathlib import Path
place, last = Path(sys.argv[1]), int(sys.argv[2])
file = place / "n"
for n in range(int(file.read_text()) if file.exists() else 0, last):
    time.sleep(0.02)
    aside = place / "aside"
    aside.write_text(str(n + 1))
    aside.replace(file)
"""


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("faults", ROOT / "benchmarks/faults.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("last", [20, 19])
def test_a_campaign_kills_so_often_and_tells_what_differs(faults, tmp_path, last):
    """Of a counter, the whole one of which counts to 20."""

    def command(place):
        end = 20 if place.name == "whole" else last
        return [sys.executable, "-c", COUNTER, str(place), str(end)]

    def same(one, other):
        return (one / "n").read_text() == (other / "n").read_text()

    found = faults.campaign("a counter", command, same, faults.of_all, 4, 0, tmp_path)
    assert found["kills"] == len(found["moments"]) == 4
    assert found["runs"] >= 1
    assert found["identical"] is (last == 20)


@pytest.mark.slow  # a training from memory is killed in test_resume, too
@pytest.mark.parametrize("part", [pytest.param("train", marks=pytest.mark.long), "stream"])
def test_a_training_that_is_killed_twice(faults, tmp_path, part):
    found = faults.measured(part, 2, 1, tmp_path)
    assert found["kills"] == 2
    assert found["identical"]
