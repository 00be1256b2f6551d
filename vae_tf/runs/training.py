"""A configuration's whole way: data -> model -> fit -> evaluate -> run directory."""

import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from vae_tf import evaluation, plots
from vae_tf.callbacks import ResumableEarlyStopping
from vae_tf.data.pipeline import told
from vae_tf.environment import versions
from vae_tf.errors import ConfigError, RunError
from vae_tf.files import write_aside
from vae_tf.models import VAE
from vae_tf.profiling import TrainingProfile
from vae_tf.runs.build import build_model, kind_of
from vae_tf.runs.checkpoints import CheckpointEveryEpoch, Checkpoints, best_epoch, room
from vae_tf.runs.claim import claimed
from vae_tf.runs.codes import first_stage
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import MODEL_SHA256, RunDirectory, run_path
from vae_tf.runs.files import reserve, sha256, write_json
from vae_tf.runs.further import go_further
from vae_tf.runs.kind import Kind
from vae_tf.runs.profile import profile_run
from vae_tf.runs.report import class_error, make_report
from vae_tf.runs.suited import suited
from vae_tf.runs.trained import load_run as load_run
from vae_tf.runs.workers import ALONE, Workers


class Watcher:
    """What a run tells whoever started it; the command line overrides this to print."""

    def stage(self, text: str) -> None:
        """Hears that a stage begins."""

    def note(self, text: str) -> None:
        """Hears what the user should know."""

    def callbacks(self, config: TrainConfig, num_examples: int, unit: str) -> list:
        """Returns Keras callbacks that show progress over so many images, or rows, an epoch."""
        return []

    def progress(self, text: str, total: int) -> Callable[[int], None] | None:
        """Returns a function to be called with how many of `total` are done."""
        return None

    def profile(self, profile: TrainingProfile, run: RunDirectory) -> None:
        """Hears where the time of a step goes."""


def train(config: TrainConfig, watcher: Watcher | None = None, workers: Workers = ALONE) -> dict:
    """Runs `config`, or goes on with it, and returns the report that `report.json` holds.

    Of several workers all train; the chief alone writes the run directory, and evaluates.

    Args:
        config: the settings.
        watcher: is told how it goes.
        workers: of which this process is one; `runs.workers.joined` yields them.

    Returns:
        The report; nothing on a worker that is not the chief.

    Raises:
        VAEError: bad data, settings that do not meet, another run's directory, a damaged
            checkpoint, a training that is no longer finite, another worker's end.
    """
    watcher = watcher or Watcher()
    run = RunDirectory(run_path(config))
    workers.agree({"flags": dataclasses.asdict(config), "versions": versions()})
    if config.profile and workers.count > 1:
        received = f"--profile with {workers.count} workers"
        raise ConfigError("A profile is of one process", received, "Unset TF_CONFIG, or drop it.")
    with contextlib.ExitStack() as stack:

        def claim() -> None:
            stack.enter_context(claimed(run.path))
            run.refuse(config)  # now, not after the data are read

        workers.first(claim)
        with told():  # of data that are read on the way
            report = _train(config, run, watcher, workers)
        workers.wait()
        return report


def _train(config: TrainConfig, run: RunDirectory, watcher: Watcher, workers: Workers):
    """Returns the report of a run in a directory that is claimed."""
    if config.deterministic:  # for the whole process; TensorFlow has no public way back
        tf.config.experimental.enable_op_determinism()
    if config.codes:
        first = first_stage(config)
        watcher.stage(f"training the VAE of the codes in {first.run_dir}")
        train(first, watcher, workers)
    watcher.stage(f"reading {config.dataset}")
    kind = kind_of(config)
    for text in kind.notes():
        watcher.note(text)
    if warning := kind.caution(config):
        watcher.note(f"warning: {warning}")
    config, chosen = suited(config, kind)
    if chosen:
        watcher.note(f"chosen: {chosen}")
    with workers.scope():
        vae, data = build_model(config, kind), kind.data
    if config.importance_samples:  # now, not after hours of training
        vae.likelihood.check_support(data.test.array(256), strict=True)
    described = data.describe(labels=config.classes)
    workers.agree({"data": described})
    checkpoints = Checkpoints(run.checkpoints, config.beta_warmup_epochs)

    def begin() -> None:
        before = run.open(config, described, chosen)
        kind.keep(run)
        if before is not None:
            go_further(before, config, run, checkpoints)

    workers.first(begin)
    state = checkpoints.newest()
    workers.agree({"newest checkpoint": state})
    if state["epochs"] and (config.profile or not state["finished"]):
        with workers.scope():
            checkpoints.restore(vae, state["epochs"])
    if config.profile:
        watcher.stage("profiling")
        watcher.profile(profile_run(config, vae, kind, run, state["epochs"]), run)
    if not workers.chief:
        if not state["finished"]:
            _fit(config, vae, kind, run, checkpoints, state["history"], watcher, workers)
        return {}
    report = run.read_report() if state["finished"] else None
    if report and report.get("epochs") == state["epochs"]:
        return _mended(report, vae, config, kind, state["history"], run, checkpoints, watcher)
    if not state["finished"]:
        if state["epochs"]:
            watcher.stage(f"resuming after epoch {state['epochs']}")
        _fit(config, vae, kind, run, checkpoints, state["history"], watcher, workers)
    if workers.count > 1:
        vae = build_model(config, kind)  # of this process alone: the others are done
    history = checkpoints.newest()["history"]
    _finish(vae, config, kind, history, checkpoints)
    digest = _write_model(vae, run)
    report = {**_evaluate(config, vae, kind, history, run, watcher), MODEL_SHA256: digest}
    write_json(run.report, report)
    run.likelihood.unlink(missing_ok=True)
    return report


