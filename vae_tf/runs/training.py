"""A configuration's whole way: data -> model -> fit -> evaluate -> run directory."""

import time
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from vae_tf import evaluation
from vae_tf.callbacks import ResumableEarlyStopping, TensorBoardPictures
from vae_tf.data.tables.table_data import TableData
from vae_tf.errors import RunError
from vae_tf.files import write_aside
from vae_tf.models import VAE
from vae_tf.profiling import TrainingProfile
from vae_tf.runs.build import Data, build_model, load_data
from vae_tf.runs.checkpoints import CheckpointEveryEpoch, Checkpoints, best_epoch
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.files import write_json
from vae_tf.runs.pictures import draw
from vae_tf.runs.profile import profile_run
from vae_tf.runs.report import make_report
from vae_tf.runs.tables import in_users_units, sentence_of_kinds

PICTURES_EVERY = 10  # epochs between two sets of TensorBoard images


class Watcher:
    """What a run tells whoever started it; the command line overrides this to print."""

    def stage(self, text: str) -> None:
        """Hears that a stage begins."""

    def callbacks(self, config: TrainConfig, num_examples: int) -> list:
        """Returns Keras callbacks that show progress."""
        return []

    def progress(self, text: str, total: int) -> Callable[[int], None] | None:
        """Returns a function to be called with how many of `total` are done."""
        return None

    def profile(self, profile: TrainingProfile, run: RunDirectory) -> None:
        """Hears where the time of a step goes."""


def train(config: TrainConfig, watcher: Watcher | None = None) -> dict:
    """Runs `config`, or goes on with it, and returns the report that `report.json` holds.

    Raises:
        VAEError: bad data, settings that do not meet, another run's directory, a damaged
            checkpoint, a training that is no longer finite.
    """
    watcher = watcher or Watcher()
    if config.deterministic:  # for the whole process; TensorFlow has no public way back
        tf.config.experimental.enable_op_determinism()
    watcher.stage(f"reading {config.dataset}")
    images = load_data(config)
    run = RunDirectory(run_path(config))
    vae = build_model(config, images)
    if config.importance_samples:  # now, not after hours of training
        vae.likelihood.check_support(images.test.array(256), strict=True)
    run.open(config, images.describe(labels=config.conditional))
    if isinstance(images, TableData):
        images.table.save(run.table)
        watcher.stage(sentence_of_kinds(images))

    checkpoints = Checkpoints(run.checkpoints, config.beta_warmup_epochs)
    state = checkpoints.newest()
    if state["epochs"] and (config.profile or not state["finished"]):
        checkpoints.restore(vae, state["epochs"])
    if config.profile:
        watcher.stage("profiling")
        watcher.profile(profile_run(config, vae, images, run, state["epochs"]), run)
    if state["finished"] and (report := run.read_report()):
        return report
    if not state["finished"]:
        if state["epochs"]:
            watcher.stage(f"resuming after epoch {state['epochs']}")
        _fit(config, vae, images, run, checkpoints, state["history"], watcher)
        state = checkpoints.newest()
    best = best_epoch(state["history"], config.beta_warmup_epochs)
    checkpoints.restore(vae, best)

    write_aside(run.model, vae.save)
    watcher.stage(f"evaluating on the test {images.unit}s")
    began = time.perf_counter()
    test = images.test.batches(config.batch_size, labels=config.conditional)
    bound = vae.evaluate(test, return_dict=True, verbose=0)
    likelihood = _log_likelihood(config, vae, images, run, watcher)
    seconds = time.perf_counter() - began
    watcher.stage("drawing")
    pictures = draw(vae, images, state["history"], run.pictures)
    report = make_report(config, vae, state["history"], best, bound, likelihood)
    if isinstance(images, TableData):
        report = in_users_units(report, images, likelihood)
    report |= {
        "unit": images.unit,
        "examples": {name: split.num_examples for name, split in _splits(images).items()},
        "evaluation_seconds": seconds,
        "pictures": [path.name for path in pictures],
    }
    write_json(run.report, report)
    run.likelihood.unlink(missing_ok=True)
    return report


def _splits(images: Data) -> dict:
    return {"train": images.train, "validation": images.validation, "test": images.test}


def run_path(config: TrainConfig) -> Path:
    """Returns where the run is kept: `run_dir`, or runs/<the data's name>."""
    name = Path(config.dataset.rpartition(":")[2]).stem or "data"
    return Path(config.run_dir or Path("runs") / name)


def _fit(config, vae: VAE, images: Data, run, checkpoints, history, watcher) -> None:
    done, size = len(history), config.batch_size
    labels, callbacks = config.conditional, []
    if config.patience:
        warmup = config.beta_warmup_epochs
        callbacks.append(ResumableEarlyStopping(history, config.patience, warmup))
    pictures = []
    if not config.is_table:
        shown = next(iter(images.test.batches(32, labels)))
        pictures = [TensorBoardPictures(str(run.logs / "pictures"), shown, PICTURES_EVERY)]
    callbacks += [
        CheckpointEveryEpoch(checkpoints, history, config.epochs),
        keras.callbacks.TensorBoard(str(run.logs), write_graph=False),
        *pictures,
        *watcher.callbacks(config, images.train.num_examples),
    ]
    vae.fit(
        images.train.training_batches(size, config.seed, done, labels),
        validation_data=images.validation.batches(size, labels),
        steps_per_epoch=images.train.steps_per_epoch(size),
        epochs=config.epochs,
        initial_epoch=done,
        callbacks=callbacks,
        shuffle=False,  # the data set shuffles by seed and epoch
        verbose=0,
    )


def _log_likelihood(config: TrainConfig, vae: VAE, images: Data, run, watcher: Watcher):
    if not config.importance_samples:
        return None
    total, samples = images.test.num_examples, config.importance_samples
    what = "log p(x|label)" if config.conditional else "log p(x)"
    a_unit = "an image" if images.unit == "image" else f"a {images.unit}"
    progress = watcher.progress(f"{what}, {samples} samples {a_unit}", total)
    test = images.test.batches(config.batch_size, labels=config.conditional)
    return evaluation.log_likelihood(
        vae, test, samples, seed=config.seed, checkpoint=run.likelihood, progress=progress
    )


def load_run(path: str | Path) -> tuple[VAE, dict]:
    """Returns the trained model of a run directory and its config.json.

    Raises:
        RunError: no run there, an unfinished one, or a damaged model.
    """
    run = RunDirectory(path)
    saved = run.read()
    if not run.model.exists():
        fix = "Finish the run with --resume first."
        raise RunError("The run must hold a trained model", f"no {run.model}", fix)
    try:
        return keras.models.load_model(run.model), saved
    except (ValueError, OSError, TypeError, KeyError) as error:
        reason = f"a file Keras cannot load ({type(error).__name__})"
        fix = "Run train.py with --resume, which writes it again."
        raise RunError(f"{run.model} must be a whole Keras model", reason, fix) from None
