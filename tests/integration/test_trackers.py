"""The parts of docs/howto/track.md on MLflow and Weights & Biases, run where these are installed.

Neither is among the tests' packages. Once `pip install mlflow-skinny sqlalchemy alembic wandb`
has added them, this file runs. Nothing leaves the machine.
"""

import os
import re
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/track.md").read_text("utf-8")
MODEL = re.findall(r"```python\n(.*?)```", PAGE, re.S)[0].replace("epochs=3", "epochs=1")
SHOWN = {"mlflow": "MLflow", "wandb": "Weights & Biases"}


def part(heading):
    """Returns the code below one heading of the page."""
    return re.search(rf"## {heading}\n.*?```text\n(.*?)```", PAGE, re.S)[1]


def run(code, directory):
    offline = {
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    env = {**os.environ, **offline, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-c", MODEL + code]
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("package", SHOWN)
def test_the_page_has_a_part(package):
    assert f"import {package}" in part(SHOWN[package])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow-skinny")
def test_mlflow_has_the_numbers_of_a_training(tmp_path):
    out = run(part("MLflow") + "print(result.nll)", tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        found = dict(store.execute("select key, value from latest_metrics"))
        steps = store.execute("select count(*) from metrics where key = 'val_elbo'").fetchone()
    assert {"loss", "nll", "kl", "elbo", "val_elbo"} <= set(found)
    assert steps == (3,)
    assert found["importance_nll"] == pytest.approx(float(out.split()[-1]), rel=1e-6)
    assert found["importance_nll"] < -found["val_elbo"] + 1  # a tighter bound than the ELBO's
    assert list(tmp_path.rglob("mlruns/**/digits.keras"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("wandb") is None, reason="needs wandb")
def test_wandb_has_the_numbers_of_a_training(tmp_path):
    code = part("Weights & Biases").replace("wandb.init(", "wandb.init(dir='.', ")
    code = code.rstrip() + "\n    summary = dict(wandb.run.summary)\n"
    code += "for name, values in fitted.history.items():\n"
    code += "    assert summary[f'epoch/{name}'] == values[-1], name\nprint(len(fitted.history))"
    assert int(run(code, tmp_path).split()[-1]) >= 10
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
