"""`python -m vae_tf.bulk` and `vae-tf-bulk`: a bundle's signatures over many files."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from vae_tf.cli import app, parsing
from vae_tf.errors import BulkError, ConfigError, unknown
from vae_tf.quiet import quiet


def _takes(metavar: str) -> Any:
    """Returns how the help shows a flag of which None stands for nothing."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


COMMANDS = ("encode", "decode", "score", "generate", "impute")


@dataclass(frozen=True)
class BulkFlags:
    """Run a signature of an exported bundle over many files: rows in, shards and a manifest out.

    COMMAND is one of encode, decode, score, generate and impute. Flags of Beam, for runners on
    other machines, follow after --.
    """

    bundle: Annotated[Path | None, _takes("DIR")] = None
    """The directory that the export wrote."""
    input: Annotated[str | None, _takes("GLOB")] = None
    """Files of one kind: .parquet, .npy, .tfrecord or images. A directory means all files in it."""
    output: Annotated[str | None, _takes("DIR")] = None
    """The directory to write shards and manifest to."""
    rows: Annotated[int | None, _takes("N")] = None
    """Number of rows to generate, if the model has no condition."""
    seed: int = 0
    """Seed of all draws. A row's own seed follows from it and from the row's file and number."""
    temperature: float = 1.0
    """Factor for the prior's noise, in generate."""
    signature: Annotated[str | None, _takes("NAME")] = None
    """A signature of the bundle to run in place of the one that COMMAND names."""
    format: Literal["parquet", "tfrecord"] = "parquet"
    """File format of the shards."""
    shard_rows: int = 10_000
    """Rows in a shard. TFRecord files and row groups of Parquet are never divided."""
    batch_rows: int = 256
    """Rows in a call of the signature, at most as many as the bundle allows."""
    processes: int = 1
    """Number of processes of the in-process runner."""
    skip_corrupt: bool = False
    """Leave out files that cannot be read, and list them in the manifest."""
    overwrite: bool = False
    """Replace the output if it exists."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code after doing as the flags say."""
    flags = list(sys.argv[1:] if argv is None else argv)
    return app.run(lambda: _main(flags), "the same command continues")


def parsed(argv: Sequence[str]) -> tuple[str, BulkFlags, list[str]]:
    """Returns the command, what the flags say, and Beam's flags."""
    program = app.program("vae-tf-bulk", "python -m vae_tf.bulk")
    own, beams = list(argv), []
    if "--" in own:
        own, beams = own[: own.index("--")], own[own.index("--") + 1 :]
    word = own[0] if own else ""
    if word in ("-h", "--help"):
        return "", tyro.cli(BulkFlags, args=own, prog=f"{program} COMMAND"), beams
    if word not in COMMANDS:
        raise unknown("The command", word, COMMANDS)
    program = f"{program} {word}"
    flags = parsing.parsed(BulkFlags, own[1:], program, description=BulkFlags.__doc__)
    if flags.bundle is None or flags.output is None or flags.input is flags.rows is None:
        source = "--rows N" if word == "generate" else "--input GLOB"
        fix = f"Call `{program} --bundle DIR {source} --output DIR`."
        received = " ".join(own[1:]) or "nothing"
        raise ConfigError(f"{word} needs a --bundle, data and an --output", received, fix)
    return word, flags, beams


def _main(argv: list[str]) -> None:
    """Runs the job that the flags describe, and prints what it wrote."""
    word, flags, beams = parsed(argv)
    assert flags.bundle is not None
    assert flags.output is not None
    if importlib.util.find_spec("apache_beam") is None:
        fix = 'Run `pip install "vae_tf[beam]"` in an environment that may have older packages.'
        raise BulkError("Bulk jobs need Apache Beam", "an environment without it", fix)
    # Sums are in the same order whatever the machine; more cores are for more processes
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    app.import_tensorflow()
    with quiet(ImportError):
        from vae_tf.bulk import Job, Signature, run

    pattern = flags.input
    if pattern is not None and os.path.isdir(pattern):
        pattern = f"{pattern.rstrip('/')}/**"
    job = Job(
        Signature.of(flags.bundle, flags.signature or word),
        *(flags.output, pattern, flags.rows, flags.seed, flags.temperature, flags.format),
        *(flags.shard_rows, flags.batch_rows, flags.skip_corrupt),
    )
    facts = run(job, processes=flags.processes, flags=beams, overwrite=flags.overwrite)
    said = f"{flags.output}: {facts['output_rows']:,} rows in {len(facts['shards']):,} shards"
    if facts["unanswered"]:
        said += f"; {facts['unanswered']:,} have no answer, since their values are out of range"
    if facts["skipped"]:
        said += f"; skipped {len(facts['skipped']):,}, the first {facts['skipped'][0]['file']}"
    print(said)
