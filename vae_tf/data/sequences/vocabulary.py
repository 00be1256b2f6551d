"""From a text to the numbers of its tokens and back: bytes, words, or somebody's tokenizer.

The number 0 is the end of a text in every vocabulary, so tokens count from 1.
"""

import abc
import collections
import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from vae_tf.checks import whole
from vae_tf.errors import ConfigError, DataError, unknown

END = 0
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


class Vocabulary(abc.ABC):
    """A vocabulary: tokens and their numbers; a subclass gives `encode` and `decode`.

    Attributes:
        name: the kind's name on the command line.
        unit: the word for one token.
        size: number of tokens, the end of a text included.

    Example:
        >>> vocabulary = vae_tf.data.Bytes()
        >>> vocabulary.decode(vocabulary.encode("größer"))
        'größer'
    """

    name: ClassVar[str] = "given"
    unit: ClassVar[str] = "token"
    size: int

    @abc.abstractmethod
    def encode(self, text: str) -> list[int]:
        """Returns the numbers of the tokens of `text`, from 1 to size - 1, without its end.

        Raises:
            DataError: a token is outside the vocabulary.
        """

    @abc.abstractmethod
    def decode(self, numbers: Sequence[int]) -> str:
        """Returns the text of some tokens, without their end."""

    def get_config(self) -> dict[str, Any]:
        """Returns what `vocabulary_of` makes the same vocabulary of, fit for JSON.

        Raises:
            ConfigError: the vocabulary is somebody's tokenizer.
        """
        fix = "Save the tokenizer by its own means, and pass it again."
        raise ConfigError("Only bytes and words are written to a file", type(self).__name__, fix)


class Bytes(Vocabulary):
    """A vocabulary of the 256 bytes, so that every text has numbers, by its UTF-8.

    Example:
        >>> vocabulary = vae_tf.data.Bytes()
        >>> vocabulary.encode("AB"), vocabulary.size  # byte + 1, since 0 is the end
        ([66, 67], 257)
    """

    name = "bytes"
    unit = "byte"
    size = 257

    def encode(self, text: str) -> list[int]:
        """Returns one number for each byte; see the base class."""
        return [byte + 1 for byte in text.encode("utf-8")]

    def decode(self, numbers: Sequence[int]) -> str:
        """Returns the text; bytes that are no UTF-8 become the replacement character."""
        return bytes(int(number) - 1 for number in numbers).decode("utf-8", errors="replace")

    def get_config(self) -> dict[str, Any]:
        """Returns the name alone."""
        return {"tokens": self.name}


class Words(Vocabulary):
    """Words and punctuation marks, joined by single spaces when they are decoded.

    Args:
        words: the words, which get the numbers 1, 2, ... in this order.
        unknown: one of `words` that stands for all other words; None refuses those.

    Raises:
        ConfigError: there are no words, one occurs twice, or `unknown` is none of them.

    Example:
        >>> words = vae_tf.data.Words(["<unk>", "to", "be"], unknown="<unk>")
        >>> words.encode("to be great"), words.size
        ([2, 3, 1], 4)
    """

    name = "words"
    unit = "word"
    UNKNOWN = "<unk>"

    def __init__(self, words: Sequence[str], unknown: str | None = None):
        self.words, self.unknown = tuple(words), unknown
        self.size = 1 + len(self.words)
        self.numbers = {word: number for number, word in enumerate(self.words, 1)}
        if not self.words or len(self.numbers) < len(self.words):
            received = f"{len(self.words)} words, {len(self.numbers)} different ones"
            raise ConfigError("A vocabulary must hold each word once", received, "Pass a set.")
        if unknown is not None and unknown not in self.numbers:
            fix = "Add it to `words`, or pass None."
            raise ConfigError("`unknown` must be one of the words", repr(unknown), fix)

    @classmethod
    def of(cls, texts: Iterable[str], most: int = 10_000, unknown: bool = True) -> "Words":
        """Returns the most frequent words of some texts.

        Args:
            texts: texts that hold the words.
            most: the largest number of words that are kept.
            unknown: whether all other words become one word, `<unk>`; otherwise they are refused.
        """
        counts = collections.Counter(word for text in texts for word in _WORD.findall(text))
        by_rank = sorted(counts, key=lambda word: (-counts[word], word))
        kept = by_rank[: whole("most", most)]
        return cls([cls.UNKNOWN, *kept], cls.UNKNOWN) if unknown else cls(kept)

    def encode(self, text: str) -> list[int]:
        """Returns one number for each word; see the base class."""
        found = []
        for word in _WORD.findall(text):
            number = self.numbers.get(word)
            if number is None:
                if self.unknown is None:
                    fix = "Add it to the vocabulary, or let Words.of(..., unknown=True) replace it."
                    raise DataError("Words must be in the vocabulary", repr(word), fix)
                number = self.numbers[self.unknown]
            found.append(number)
        return found

    def decode(self, numbers: Sequence[int]) -> str:
        """Returns the words with single spaces between them."""
        return " ".join(self.words[int(number) - 1] for number in numbers)

    def get_config(self) -> dict[str, Any]:
        """Returns the words."""
        return {"tokens": self.name, "words": list(self.words), "unknown": self.unknown}


