"""The doors as a user finds them: exit codes, one-line errors, what is left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vae_tf.cli import export, train

ROOT = Path(__file__).parents[2]
QUICK = ["--hidden", "16", "--latent-dim", "2", "--epochs", "1", "--importance-samples", "2"]


def run(*arguments, cwd):
    command = [sys.executable, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture
def here(monkeypatch, capfd):
    """A function: a door's main, flags, directory -> what `run` returns, without a new process."""

    def run_here(main, *flags, cwd):
        monkeypatch.chdir(cwd)
        capfd.readouterr()
        try:
            code = main([*map(str, flags)])
        except SystemExit as exit_:
            code = exit_.code
        out, err = capfd.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return run_here


def refused(done, message):
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout
    flat = " ".join((done.stderr + done.stdout).replace("│", " ").split())
    assert message in flat, flat


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    done = run(ROOT / "train.py", "--recipe", "demo", "--run-dir", "r", *QUICK, cwd=home)
    assert done.returncode == 0, done.stderr
    return home, done


def test_training_ends_with_a_table(trained):
    home, done = trained
    for text in ("ELBO", "NLL, 2 importance samples", "±", "r/model.keras", "r/pictures"):
        assert text in done.stdout
    assert (home / "r" / "pictures" / "manifold.png").exists()
    # libraries' chatter stays away from the user
    assert "WARNING" not in done.stderr
    assert "cuda" not in done.stderr.lower()


@pytest.mark.long  # make demo and a command of README export runs as well
def test_exporting_a_run(trained, here):
    home, _ = trained
    flags = ["r", "--output", "out"]
    done = run("-m", "export", *flags, cwd=home)
    assert done.returncode == 0, done.stderr
    for name in ("encoder/1", "decoder/1", "encoder.tflite", "decoder.tflite", "manifest.json"):
        assert (home / "out" / name).exists(), name
    manifest = json.loads((home / "out" / "manifest.json").read_text())
    assert manifest["provenance"]["config"]["latent_dim"] == 2
    refused(here(export.main, *flags, cwd=home), "already")


def test_help_lists_the_flags():
    done = run(ROOT / "train.py", "--help", cwd=ROOT)
    assert done.returncode == 0
    for flag in ("--dataset", "--resume", "--profile", "--export"):
        assert flag in done.stdout


BAD_FLAGS = [
    (["--latent-dim", "0"], "--latent-dim must be at least 1"),
    (["--likelihood", "bernouli"], "bernoulli"),
    (["--recipe", "demmo"], "Did you mean demo?"),
    (["--dataset", "fashion_mnits"], "fashion_mnist"),
    (["--dataset", "folder:nowhere"], "nowhere"),
    (["--dataset", "array:nowhere.npy"], "nowhere.npy"),
    (["--likelihood", "bernoulli", "--binarization", "none"], "Binarize the data"),
    (["--activation", "rellu"], "--activation must be known to Keras"),
]


@pytest.mark.parametrize(("flags", "message"), BAD_FLAGS, ids=lambda v: str(v)[:30])
def test_wrong_flags(flags, message, here, tmp_path):
    refused(here(train.main, *flags, cwd=tmp_path), message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("flags", "message"), [BAD_FLAGS[0], BAD_FLAGS[5]])
def test_wrong_flags_end_the_program(flags, message, tmp_path):
    """Before TensorFlow is imported, and after."""
    refused(run(ROOT / "train.py", *flags, cwd=tmp_path), message)
    assert not list(tmp_path.iterdir())


def test_exporting_what_is_no_run(here, tmp_path):
    message = "A run directory must hold config.json"
    refused(here(export.main, ".", "--output", "out", cwd=tmp_path), message)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_users_own_folder_and_array(here, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for i in range(60):
        pixels = rng.integers(0, 256, (7, 9, 3), dtype="uint8")
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i:03}.png")
    flags = ["--likelihood", "gaussian-learned", "--network", "conv", "--filters", "8", "8"]
    folder = ["--dataset", "folder:pictures", "--run-dir", "f", *QUICK, *flags]
    done = here(train.main, *folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "r/" not in done.stdout
    np.save(tmp_path / "a.npy", rng.random((60, 5, 6)).astype("float32"))
    done = here(train.main, "--dataset", "array:a.npy", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "a" / "report.json").exists()
