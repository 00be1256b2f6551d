"""`python -m export` and `vae-tf-export`: a finished run -> a bundle to serve."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from vae_tf.cli import app, parsing
from vae_tf.errors import ConfigError, unknown


def _takes(metavar: str) -> Any:
    """Returns how the help shows a flag that may be left out, None standing for nothing."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


@dataclass(frozen=True)
class ExportFlags:
    """Export a trained run: SavedModels to serve, LiteRT files, a model card and a web page."""

    run: Annotated[Path | None, tyro.conf.Positional, _takes("RUN")] = None
    """The run directory that train.py made."""
    output: Annotated[Path | None, _takes("DIR")] = None
    """The directory to write the bundle to."""
    version: int = 1
    """Version number for TF Serving. A version that exists is refused."""
    data_dir: Annotated[str | None, _takes("DIR")] = None
    """Directory of the run's TFDS data, from which int8 files are made and all files are judged. By
    default TFDS_DATA_DIR, or else TFDS's own directory."""
    image_dtype: Literal["float32", "uint8"] = "float32"
    """Type of image inputs: float32, as the model takes them, or uint8, bytes from 0 to 255."""
    only: Annotated[str | None, _takes("savedmodel")] = None
    """savedmodel: make no LiteRT file at all, which takes a fraction of the time."""
    litert: Annotated[str | None, _takes("NAMES")] = None
    """Precisions of the files in litert/, such as float32,int8. By default float32, float16,
    dynamic and int8."""
    batch: Annotated[str | None, _takes("SIZES")] = None
    """Batch sizes of these files, such as 1,16; `any` is a free size. By default any,1,16."""
    whole: bool = True
    """Write the third SavedModel, `vae`, with reconstruct, score, impute and surprisal."""
    importance_samples: Annotated[int | None, _takes("N")] = None
    """Draws of z for each row in score, impute and surprisal. By default 64."""
    false_alarm_rate: Annotated[float | None, _takes("X")] = None
    """Share of ordinary images that may exceed the threshold on score. By default 0.01."""
    vectors: Annotated[str | None, _takes("NAMES")] = None
    """Names of conditions, separated by commas, that are vectors of numbers and not classes."""
    max_rows: Annotated[int | None, _takes("N")] = None
    """Maximum number of rows of a request to a SavedModel. By default each signature has the number
    that keeps its largest tensor below 1 GiB, from 32 to 4096."""
    web: bool = False
    """Also write a page, output/web/, that runs encoder and decoder in the browser."""
    onnx: bool = False
    """Also write onnx/<version>/. This needs `pip install "vae_tf[onnx]"`."""
    verify: Annotated[Path | None, _takes("DIR")] = None
    """Verify this bundle instead: its hashes, and every signature against its golden vectors."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code after doing as the flags say."""
    flags = list(sys.argv[1:] if argv is None else argv)
    return app.run(lambda: _main(flags), "nothing unfinished is visible")


def parsed(argv: Sequence[str]) -> ExportFlags:
    """Returns what the flags say."""
    program = app.program("vae-tf-export", "python -m export")
    return parsing.parsed(ExportFlags, argv, program, description=ExportFlags.__doc__)


def _main(argv: list[str]) -> None:
    """Exports a run, or verifies a bundle, as the flags say."""
    program, flags = app.program("vae-tf-export", "python -m export"), parsed(argv)
    if flags.verify is not None:
        if flags != ExportFlags(verify=flags.verify):
            fix = f"Call `{program} --verify DIR` alone."
            raise ConfigError("--verify takes no run and no other flag", " ".join(argv), fix)
        _verify(flags.verify)
        return
    if flags.run is None or flags.output is None:
        received = " ".join(argv) or "neither"
        fix = f"Call `{program} RUN --output DIR`, or `{program} --verify DIR`."
        raise ConfigError("An export needs a run and an --output", received, fix)
    options = _options(flags)
    app.import_tensorflow()
    from vae_tf.cli.tables import show_bundle
    from vae_tf.exporting import FULL
    from vae_tf.runs.bundle import export_run

    dataclasses.replace(FULL, **options)  # refuses wrong values before the run is read
    bundle = export_run(
        flags.run,
        flags.output,
        version=flags.version,
        data_dir=flags.data_dir,
        **options,
    )
    show_bundle(bundle)
    if flags.web:
        from vae_tf.exporting.web.folder import write_web

        print(f"page            {write_web(flags.output, flags.output / 'web')}")


def _options(flags: ExportFlags) -> dict[str, Any]:
    """Returns those of `exporting.Options` that the flags say."""
    options: dict[str, Any] = {
        **{name: getattr(flags, name) for name in ("image_dtype", "whole", "onnx")},
        "importance_samples": flags.importance_samples,
        "false_alarm_rate": flags.false_alarm_rate,
        "precisions": _listed(flags.litert),
        "batches": flags.batch and tuple(map(_size, _listed(flags.batch) or ())),
        "vectors": _listed(flags.vectors),
        "max_rows": flags.max_rows,
    }
    options = {name: value for name, value in options.items() if value is not None}
    if flags.only is not None:
        if flags.only != "savedmodel":
            raise unknown("--only", flags.only, ["savedmodel"])
        others = ("litert", "batch", "onnx", "web")
        if given := [f"--{name}" for name in others if getattr(flags, name)]:
            expected = f"--only {flags.only} makes SavedModels alone"
            raise ConfigError(expected, " and ".join(given), "Leave one of them out.")
        options |= {"only": flags.only, "precisions": ()}
    return options


def _listed(text: str | None) -> tuple[str, ...] | None:
    """Returns the words between commas, each once; None of nothing."""
    if text is None:
        return None
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _size(word: str) -> int | None:
    """Returns one batch size of --batch; None, which is any size, for `any`."""
    if word != "any" and not (word.isascii() and word.isdecimal() and len(word) < 10):
        fix = "Write it as in --batch any,1,16."
        raise ConfigError("--batch must be sizes separated by commas, or any", repr(word), fix)
    return None if word == "any" else int(word)


def _verify(directory: Path) -> None:
    """Verifies a bundle, and prints what was found in order."""
    app.import_tensorflow()
    from vae_tf.exporting import verify_bundle

    bundle = verify_bundle(directory)
    names = ", ".join(bundle.manifest["signatures"])
    print(
        f"{directory}, version {bundle.version}: {len(bundle.manifest['files'])} files are as "
        f"published, and {names} run as they did"
    )
