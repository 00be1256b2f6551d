"""Texts as arrays of token numbers [N, T] with a mask, and back."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.checks import instance, whole
from vae_tf.data.sequences.vocabulary import END, Bytes, Vocabulary, Words, vocabulary_of
from vae_tf.errors import ConfigError, DataError, unknown
from vae_tf.files import write_aside

MOST_TOKENS = 256  # of a text, unless the user says otherwise: steps cost time


class Texts:
    """The way from texts to numbers: a vocabulary, and the length T that texts are padded to.

    A text of n tokens is x = (token 1, ..., token n, end, padding), and its mask is 1 for the
    first n + 1 of these. With the end, p(x) is a probability of the text itself, and probabilities
    of texts of all lengths add up to 1.

    Args:
        vocabulary: the tokens and their numbers.
        max_length: T, at least 2. The longest text has T - 1 tokens, since its end takes a step.

    Example:
        >>> texts = vae_tf.data.Texts.of(["to be", "or not to be"], tokens="words")
        >>> fed = texts.encode(["to be"])
        >>> fed["x"].shape, fed["mask"]  # two words and the end, of the five steps
        ((1, 5), array([[1., 1., 1., 0., 0.]], dtype=float32))
        >>> texts.decode(fed["x"])
        ['to be']
    """

    def __init__(self, vocabulary: Vocabulary, max_length: int):
        instance("vocabulary", vocabulary, Vocabulary)
        self.vocabulary, self.max_length = vocabulary, whole("max_length", max_length, least=2)

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        tokens: str | Vocabulary = "bytes",
        max_length: int | None = None,
    ) -> "Texts":
        """Returns an encoding that suits some texts.

        Args:
            texts: training texts.
            tokens: "bytes", "words", or a vocabulary.
            max_length: T; None for the longest of the texts.

        Raises:
            ConfigError: the name in `tokens` is unknown.
            DataError: the texts cannot be used, or are too long for T to be chosen.
        """
        texts = [_text(text, i) for i, text in enumerate(_listed(texts))]
        if isinstance(tokens, str):
            if tokens not in (Bytes.name, Words.name):
                raise unknown("`tokens`", tokens, (Bytes.name, Words.name))
            tokens = Bytes() if tokens == Bytes.name else Words.of(texts)
        if max_length is None:
            longest = max((len(tokens.encode(text)) for text in texts), default=1)
            if longest >= MOST_TOKENS:
                fix = "Pass max_length, or cut the texts into lines."
                expected = f"Texts of {MOST_TOKENS} tokens and more need a `max_length`"
                raise DataError(expected, f"a text of {longest} {tokens.unit}s", fix)
            max_length = max(2, longest + 1)
        return cls(tokens, max_length)

    @property
    def shape(self) -> tuple[int]:
        """Shape of one example, (T,)."""
        return (self.max_length,)

    @property
    def num_tokens(self) -> int:
        """K, the classes of a step: the tokens of the vocabulary, and the end."""
        return self.vocabulary.size

    def likelihood(self) -> Any:
        """Returns p(x|z), a Categorical over the vocabulary at each step."""
        # Not above: data need no distributions
        from vae_tf.distributions import likelihoods

        return likelihoods.Categorical(self.num_tokens)

    def encode(self, texts: Sequence[str], ended: bool = True) -> dict[str, np.ndarray]:
        """Returns {"x": [N, T], "mask": [N, T]}, float32, as every method of a model takes it.

        Args:
            texts: strings, or bytes in UTF-8.
            ended: whether the texts are complete. A beginning has no end, and may be empty.

        Raises:
            DataError: a text is empty, too long or no UTF-8, or has tokens outside the vocabulary.
        """
        texts = _listed(texts)
        shape = len(texts), self.max_length
        x: np.ndarray = np.zeros(shape, "float32")
        mask: np.ndarray = np.zeros(shape, "float32")
        for i, given in enumerate(texts):
            text = _text(given, i)
            try:
                numbers = self.vocabulary.encode(text)
            except DataError as error:
                where = f"{error.received} in text {i}"
                raise DataError(error.expected, where, error.fix) from None
            if ended and not numbers:
                fix = "Leave empty texts out."
                raise DataError("A text must hold at least one token", f"none in text {i}", fix)
            length = len(numbers) + ended
            if length > self.max_length:
                expected = f"A text must have at most {self.max_length - ended} tokens"
                fix = "Cut it, or pass a larger max_length."
                raise DataError(expected, f"{len(numbers)} in text {i}, {text[:30]!r}", fix)
            x[i, : len(numbers)] = numbers
            mask[i, :length] = 1
        return {"x": x, "mask": mask}

    def decode(self, x) -> list[str]:
        """Returns the texts of token numbers [N, T], each up to its end.

        Raises:
            DataError: a number is not in the vocabulary.
        """
        x = np.asarray(x)
        if x.ndim != 2 or (x != np.rint(x)).any() or (x < 0).any() or (x >= self.num_tokens).any():
            expected = f"Tokens must be whole numbers [N, T] from 0 to {self.num_tokens - 1}"
            received = f"shape {x.shape}" + (f", {x.min():g} to {x.max():g}" if x.size else "")
            raise DataError(expected, received, "Pass draws of the model, or encoded texts.")
        found = []
        for row in x.astype(int):
            ends = np.flatnonzero(row == END)
            found.append(self.vocabulary.decode(row[: ends[0]] if len(ends) else row))
        return found

    def get_config(self) -> dict[str, Any]:
        """Returns vocabulary and length, fit for JSON."""
        return {"vocabulary": self.vocabulary.get_config(), "max_length": self.max_length}

    def save(self, path: str | Path) -> None:
        """Writes vocabulary and length as JSON; `Texts.load` reads them.

        Raises:
            ConfigError: the vocabulary is made of a user's tokenizer.
        """
        told = json.dumps(self.get_config(), ensure_ascii=False, indent=1)
        write_aside(Path(path), lambda aside: Path(aside).write_text(told, "utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> "Texts":
        """Returns the encoding that `save` wrote.

        Raises:
            DataError: there is no such file, or it is of another kind.
        """
        try:
            config = json.loads(Path(path).read_text("utf-8"))
            return cls(vocabulary_of(config["vocabulary"]), config["max_length"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            fix = "Pass the vocabulary.json of a run."
            raise DataError("A vocabulary must be readable", str(path), fix) from None


def _listed(texts) -> list:
    if isinstance(texts, (str, bytes)) or not hasattr(texts, "__iter__"):
        fix = 'Pass a list, ["a text"], even for one.'
        raise DataError("Texts must be a list of strings", repr(texts)[:60], fix)
    return list(texts)


def _text(given, place: int) -> str:
    """Returns a text, of bytes or a string, as a string that UTF-8 can hold."""
    try:
        if isinstance(given, (bytes, np.bytes_)):
            return bytes(given).decode("utf-8")
        if isinstance(given, str):
            given.encode("utf-8")
            return str(given)
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        fix = "Decode the file by its own encoding: bytes.decode('latin-1')."
        raise DataError("Texts must be UTF-8", f"text {place}: {error.reason}", fix) from None
    fix = "Pass strings; missing values must be left out."
    raise DataError("Texts must be strings", f"{type(given).__name__} at place {place}", fix)
