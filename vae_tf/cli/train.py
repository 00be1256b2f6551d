"""`python train.py` and `vae-tf-train`: flags -> run -> a short table."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from vae_tf.cli import app
from vae_tf.recipes import RECIPES, recipe
from vae_tf.runs.config import TrainConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code after training as the flags say."""
    flags = list(sys.argv[1:] if argv is None else argv)
    return app.run(lambda: _main(flags), "--resume goes on from the last finished epoch")


def parse(argv: Sequence[str]) -> TrainConfig:
    """Returns the configuration that `argv` describes; exits on `--help` and on bad flags."""
    first = argparse.ArgumentParser(add_help=False)
    of_table = any(flag.removeprefix("--dataset=").startswith("table:") for flag in argv)
    first.add_argument("--recipe", default="table" if of_table else "mlp")
    chosen, rest = first.parse_known_args(argv)
    names = ", ".join(RECIPES)
    return tyro.cli(
        TrainConfig,
        args=rest,
        default=recipe(chosen.recipe),
        prog="train.py",
        description=f"{TrainConfig.__doc__}\n\n--recipe NAME sets the defaults: {names}.",
    )


def _main(argv: list[str]) -> None:
    config = parse(argv)
    app.import_tensorflow()  # after the flags are known to be good: it takes seconds
    from vae_tf.cli.progress import ConsoleWatcher
    from vae_tf.cli.tables import show_report
    from vae_tf.exporting.publication import refuse_existing
    from vae_tf.runs.bundle import export_run
    from vae_tf.runs.directory import RunDirectory
    from vae_tf.runs.training import run_path, train

    if config.export and not config.resume:
        refuse_existing(Path(config.export), version=1)  # now, not after hours of training
    watcher = ConsoleWatcher()
    report = train(config, watcher)
    run = RunDirectory(run_path(config))
    bundle = None
    if config.export:
        watcher.stage(f"exporting to {config.export}")
        bundle = export_run(run.path, Path(config.export))
    show_report(report, run, bundle)
