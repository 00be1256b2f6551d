"""`python -m export` and `vae-tf-export`: a finished run -> a bundle to serve."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vae_tf.cli import app
from vae_tf.errors import ConfigError


@dataclass(frozen=True)
class ExportFlags:
    """Export a trained run: SavedModels to serve, LiteRT files, a model card and a web page."""

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """The run directory that train.py made."""
    output: Path | None = None
    """Where the bundle goes."""
    version: int = 1
    """TF Serving's version number; one that exists is refused."""
    data_dir: str | None = None
    """Where the run's TFDS data lie, by which int8 files are made and all are judged;
    TFDS_DATA_DIR or TFDS's own default if not given."""
    image_dtype: Literal["float32", "uint8"] = "float32"
    """What image inputs are: intensities as the model takes them, or bytes from 0 to 255."""
    web: bool = False
    """Also write a page, output/web/, that runs encoder and decoder in the browser."""
    onnx: bool = False
    """Also write onnx/<version>/; needs `pip install "vae_tf[onnx]"`."""
    verify: Path | None = None
    """Check this bundle instead: its hashes, and every signature against its golden vectors."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code after doing as the flags say."""
    flags = list(sys.argv[1:] if argv is None else argv)
    return app.run(lambda: _main(flags), "nothing unfinished is visible")


def _main(argv: list[str]) -> None:
    program = app.program("vae-tf-export", "export")
    flags = tyro.cli(ExportFlags, args=argv, prog=program, description=ExportFlags.__doc__)
    if flags.verify is not None:
        if flags.run is not None or flags.output is not None:
            fix = f"Call `{program} --verify DIR` alone."
            raise ConfigError("--verify takes no run and no --output", " ".join(argv), fix)
        _verify(flags.verify)
        return
    if flags.run is None or flags.output is None:
        received = " ".join(argv) or "neither"
        fix = f"Call `{program} RUN --output DIR`, or `{program} --verify DIR`."
        raise ConfigError("An export needs a run and an --output", received, fix)
    app.import_tensorflow()
    from vae_tf.cli.tables import show_bundle
    from vae_tf.runs.bundle import export_run

    bundle = export_run(
        flags.run,
        flags.output,
        version=flags.version,
        data_dir=flags.data_dir,
        image_dtype=flags.image_dtype,
        onnx=flags.onnx,
    )
    show_bundle(bundle)
    if flags.web:
        from vae_tf.exporting.web.folder import write_web

        print(f"page            {write_web(flags.output, flags.output / 'web')}")


def _verify(directory: Path) -> None:
    app.import_tensorflow()
    from vae_tf.exporting import verify_bundle

    bundle = verify_bundle(directory)
    names = ", ".join(bundle.manifest["signatures"])
    print(
        f"{directory}, version {bundle.version}: {len(bundle.manifest['files'])} files are as "
        f"published, and {names} run as they did"
    )