def _evaluate(config, vae: VAE, kind: Kind, history, run: RunDirectory, watcher) -> dict:
    """Returns the numbers of a trained model, having drawn its pictures."""
    data, best = kind.data, best_epoch(history, config.beta_warmup_epochs)
    watcher.stage(f"evaluating on the test {data.unit}s")
    began = time.perf_counter()
    test = data.test.batches(config.number("batch_size"), labels=config.conditional)
    bound = vae.evaluate(test, return_dict=True, verbose=0)
    likelihood = _log_likelihood(config, vae, data, run, watcher)
    seconds = time.perf_counter() - began
    watcher.stage("drawing")
    pictures = _draw(kind, vae, history, run.pictures)
    kind.show(vae, run)
    report = make_report(config, vae, history, best, bound, likelihood)
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    if config.labels:
        for name in ("validation", "test"):
            report[name] |= class_error(vae, splits[name])
    return {
        **kind.in_users_units(report, likelihood),
        "unit": data.unit,
        "examples": {name: split.num_examples for name, split in splits.items()},
        "evaluation_seconds": seconds,
        "pictures": [path.name for path in pictures],
    }


def _draw(kind: Kind, vae: VAE, history: list[dict], directory: Path) -> list[Path]:
    """Writes the PNGs of a trained model and returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    curves = plots.learning_curves(history, kind.data.unit)
    paths = []
    for name, figure in {**kind.figures(vae), "learning_curves": curves}.items():
        paths.append(directory / f"{name}.png")
        write_aside(paths[-1], figure.savefig)
    return paths


def _write_model(vae: VAE, run: RunDirectory) -> str:
    """Writes model.keras and returns its SHA-256."""
    reserve(run.path, 2 * room(vae))  # Keras may write the weights beside the file first
    write_aside(run.model, vae.save)
    return sha256(run.model)


def _finish(vae: VAE, config: TrainConfig, kind: Kind, history, checkpoints: Checkpoints) -> None:
    """Makes the model that of the best epoch; components its prior does not use lose their weight.

    A short training leaves them much of it, and what is drawn from them is noise.
    """
    checkpoints.restore(vae, best_epoch(history, config.beta_warmup_epochs))
    if evaluation.with_components(vae.prior):
        size, labels = config.number("batch_size"), config.conditional
        evaluation.weigh_components(vae, kind.data.train.batches(size, labels), seed=config.seed)


def _mended(report, vae: VAE, config, kind, history, run, checkpoints, watcher) -> dict:
    """Returns the report of a finished run, having written again what is lost of the others."""
    if not run.metrics.exists():
        checkpoints.write_metrics(history)
    if run.model_is_whole():
        return report
    watcher.stage(f"writing {run.model} again")
    _finish(vae, config, kind, history, checkpoints)
    report = {**report, MODEL_SHA256: _write_model(vae, run)}
    write_json(run.report, report)
    return report


def _fit(config, vae: VAE, kind: Kind, run, checkpoints, history, watcher, workers) -> None:
    """Trains from the last checkpoint on, with the callbacks that the settings ask for."""
    done, size = len(history), config.number("batch_size")
    labels, callbacks = config.conditional, []
    if patience := config.number("patience"):
        warmup = config.beta_warmup_epochs
        callbacks.append(ResumableEarlyStopping(history, patience, warmup))
    if workers.chief:
        callbacks += [
            CheckpointEveryEpoch(checkpoints, history, config.number("epochs")),
            keras.callbacks.TensorBoard(str(run.logs), write_graph=False),
            *kind.callbacks(run, config),
            *watcher.callbacks(config, kind.data.train.num_examples, kind.data.unit),
        ]
    vae.fit(
        kind.training_batches(config, done),
        validation_data=kind.data.validation.batches(size, labels),
        steps_per_epoch=kind.steps_per_epoch(config),
        epochs=config.number("epochs"),
        initial_epoch=done,
        callbacks=callbacks,
        shuffle=False,  # the data set shuffles by seed and epoch
        verbose=0,
    )


def _log_likelihood(config: TrainConfig, vae: VAE, data, run, watcher: Watcher):
    """Returns the importance-weighted estimate for the test split; None if not asked for."""
    if not config.importance_samples:
        return None
    total, samples = data.test.num_examples, config.importance_samples
    what = "log p(x|label)" if config.conditional else "log p(x)"
    a_unit = "an image" if data.unit == "image" else f"a {data.unit}"
    progress = watcher.progress(f"{what}, {samples} samples {a_unit}", total)
    test = data.test.batches(config.number("batch_size"), labels=config.conditional)

    def estimate():
        return evaluation.log_likelihood(
            vae, test, samples, seed=config.seed, checkpoint=run.likelihood, progress=progress
        )

    try:
        return estimate()
    except RunError:  # a damaged file of estimates, or one of fewer epochs
        run.likelihood.unlink()
        return estimate()
