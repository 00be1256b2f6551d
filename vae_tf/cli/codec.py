"""`python -m vae_tf.codec` and `vae-tf-codec`: data -> a compressed file, and back."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from vae_tf.cli import app, parsing
from vae_tf.errors import CodecError, ConfigError, unknown
from vae_tf.files import write_aside


def _takes(metavar: str) -> Any:
    """Returns how the help shows a flag of which None stands for nothing."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


@dataclass(frozen=True)
class Compress:
    """Compress an array file or a folder of images with a trained run, without loss."""

    run: Annotated[Path | None, tyro.conf.Positional, _takes("RUN")] = None
    """The run directory that train.py made."""
    input: Annotated[Path | None, tyro.conf.Positional, _takes("INPUT")] = None
    """A .npy file [N, ...], or a folder of images. Their pixels are kept, but not their names."""
    output: Annotated[Path | None, _takes("FILE")] = None
    """The compressed file."""
    chains: Annotated[int | None, _takes("N")] = None
    """Number of images coded at once. By default one for each thousand, and 16 at most."""
    bins: int = 12
    """Bits for each latent."""
    overwrite: bool = False
    """Replace the output if it exists."""


@dataclass(frozen=True)
class Decompress:
    """Write the array that a compressed file holds, with the run that compressed it."""

    run: Annotated[Path | None, tyro.conf.Positional, _takes("RUN")] = None
    """The run directory that train.py made."""
    input: Annotated[Path | None, tyro.conf.Positional, _takes("INPUT")] = None
    """The compressed file."""
    output: Annotated[Path | None, _takes("FILE")] = None
    """The .npy file to write."""
    overwrite: bool = False
    """Replace the output if it exists."""


DESCRIPTION = "Compress data with a trained run, and restore them to the last bit."
KINDS: dict[str, type] = {"compress": Compress, "decompress": Decompress}
Flags = (
    Annotated[Compress, tyro.conf.subcommand("compress")]
    | Annotated[Decompress, tyro.conf.subcommand("decompress")]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code after doing as the flags say."""
    flags = list(sys.argv[1:] if argv is None else argv)
    return app.run(lambda: _main(flags), "nothing unfinished is visible")


def parsed(argv: Sequence[str]) -> Compress | Decompress:
    """Returns what the flags say; ends the process with code 2 where they cannot be meant."""
    program = app.program("vae-tf-codec", "python -m vae_tf.codec")
    word = argv[0] if argv else ""
    if word in ("-h", "--help"):
        return tyro.cli(Flags, args=argv, prog=program, description=DESCRIPTION)
    if word not in KINDS:
        raise unknown("The command", word, KINDS)
    program = f"{program} {word}"
    flags: Compress | Decompress = parsing.parsed(
        KINDS[word], argv[1:], program, description=KINDS[word].__doc__
    )
    if None in (flags.run, flags.input, flags.output):
        fix = f"Call `{program} RUN INPUT --output FILE`."
        raise ConfigError(
            f"{word} needs a run, an input and an --output", " ".join(argv[1:]) or "nothing", fix
        )
    return flags


def _main(argv: list[str]) -> None:
    """Compresses or decompresses as the flags say, and prints the sizes."""
    flags = parsed(argv)
    assert flags.run is not None
    assert flags.input is not None
    assert flags.output is not None
    if os.path.lexists(flags.output) and not flags.overwrite:
        fix = "Pass --overwrite, or another --output."
        raise CodecError("The output must be a new file", f"{flags.output}, which exists", fix)
    data = b"" if isinstance(flags, Compress) else flags.input.read_bytes()
    app.import_tensorflow()
    from vae_tf.codec import Codec
    from vae_tf.runs.training import load_run

    vae, _ = load_run(flags.run)
    if isinstance(flags, Compress):
        from vae_tf.codec.reading import read

        with Codec(vae) as codec:
            x = read(flags.input, codec.event_shape)
            data = codec.compress(x, chains=flags.chains, bins=flags.bins)
        write_aside(flags.output, lambda path: path.write_bytes(data))
    else:
        with Codec(vae) as codec:
            x = codec.decompress(data)
        write_aside(flags.output, lambda path: _save(path, x))
    bits = f", {8 * len(data) / x.size:.4f} bits per dimension" if x.size else ""
    print(f"{flags.output}: {len(x):,} examples, compressed {len(data):,} bytes{bits}")


def _save(path: Path, x: np.ndarray) -> None:
    """Writes an array to a .npy file of exactly this name."""
    with path.open("wb") as file:  # np.save would add .npy to another name
        np.save(file, x)
