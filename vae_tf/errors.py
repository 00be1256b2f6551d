"""One grammar for every message: what was expected, what was received, what to do."""

import difflib
from collections.abc import Iterable

LONGEST = 1000  # characters of what was received: libraries quote damaged files in full


class VAEError(ValueError):
    """A refusal of this package; its text is one line fit to be shown to a user."""

    def __init__(self, expected: str, received: object = None, fix: str = ""):
        # A whole message alone is what pickle and Keras, which rewrites messages, come with
        whole = f"{expected.rstrip('.')}. Received: {_short(received)}. {fix}" if fix else expected
        super().__init__(whole)
        self.expected, self.received, self.fix = expected, received, fix


class DataError(VAEError):
    """The data cannot be read, or do not suit the model."""


class ConfigError(VAEError):
    """A setting, or a combination of settings, that cannot work."""


class RunError(VAEError):
    """A run directory or checkpoint that is missing, damaged or of another run."""


class ExportError(VAEError):
    """A bundle that cannot be written, or does not agree with the model."""


class CodecError(VAEError):
    """A compressed file that cannot be written or read."""


class BulkError(VAEError):
    """A bulk job whose input, output or signature does not fit."""


class NonFiniteError(VAEError, ArithmeticError):
    """Training produced a NaN or an infinity."""


def _short(received: object) -> str:
    """Returns a text, without its middle if it is very long."""
    text = str(received)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 200]} ... {text[-200:]}"


def unknown(
    kind: str, name: str, known: Iterable[str], error: type[VAEError] = ConfigError
) -> VAEError:
    """Returns the error for a `name` that is none of the `known`, with the nearest ones."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
    return error(f"{kind} must be a known name", repr(name), hint)
