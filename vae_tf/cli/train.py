"""`python train.py` and `vae-tf-train`: flags -> run -> a short table."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vae_tf.cli import app
from vae_tf.cli.flags import in_flags
from vae_tf.cli.help import page
from vae_tf.cli.parsing import parsed
from vae_tf.recipes import RECIPES, recipe
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory, config_of, run_path

OWN_RECIPE = ("table", "text", "series")  # of data that begin with such a word and a colon


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code after training as the flags say."""
    flags = list(sys.argv[1:] if argv is None else argv)
    return app.run(lambda: _main(flags), "--resume continues after the last epoch", in_flags)


def parse(argv: Sequence[str]) -> TrainConfig:
    """Returns the configuration that `argv` describes; exits on `--help` and on bad flags."""
    program, first = app.program("vae-tf-train", "train.py"), _first("--recipe")
    chosen, rest = first.parse_known_args(argv)
    schemes = {flag.removeprefix("--dataset=").partition(":")[0] for flag in argv if ":" in flag}
    usual = recipe(next((name for name in OWN_RECIPE if name in schemes), "mlp"))
    named = chosen.recipe is not None
    default = recipe(chosen.recipe) if named else _resumed(rest) or usual
    if asked := {"-h", "--help", "--help-all"}.intersection(rest):
        print(page(program, ", ".join(RECIPES), default, whole="--help-all" in asked))
        sys.exit(0)
    return parsed(TrainConfig, rest, program, default=default)


def _resumed(argv: Sequence[str]) -> TrainConfig | None:
    """Returns the settings of the run that `argv` resumes, which hold unless others are given."""
    first = _first("--dataset", "--run-dir", "--run_dir")
    first.add_argument("--resume", action="store_true")
    given, _ = first.parse_known_args(argv)
    if not given.resume:
        return None
    own = {name: getattr(given, name) for name in ("dataset", "run_dir") if getattr(given, name)}
    run = RunDirectory(run_path(TrainConfig(**own)))
    return config_of(run.read()) if run.config.exists() else None


def _first(*flags: str) -> argparse.ArgumentParser:
    """Returns what reads a few flags ahead of all; a flag without its value is refused later."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in flags:
        parser.add_argument(flag, nargs="?", const="")
    return parser


def _main(argv: list[str]) -> None:
    """Trains as the flags say, exports if asked to, and shows the report."""
    config = parse(argv)
    app.import_tensorflow()  # after the flags are known to be good: it takes seconds
    from vae_tf.cli.progress import ConsoleWatcher
    from vae_tf.cli.tables import show_report
    from vae_tf.exporting.publication import refuse_existing
    from vae_tf.runs.bundle import export_run
    from vae_tf.runs.training import Watcher, train
    from vae_tf.runs.workers import joined

    if config.export and not config.resume:
        refuse_existing(Path(config.export), version=1)  # now, not after hours of training
    with joined() as workers:
        watcher = ConsoleWatcher() if workers.chief else Watcher()
        report = train(config, watcher, workers)
        if not workers.chief:
            return
        run = RunDirectory(run_path(config))
        bundle = None
        if config.export:
            watcher.stage(f"exporting to {config.export}")
            bundle = export_run(run.path, Path(config.export))
        show_report(report, run, bundle)
