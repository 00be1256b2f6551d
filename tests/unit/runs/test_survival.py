"""Runs that are gone on with, overwritten, damaged, in use, linked, or without room."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from vae_tf import locks
from vae_tf.errors import ConfigError, RunError
from vae_tf.recipes import RECIPES
from vae_tf.runs import training
from vae_tf.runs.checkpoints import Checkpoints, room
from vae_tf.runs.claim import LOCK, claimed
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.files import reserve, sha256

SLOW = pytest.mark.slow
ROOT = Path(__file__).parents[3]
SMALL = dataclasses.replace(
    RECIPES["demo"],
    hidden=(8,),
    latent_dim=2,
    prior="normal",
    epochs=2,
    batch_size=500,
    importance_samples=2,
    patience=3,
)


def settings(path, **changes):
    return dataclasses.replace(SMALL, **{"run_dir": str(path), "resume": True, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run that nobody may change, and its report."""
    path = tmp_path_factory.mktemp("finished") / "run"
    return path, training.train(settings(path))


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run."""
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"


def flip(path, share=0.5):
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 1
    path.write_bytes(content)


def contents(directory):
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*.*")}


def test_a_second_training_is_refused_and_names_the_holder(tmp_path):
    with claimed(tmp_path / "run"):
        with pytest.raises(RunError, match=f"must not be in use .* held by process {os.getpid()}"):
            training.train(settings(tmp_path / "run"))
        assert [p.name for p in (tmp_path / "run").iterdir()] == [LOCK]
    assert not (tmp_path / "run").exists()  # created for nothing


def test_the_lock_of_a_killed_training_is_taken_over(tmp_path):
    held = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from vae_tf import locks\n"
        "with locks.locked(Path(sys.argv[2]), sys.argv[3]):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", held, str(ROOT), str(tmp_path), LOCK]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(locks.InUse, match=f"process {holder.pid}"), claimed_raw(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert (tmp_path / LOCK).exists()
    with claimed(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def claimed_raw(directory):
    return locks.locked(directory, LOCK)


def test_a_lock_is_not_taken_through_a_link(tmp_path):
    (tmp_path / "elsewhere").write_text("dear")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="must be a directory that can be written"):
        training.train(settings(tmp_path / "run"))
    assert (tmp_path / "elsewhere").read_text() == "dear"


@pytest.mark.slow
def test_more_epochs_go_on_where_the_run_ended(finished, run, tmp_path):
    """As one that was to be as long, but for the step size, which was nearly 0 at the end."""
    before = json.loads((run / "config.json").read_text())
    report = training.train(settings(run, epochs=4))
    assert report["epochs"] == 4
    rows = (run / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 4
    assert rows[:3] == (finished[0] / "metrics.csv").read_text().splitlines()
    after = json.loads((run / "config.json").read_text())
    assert after["config"]["epochs"] == 4
    assert after["data"] == before["data"]
    assert after["versions"] == before["versions"]
    assert int(training.load_run(run)[0].optimizer.iterations) > 0
    assert training.train(settings(run, epochs=4)) == json.loads(json.dumps(report))
    with pytest.raises(RunError, match=r"--epochs 2 instead of 4.*Pass --epochs 4 or more"):
        training.train(settings(run))


@pytest.mark.slow
def test_a_longer_run_that_is_killed_before_its_first_epoch_goes_on(run):
    class Killed(training.Watcher):
        def callbacks(self, config, num_examples, unit):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(settings(run, epochs=3), Killed())
    state = Checkpoints(run / "checkpoints").newest()
    assert (state["epochs"], state["finished"]) == (2, False)
    assert RunDirectory(run).model_is_whole()  # the shorter run's, until there is a better one


@pytest.mark.slow
def test_a_run_that_stopped_early_needs_more_patience(run):
    checkpoints = Checkpoints(run / "checkpoints")
    saved = json.loads((run / "config.json").read_text())
    saved["config"]["epochs"] = 10
    (run / "config.json").write_text(json.dumps(saved))
    with pytest.raises(RunError, match=r"early stopping after epoch 2, with --patience 3.*larger"):
        training.train(settings(run, epochs=20))
    assert checkpoints.newest()["finished"]
    assert json.loads((run / "config.json").read_text()) == saved


def test_an_existing_run_is_refused_in_words_that_say_what_to_do(run):
    before = contents(run)
    text = r"a finished run of 2 epochs\. Pass --resume to go on with it, --overwrite to delete it"
    with pytest.raises(RunError, match=text):
        training.train(settings(run, resume=False))
    assert contents(run) == before
    (run / "report.json").unlink()
    with pytest.raises(RunError, match="an unfinished run of 2 epochs"):
        training.train(settings(run, resume=False))
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(RunError, match="a run without a finished epoch"):
        training.train(settings(run, resume=False))


def test_overwriting_deletes_the_run_and_nothing_else(run, tmp_path):
    (run / "thesis.tex").write_text("dear")
    for name in ("table.json", "profile.json", "likelihood.npz"):
        (run / name).write_text("of the run before")
    for name in ("checkpoints", "logs", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kept.txt").write_text("dear")
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").symlink_to(tmp_path / "checkpoints")
    (run / "logs" / "further").symlink_to(tmp_path / "logs")
    (run / ".aside-1-old").symlink_to(tmp_path / "elsewhere")
    config = settings(run, resume=False, overwrite=True, seed=3)
    assert RunDirectory(run).open(config, {}) is None
    assert sorted(p.name for p in run.iterdir()) == ["config.json", "thesis.tex"]
    assert json.loads((run / "config.json").read_text())["config"]["seed"] == 3
    for name in ("checkpoints", "logs", "elsewhere"):
        assert (tmp_path / name / "kept.txt").read_text() == "dear"


def test_what_is_no_run_is_not_overwritten(tmp_path):
    (tmp_path / "config.json").write_text('{"name": "somebody\'s"}')
    (tmp_path / "logs").mkdir()
    config = settings(tmp_path, resume=False, overwrite=True)
    with pytest.raises(RunError, match=r"config\.json must be readable"):
        training.train(config)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "logs"]
    with pytest.raises(ConfigError, match="resumed or overwritten"):
        dataclasses.replace(config, resume=True)


@pytest.mark.parametrize("name", ["checkpoints/epoch-00001", "model.keras", "logs"])
def test_links_are_not_followed(run, tmp_path, name):
    (run / name).parent.mkdir(exist_ok=True)
    target = tmp_path / "elsewhere"
    if (run / name).exists():
        shutil.move(run / name, target)
    else:
        target.mkdir()
        (target / "state.json").write_text("{}")
    (run / name).symlink_to(target)
    before = target.read_bytes() if target.is_file() else contents(target)
    for act in (lambda: training.train(settings(run)), lambda: training.load_run(run)):
        with pytest.raises(RunError, match=f"must lie in its directory.*the link .*{name}"):
            act()
    assert (target.read_bytes() if target.is_file() else contents(target)) == before


def test_old_checkpoints_are_not_deleted_through_a_link(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    checkpoints = Checkpoints(tmp_path / "c")
    (tmp_path / "c").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept.txt").write_text("dear")
    (tmp_path / "c" / "epoch-00001").symlink_to(tmp_path / "elsewhere")
    checkpoints.save(model, [{"val_elbo": -2.0}, {"val_elbo": -1.0}], finished=False)
    assert checkpoints.epochs() == [2]
    assert (tmp_path / "elsewhere" / "kept.txt").read_text() == "dear"


@pytest.mark.parametrize(
    "damage", ["flipped", *(pytest.param(d, marks=SLOW) for d in ("missing", "truncated"))]
)
def test_resuming_writes_the_model_again(finished, run, damage):
    model = run / "model.keras"
    if damage == "missing":
        model.unlink()
    elif damage == "flipped":
        flip(model)
    else:
        model.write_bytes(model.read_bytes()[:100])
    with pytest.raises(RunError, match=r"model\.keras.*--resume"):
        training.load_run(run)
    (run / "metrics.csv").unlink()
    report = training.train(settings(run))
    assert report["test"] == finished[1]["test"]
    assert report["model_sha256"] == sha256(model)
    weights = [training.load_run(path)[0].weights for path in (finished[0], run)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (run / "metrics.csv").read_bytes() == (finished[0] / "metrics.csv").read_bytes()


@pytest.mark.parametrize("name", ["state.weights.h5", "state.json"])
@pytest.mark.parametrize("share", [0.5, *(pytest.param(s, marks=SLOW) for s in (0.1, 0.9))])
def test_a_flipped_bit_of_a_checkpoint_is_found_and_named(run, name, share):
    (run / "report.json").unlink()  # so that there is something left to do
    flip(run / "checkpoints" / "epoch-00002" / name, share)
    with pytest.raises(RunError, match=rf"epoch-00002 must be whole.*{name}"):
        training.train(settings(run))


@SLOW
def test_estimates_that_are_damaged_are_made_again(finished, run):
    (run / "report.json").unlink()
    (run / "likelihood.npz").write_bytes(b"half")
    assert training.train(settings(run))["test"] == finished[1]["test"]
    assert not (run / "likelihood.npz").exists()


def test_no_file_is_larger_than_the_room_made_for_it(run):
    model = training.load_run(run)[0]
    files = [run / "model.keras", *run.glob("checkpoints/*/*.h5")]
    assert len(files) >= 2
    assert all(path.stat().st_size < room(model) for path in files)


def test_room_that_there_is_not(tmp_path):
    with pytest.raises(OSError, match=r"No space|too large"):
        reserve(tmp_path, 1 << 61)
    assert not list(tmp_path.iterdir())
    reserve(tmp_path, 1 << 20)
    assert not list(tmp_path.iterdir())
