"""`python -m export` and `vae-tf-export`: a finished run -> a bundle to serve."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vae_tf.cli import app


@dataclass(frozen=True)
class ExportFlags:
    """Export a trained run: encoder and decoder as SavedModels and LiteRT files."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run directory that train.py made."""
    output: Path
    """Where the bundle goes: encoder/<version>/, decoder/<version>/, *.tflite, manifest.json."""
    version: int = 1
    """TF Serving's version number; one that exists is refused."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code after exporting as the flags say."""
    flags = list(sys.argv[1:] if argv is None else argv)
    return app.run(lambda: _main(flags), "nothing unfinished is visible")


def _main(argv: list[str]) -> None:
    flags = tyro.cli(ExportFlags, args=argv, prog="export", description=ExportFlags.__doc__)
    app.import_tensorflow()
    from vae_tf.cli.tables import show_bundle
    from vae_tf.runs.bundle import export_run

    show_bundle(export_run(flags.run, flags.output, version=flags.version))
