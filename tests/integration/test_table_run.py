"""A table through train.py: numbers, files, and refusals in one line."""

import json
import re

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import vae_tf
from vae_tf.cli import export, train
from vae_tf.data import Table
from vae_tf.data.tables.table_data import load_table
from vae_tf.errors import ConfigError
from vae_tf.exporting import verify_bundle
from vae_tf.runs.config import TrainConfig

FLAGS = ["--epochs", "2", "--importance-samples", "20", "--hidden", "16", "--latent-dim", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    z = rng.normal(size=120)
    frame = pd.DataFrame(
        {
            "id": [f"row {i}" for i in range(120)],
            "income": np.exp(8 + z),
            "height": 170 + 5 * z + rng.normal(size=120),
            "colour": np.where(z > 0, "red", "blue"),
        }
    )
    frame.loc[::11, "height"] = np.nan
    frame.to_csv(folder / "people.CSV", index=False)
    flags = ["--dataset", f"table:{folder / 'people.CSV'}", "--run-dir", str(folder / "run")]
    assert train.main([*flags, "--kinds", "id=ignore", *FLAGS]) == 0
    return folder


def test_the_run_holds_table_pictures_and_numbers_in_the_users_units(run):
    home = run / "run"
    report = json.loads((home / "report.json").read_text())
    assert report["unit"] == "row"
    assert report["config"]["likelihood"] == "mixed"
    assert report["pictures"] == ["marginals.png", "pairs.png", "learning_curves.png"]
    table = Table.load(home / "table.json")
    assert table.names == ["income", "height", "colour"]
    vae = keras.models.load_model(home / "model.keras")
    test = load_table(str(run / "people.CSV"), kinds={"id": "ignore"}).test
    x, mask = test.array(), test.mask()
    found = vae_tf.log_likelihood(vae, {"x": x, "mask": mask}, 20)
    nll = -np.mean(found.per_example + table.log_jacobian(x, mask))
    told = report["test"]["importance_weighted_nll"]
    assert told == pytest.approx(nll, rel=1e-5)
    # The units are worth nine nats
    assert abs(np.mean(table.log_jacobian(x, mask))) > 9
    drawn = table.sample(vae, 10, seed=0)
    assert list(drawn.columns) == ["income", "height", "colour"]


def test_a_run_of_a_table_goes_on(run):
    flags = ["--dataset", f"table:{run / 'people.CSV'}", "--run-dir", str(run / "run")]
    assert train.main([*flags, "--resume", "--epochs", "3"]) == 0
    report = json.loads((run / "run" / "report.json").read_text())
    assert report["epochs"] == 3


@pytest.mark.slow
def test_a_run_of_a_table_is_served_in_its_columns(run, monkeypatch):
    assert export.main([str(run / "run"), "--output", str(run / "bundle")]) == 0
    bundle = verify_bundle(run / "bundle")
    table = Table.load(run / "run" / "table.json")
    assert Table.from_config(bundle.manifest["table"]) == table
    assert {"encode_columns", "decode_columns", "generate_columns"} <= set(
        bundle.manifest["signatures"]
    )
    vae = keras.models.load_model(run / "run" / "model.keras")
    rows = pd.read_csv(run / "people.CSV")[9:15]  # of which the third has no height
    encode = tf.saved_model.load(bundle.encoder).signatures["encode_columns"]
    found = encode(
        income=tf.constant(rows["income"].to_numpy()),
        height=tf.constant(rows["height"].to_numpy()),
        colour=tf.constant(rows["colour"].tolist()),
    )
    want = vae.parts.q(table.encode(rows).tensors()).mean()
    np.testing.assert_allclose(found["z_mean"], want, rtol=1e-4, atol=1e-5)
    card = (run / "bundle" / "README.md").read_text("utf-8")
    assert "column 'income', positive" in card
    assert "pictures/1/marginals.png" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(run / "bundle")
    exec(code, names := {})
    assert {"income", "height", "colour"} <= set(names["outputs"])
    assert names["outputs"]["colour"].numpy()[0] in (b"red", b"blue")


def test_refusals_are_one_line(run, capsys):
    dataset = ["--dataset", f"table:{run / 'people.CSV'}", "--run-dir", str(run / "other")]
    for flags, message in [
        ([], "Column 'id' must not be free text"),
        (["--kinds", "idd=ignore"], "A column in --kinds must be a known name"),
        (["--kinds", "id"], "--kinds takes COLUMN=KIND"),
    ]:
        assert train.main([*dataset, *flags]) == 1
        *_, error = capsys.readouterr().err.splitlines()
        assert error.startswith(f"error: {message}")
    assert not (run / "other").exists()
    for setting in ({"network": "conv"}, {"likelihood": "gaussian"}, {"condition": "label"}):
        with pytest.raises(ConfigError, match=r"A table does without this flag. Received: --"):
            TrainConfig(dataset="table:a.csv", **setting)
    with pytest.raises(ConfigError, match=r"--kinds belongs to a table"):
        TrainConfig(kinds=("a=real",))
