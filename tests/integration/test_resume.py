"""A run killed at any moment goes on to the same weights."""

import dataclasses
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from vae_tf.errors import NonFiniteError, RunError
from vae_tf.profiling import PARTS, measuring
from vae_tf.recipes import RECIPES
from vae_tf.runs import training

ROOT = Path(__file__).parents[2]
SMALL = dataclasses.replace(
    RECIPES["demo"],
    hidden=(32,),
    latent_dim=3,
    epochs=6,
    beta_warmup_epochs=2,
    dropout=0.1,
    importance_samples=5,
    deterministic=True,
)


@pytest.fixture(scope="module", autouse=True)
def determinism_ends_here():
    yield
    from tensorflow.python.framework import config  # there is no public way back

    config.disable_op_determinism()


def weights(run_dir):
    model = keras.models.load_model(Path(run_dir) / "model.keras")
    return model.get_weights()


def assert_same(a, b):
    for one, other in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(one, other)


class Interrupt(keras.callbacks.Callback):
    """Stops like a crash, in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.at and batch >= 3:
            raise KeyboardInterrupt


class Interrupting(training.Watcher):
    def __init__(self, epoch):
        self.epoch = epoch

    def callbacks(self, config, num_examples, unit):
        return [Interrupt(self.epoch)]


class StopsTheLikelihood(training.Watcher):
    def progress(self, text, total):
        def stop(done):
            raise KeyboardInterrupt

        return stop


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    report = training.train(dataclasses.replace(SMALL, run_dir=str(path)))
    return path, report


@pytest.mark.slow
def test_interrupted_runs_end_with_the_same_weights_and_numbers(uninterrupted, tmp_path):
    whole, report = uninterrupted
    config = dataclasses.replace(SMALL, run_dir=str(tmp_path / "run"), resume=True)
    for epoch in (0, 1, 4):
        with pytest.raises(KeyboardInterrupt):
            training.train(config, Interrupting(epoch))
        with pytest.raises(RunError, match="Finish the run with --resume first"):
            training.load_run(config.run_dir)
    resumed = training.train(config)
    assert_same(whole, config.run_dir)
    assert resumed["test"] == report["test"]
    assert resumed["epochs"] == report["epochs"] == 6
    assert training.train(config) == json.loads(json.dumps(resumed))  # nothing is left to do
    (tmp_path / "run" / "report.json").unlink()
    partial = tmp_path / "run" / "likelihood.npz"
    with pytest.raises(KeyboardInterrupt):
        training.train(config, StopsTheLikelihood())
    assert partial.is_file()
    assert training.train(config)["test"] == report["test"]
    assert not partial.exists()


@pytest.mark.slow
def test_a_profiled_run_ends_with_the_same_weights_and_numbers(
    uninterrupted, tmp_path, monkeypatch
):
    """Profiled when it begins, and asked again when it goes on and when it is done."""
    for name, value in {"ROUNDS": (1, 1), "PIECE": 1e-3, "FIT": 1e-3}.items():
        monkeypatch.setattr(measuring, name, value)
    whole, report = uninterrupted
    run = tmp_path / "run"
    config = dataclasses.replace(SMALL, run_dir=str(run), resume=True, profile=True)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, Interrupting(1))
    profile = json.loads((run / "profile.json").read_text())
    assert sum(profile[part] for part in PARTS) == pytest.approx(profile["step"])
    assert list((run / "logs").glob("plugins/profile/*/*.xplane.pb"))

    asked_after = []

    def profiled(config, vae, images, run, epochs_done):
        asked_after.append((epochs_done, int(vae.optimizer.iterations) > 0))

    monkeypatch.setattr(training, "profile_run", profiled)
    resumed = training.train(config)
    assert_same(whole, run)
    assert resumed["test"] == report["test"]
    assert training.train(config) == json.loads(json.dumps(resumed))
    assert asked_after == [(1, True), (6, True)]


def test_a_run_directory_holds_what_it_should(uninterrupted):
    path, report = uninterrupted
    for name in ("config.json", "metrics.csv", "model.keras", "report.json"):
        assert (path / name).is_file(), name
    assert json.loads((path / "report.json").read_text()) == json.loads(json.dumps(report))
    assert list((path / "logs").rglob("events*"))
    pictures = {p.name for p in (path / "pictures").iterdir()}
    assert pictures == {
        f"{n}.png" for n in ("reconstructions", "samples", "interpolations", "learning_curves")
    }
    assert not list(path.rglob(".aside*"))
    saved = json.loads((path / "config.json").read_text())
    assert {"config", "data", "versions"} <= set(saved)
    rows = (path / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 6
    assert {"elbo", "nll", "kl", "loss", "val_elbo"} <= set(rows[0].split(","))


def test_other_settings_are_refused(uninterrupted):
    path, _ = uninterrupted
    config = dataclasses.replace(SMALL, run_dir=str(path))
    with pytest.raises(RunError, match="Pass --resume to go on with it"):
        training.train(config)
    other = dataclasses.replace(config, resume=True, learning_rate=0.5)
    with pytest.raises(RunError, match=r"--learning-rate 0.5 instead of 0.00"):
        training.train(other)


@pytest.mark.slow
def test_a_run_that_is_not_finite_leaves_no_checkpoint(tmp_path):
    config = dataclasses.replace(
        SMALL,
        run_dir=str(tmp_path / "run"),
        epochs=1,
        beta_warmup_epochs=0,  # one longer than the run is warned of
        learning_rate=1e30,
        resume=True,
    )
    for _ in range(2):  # the second resumes
        with pytest.raises(NonFiniteError):
            training.train(config)
    assert not (tmp_path / "run" / "model.keras").exists()


@pytest.mark.parametrize("content", ["[]", "{}", '{"config": [], "data": 1, "versions": {}}', "{"])
@pytest.mark.parametrize("name", ["config.json", "checkpoints/epoch-00006/state.json"])
def test_files_spoilt_by_hand(uninterrupted, tmp_path, name, content):
    import shutil

    shutil.copytree(uninterrupted[0], tmp_path / "run")
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(RunError, match="must be"):
        training.train(dataclasses.replace(SMALL, run_dir=str(tmp_path / "run"), resume=True))


def test_a_used_directory_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(RunError, match="which is in use"):
        training.train(dataclasses.replace(SMALL, run_dir=str(tmp_path), resume=True))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_killed_while_it_wrote_its_configuration(tmp_path):
    from vae_tf.runs.directory import RunDirectory

    (tmp_path / ".aside-123-config.json").write_text('{"conf')
    RunDirectory(tmp_path).open(SMALL, {})
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_a_truncated_model_file_is_named(uninterrupted, tmp_path):
    import shutil

    path = tmp_path / "run"
    shutil.copytree(uninterrupted[0], path)
    model = path / "model.keras"
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"model.keras must be a whole Keras model"):
        training.load_run(path)


@pytest.mark.parametrize(
    "times", [pytest.param(3, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.long)]
)
def test_sigkill_at_random_moments(tmp_path, times):
    flags = ["--recipe", "demo", "--deterministic", "--epochs", "40", "--importance-samples", "20"]
    flags += ["--hidden", "64", "--beta-warmup-epochs", "5", "--dropout", "0.1"]
    command = [sys.executable, str(ROOT / "train.py"), *flags]
    began = time.monotonic()
    whole = [*command, "--run-dir", str(tmp_path / "whole")]
    subprocess.run(whole, check=True, capture_output=True)
    duration = time.monotonic() - began

    command += ["--run-dir", str(tmp_path / "killed"), "--resume"]
    chance = random.Random(0)
    for _ in range(times):
        # the latter part, where work is done; the first seconds are imports
        delay = duration * chance.uniform(0.3, 1.0)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert_same(tmp_path / "whole", tmp_path / "killed")
    reports = [json.loads((tmp_path / n / "report.json").read_text()) for n in ("whole", "killed")]
    assert reports[0]["test"] == reports[1]["test"]
    assert not list((tmp_path / "killed").rglob(".aside*"))


@pytest.mark.slow
def test_an_animation_goes_on_with_its_run(tmp_path):
    from PIL import Image

    own = {"hidden": (16,), "latent_dim": 2, "prior": "normal", "dataset": "digits"}
    config = dataclasses.replace(
        RECIPES["manifold"], **own, animate=True, importance_samples=0, run_dir=str(tmp_path / "r")
    )
    with pytest.raises(KeyboardInterrupt):
        training.train(dataclasses.replace(config, epochs=3), Interrupting(1))
    report = training.train(dataclasses.replace(config, epochs=3, resume=True))
    assert {"manifold.png", "codes.png"} <= set(report["pictures"])
    with Image.open(tmp_path / "r/pictures/manifold.gif") as gif:
        assert gif.n_frames == 4
    training.train(dataclasses.replace(config, epochs=4, resume=True))
    with Image.open(tmp_path / "r/pictures/manifold.gif") as gif:
        assert gif.n_frames == 5
    with pytest.raises(RunError, match="--animate False instead of True"):
        training.train(dataclasses.replace(config, epochs=4, resume=True, animate=False))