class Given(Vocabulary):
    """A vocabulary made of the user's tokenizer, whose numbers plus 1 it has.

    Args:
        tokenizer: an object with `encode(text)`, which returns numbers from 0 on or an object
            with such `ids`, and `decode(numbers)`.
        size: number of the tokenizer's tokens; if None, its `vocab_size`, `get_vocab_size()` or
            `len`.

    Raises:
        ConfigError: the tokenizer lacks a method, or its size is unknown.

    Example:
        >>> class Letters:
        ...     def encode(self, text):
        ...         return [ord(letter) - ord("a") for letter in text]
        ...
        ...     def decode(self, numbers):
        ...         return "".join(chr(number + ord("a")) for number in numbers)
        >>> vocabulary = vae_tf.data.Given(Letters(), size=26)
        >>> vocabulary.encode("abc"), vocabulary.size
        ([1, 2, 3], 27)
    """

    def __init__(self, tokenizer: Any, size: int | None = None):
        for method in ("encode", "decode"):
            if not callable(getattr(tokenizer, method, None)):
                fix = "Pass an object with encode(text) and decode(numbers)."
                raise ConfigError(f"A tokenizer must have {method}", repr(tokenizer)[:80], fix)
        self.tokenizer = tokenizer
        self.size = 1 + whole("size", _size_of(tokenizer) if size is None else size)

    def encode(self, text: str) -> list[int]:
        """Returns the tokenizer's numbers plus 1; see the base class."""
        found = self.tokenizer.encode(text)
        numbers = [int(number) for number in getattr(found, "ids", found)]
        outside = [number for number in numbers if not 0 <= number < self.size - 1]
        if outside:
            fix = "Pass the tokenizer's full size, Given(tokenizer, size)."
            expected = f"The tokenizer's numbers must be from 0 to {self.size - 2}"
            raise DataError(expected, outside[0], fix)
        return [number + 1 for number in numbers]

    def decode(self, numbers: Sequence[int]) -> str:
        """Returns the tokenizer's text."""
        return self.tokenizer.decode([int(number) - 1 for number in numbers])


def vocabulary_of(config: dict[str, Any]) -> Vocabulary:
    """Returns the vocabulary that `get_config` described."""
    if config["tokens"] == Words.name:
        return Words(config["words"], config["unknown"])
    if config["tokens"] != Bytes.name:
        raise unknown("`tokens`", str(config["tokens"]), (Bytes.name, Words.name))
    return Bytes()


def _size_of(tokenizer: Any) -> Any:
    if hasattr(tokenizer, "vocab_size"):
        return tokenizer.vocab_size
    if hasattr(tokenizer, "get_vocab_size"):
        return tokenizer.get_vocab_size()
    return len(tokenizer) if hasattr(tokenizer, "__len__") else None
