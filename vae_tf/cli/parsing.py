"""Flags -> a frozen dataclass; what is wrong with them is said in one line."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import tyro

from vae_tf.errors import ConfigError, VAEError, unknown

Flags = TypeVar("Flags")
_TAKES = {"INT": "a whole number", "FLOAT": "a number", "INT INT": "two whole numbers"}


def parsed(kind: type[Flags], argv: Sequence[str], program: str, **options: Any) -> Flags:
    """Returns what the flags say; ends the process with code 2 where they cannot be meant.

    Args:
        kind: a dataclass.
        argv: the flags.
        program: what the user called.
        options: of `tyro.cli`.
    """
    said = io.StringIO()
    try:
        with _wide(argv), contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=argv, prog=program, **options)
    except SystemExit as stop:
        if stop.code:
            print(f"error: {_refusal(said.getvalue(), kind, program)}", file=sys.stderr)
        raise


@contextlib.contextmanager
def _wide(argv: Sequence[str]) -> Iterator[None]:
    """Lets tyro write without breaking words: it would break paths as well."""
    if "-h" in argv or "--help" in argv:
        yield
        return
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _refusal(text: str, kind: type, program: str) -> VAEError | str:
    """Returns in one line what tyro says in a box."""
    lines = [line.strip(" │╭╮╰╯─") for line in text.splitlines()]
    first = next((line for line in lines[1:] if line.strip("-")), " ".join(lines).strip())
    see = f"See {program} --help."
    names = [f"--{name.replace('_', '-')}" for name in getattr(kind, "__dataclass_fields__", ())]
    if stray := re.match(r"Unrecognized options: (.*)", first):
        word = stray[1].split(", ")[0]
        if not word.startswith("-"):
            return ConfigError("Flags begin with --", repr(word), see)
        near = unknown("A flag", word.partition("=")[0], names)
        hint = near.fix if near.fix.startswith("Did you") else ""
        return ConfigError("A flag must be a known one", repr(word), f"{hint} {see}".strip())
    if choice := re.match(r"invalid choice '(.*)' for argument '(--\S+)'.*\((.*)\)", first):
        return unknown(choice[2], choice[1], re.findall(r"'([^']+)'", choice[3]))
    if lacking := re.match(r"Missing value for argument '(--\S+)'", first):
        return ConfigError(f"{lacking[1]} must have a value", "none", see)
    wrong = re.match(r"Error parsing (--\S+): (?:no type matching (.*) could be|.*)", first)
    if wrong:
        received = re.search(r"\[(.*)\]", first)
        kinds = re.findall(r"\{([^}]*)\}|(\w+)", wrong[2] or "")
        words = [_TAKES.get(a or b, a or b) for a, b in kinds if (a or b) != "None"]
        if words and received:
            return ConfigError(f"{wrong[1]} must be {' or '.join(words)}", received[1], see)
    return first.removeprefix(f"Error parsing {kind.__name__}: ")
