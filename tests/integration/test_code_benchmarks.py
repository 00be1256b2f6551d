"""The benchmarks of codes in short forms."""

import json
from pathlib import Path

import numpy as np
import pytest

from vae_tf import data
from vae_tf.cli import train
from vae_tf.runs.build import kind_of
from vae_tf.runs.config import TrainConfig

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """Returns a function from a name to its benchmark, whose files are in `tmp_path`."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(threads, "1")  # which benchmarks set: not for what comes after

    def imported(name):
        module = __import__(name)
        monkeypatch.setattr(module, "RESULT", tmp_path / "result.json")
        monkeypatch.setattr(module, "MODELS", tmp_path / "models")
        monkeypatch.setattr(module, "PICTURE", tmp_path / "picture.png")
        return module

    return imported


@pytest.mark.slow
def test_representation(benchmark, monkeypatch):
    module = benchmark("representation")
    monkeypatch.setattr(module, "DATA", "digits")
    monkeypatch.setattr(module, "SECONDS", 0.5)
    monkeypatch.setattr(module, "CASES", [("PCA", 2, 0), ("PCA", 8, 0), ("VAE", 2, 0)])
    module.main()
    first = module.RESULT.read_text()
    lines = json.loads(first)
    assert [line["method"] for line in lines] == ["PCA", "PCA", "VAE"]
    # Of unit variance 64 pixels; two of 64 components leave most of it, eight less
    assert lines[0]["reconstruction_error"] > lines[1]["reconstruction_error"] > 0
    assert lines[1]["knn_accuracy"] > lines[0]["knn_accuracy"] > 0.5
    module.main()
    assert module.RESULT.read_text() == first  # nothing is measured twice
    module.main("picture")
    assert module.PICTURE.stat().st_size > 1000


@pytest.mark.slow
def test_disentanglement(benchmark, monkeypatch):
    module = benchmark("disentanglement")
    monkeypatch.setattr(module, "EPOCHS", 1)
    monkeypatch.setattr(module, "METHODS", {"beta-TCVAE": module.METHODS["beta-TCVAE"]})
    monkeypatch.setattr(module, "PICTURED", ("beta-TCVAE",))
    monkeypatch.setattr(module, "SEEDS", (0,))
    module.main()
    (line,) = json.loads(module.RESULT.read_text())
    assert all(0 <= line[key] <= 1 for key in module.COLUMNS if key != "test_elbo")
    assert line["test_elbo"] > -0.3 * 32 * 32  # below -710 is a coin for each pixel
    module.main("picture")
    assert module.PICTURE.stat().st_size > 1000


@pytest.mark.slow
def test_the_table_of_factors_is_complete(benchmark):
    x, factors = benchmark("disentanglement").table(data.load("shapes"))
    assert len(x) == len(np.unique(factors, axis=0)) == 13_824


def test_a_run_of_shapes_knows_that_they_are_binary():
    kind = kind_of(TrainConfig(dataset="shapes"))
    assert kind.chosen(TrainConfig(dataset="shapes"))["likelihood"][0] == "bernoulli"
    assert kind.data.num_classes == 3


@pytest.mark.slow
def test_shapes_are_trained_on(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    flags = ["--dataset", "shapes", "--condition", "label", "--epochs", "1"]
    assert train.main([*flags, "--importance-samples", "2", "--hidden", "32"]) == 0
    assert "NLL given the label" in capfd.readouterr().out
