"""A few hundred requests of the load benchmark, and that it would notice what it looks for."""

from pathlib import Path

import numpy as np
import pytest

from vae_tf.errors import ExportError
from vae_tf.exporting import write_bundle

from .small_model import LATENT, parts

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def export_load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import export_load

    return export_load


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(**parts(), directory=tmp_path_factory.mktemp("bundle"))


def test_eight_threads(export_load, bundle):
    result = export_load.load(bundle.directory, count=600, warmup=100)
    assert result["requests"] == 600
    assert {name: entry["requests"] > 0 for name, entry in result["signatures"].items()} == (
        dict.fromkeys(bundle.manifest["signatures"], True)
    )
    assert sum(entry["requests"] for entry in result["signatures"].values()) == 600
    assert 0 < result["p50_us"] <= result["p99_us"]


def test_errors_are_noticed(export_load, bundle, monkeypatch):
    wrong = [("decode", {"z": np.zeros((2, LATENT + 1), np.float32)})]
    monkeypatch.setattr(export_load, "requests", lambda signatures: wrong)
    with pytest.raises(ExportError, match="6 errors, the first: "):
        export_load.load(bundle.directory, count=5, warmup=1)


def test_wrong_answers_are_noticed(export_load, bundle, monkeypatch):
    right = export_load.saved_model.run

    def elsewhere(path, name, batches):
        answers = right(path, name, batches)
        return (
            answers if name != "decode" else [{k: v + 0.01 for k, v in a.items()} for a in answers]
        )

    monkeypatch.setattr(export_load.saved_model, "run", elsewhere)
    with pytest.raises(ExportError, match=r"decode in the C\+\+ loader under load must agree"):
        export_load.load(bundle.directory, count=40, warmup=1)


def test_growing_memory_is_noticed(export_load, bundle, monkeypatch):
    monkeypatch.setattr(export_load, "GROWTH", -1)
    with pytest.raises(ExportError, match="memory must stay flat"):
        export_load.load(bundle.directory, count=40, warmup=1)
