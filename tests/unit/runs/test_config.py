import dataclasses
import json
import math
from pathlib import Path

import pytest

from vae_tf.errors import ConfigError, RunError
from vae_tf.recipes import RECIPES, recipe
from vae_tf.runs.config import INCIDENTAL, TrainConfig
from vae_tf.runs.directory import run_path

BAD = {
    "latent_dim": [0, -2],
    "epochs": [0],
    "batch_size": [0],
    "patience": [-1],
    "importance_samples": [-1],
    "learning_rate": [0.0, -1e-3, math.nan, math.inf],
    "scale": [0.0],
    "beta": [-1.0, math.nan],
    "weight_decay": [-1.0],
    "dropout": [1.0, -0.1],
    "hidden": [(), (0,), (10, -1), 0, "8", (1.5,)],
    "filters": [()],
    "image_size": [(0, 3), 3, (3,)],
    "latents": [0, (0,)],
    "clipnorm": [0.0],
    "seed": [-1, 2**31],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_values_out_of_range_are_refused_by_their_flag(name, value):
    with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')} must be"):
        TrainConfig(**{name: value})


def test_identity_leaves_out_what_does_not_change_the_numbers():
    config = TrainConfig()
    moved = dataclasses.replace(
        config, run_dir="elsewhere", resume=True, export="x", data_dir="y", profile=True
    )
    assert moved.identity() == config.identity()
    assert dataclasses.replace(config, seed=1).identity() != config.identity()
    assert {field.name for field in dataclasses.fields(config)} >= set(INCIDENTAL)


def test_recipes():
    assert recipe("mlp") is RECIPES["mlp"]
    with pytest.raises(ConfigError, match="Did you mean demo"):
        recipe("dem")


@pytest.mark.parametrize(
    ("flags", "received"),
    [
        ({"latent_dim": 3}, "--latent-dim 3"),
        ({}, "--latent-dim auto"),
        ({"latent_dim": 2, "dataset": "table:x.csv"}, "table:x.csv"),
        ({"latent_dim": 2, "dataset": "text:x.txt"}, "text:x.txt"),
        ({"latent_dim": 2, "condition": "label"}, "--condition"),
        ({"latents": (2, 3)}, "--latents"),
    ],
)
def test_an_animation_needs_images_on_two_latents(flags, received):
    with pytest.raises(ConfigError, match="a grid of two latents") as refused:
        TrainConfig(animate=True, **flags)
    assert received in str(refused.value)
    assert TrainConfig(animate=True, latent_dim=2).animate


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("parquet:a/shards/*.parquet", "shards"),
        ("tfrecord:b/*/x-*", "b"),
        ("folder:c/d", "d"),
        ("mnist", "mnist"),
        ("table:c/d.csv", "d-table"),
        ("text:d.txt", "d-text"),
        ("series:d.npz", "d-series"),
    ],
)
def test_a_run_is_called_after_its_data(dataset, name):
    assert run_path(TrainConfig(dataset=dataset)) == Path("runs") / name


def test_a_run_of_an_earlier_name_is_not_begun_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = TrainConfig(dataset="table:wine.csv", resume=True)
    assert run_path(table) == Path("runs/wine-table")  # nothing is there to be resumed
    for dataset in ("folder:wine", "table:wine.csv"):
        saved = {"config": {"dataset": dataset}, "data": {}, "versions": {}}
        Path("runs/wine").mkdir(parents=True, exist_ok=True)
        Path("runs/wine/config.json").write_text(json.dumps(saved))
        if dataset == "folder:wine":
            assert run_path(table) == Path("runs/wine-table")
    with pytest.raises(RunError, match=r"one in runs/wine, .* Pass --run-dir runs/wine\."):
        run_path(table)
    named = dataclasses.replace(table, run_dir="runs/wine")
    assert run_path(named) == Path("runs/wine")
    assert run_path(dataclasses.replace(table, resume=False)) == Path("runs/wine-table")
    Path("runs/wine-table").mkdir()
    Path("runs/wine-table/config.json").write_text("{}")
    assert run_path(table) == Path("runs/wine-table")
