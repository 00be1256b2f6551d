"""A compressed file: what is needed to read it, checks, and the words of each chain.

`VAEC`, the size of the header (uint32), the header (JSON), the words of the chains (uint32), and
16 bytes of BLAKE2b of all that. Numbers are little-endian.
"""

import hashlib
import json
import struct
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from vae_tf.codec.stack import from_bytes, to_bytes
from vae_tf.errors import CodecError

MAGIC, FORMAT, DIGEST = b"VAEC", 1, 16
START = len(MAGIC) + 4


@dataclass(frozen=True)
class Header:
    """The header of a compressed file, with the facts about it.

    Attributes:
        model: fingerprint of the model that can read it.
        shape: shape of the data, [N, *event], or without the axis of a single channel.
        dtype: type of the data, as `numpy.dtype.str`.
        bins: number of bits that tell each latent.
        words: number of words in each chain.
        data: BLAKE2b of the data, in hexadecimal.
        machine: versions and processor with which the file was written.
        format: version of the file format.
    """

    model: str
    shape: tuple[int, ...]
    dtype: str
    bins: int
    words: tuple[int, ...]
    data: str
    machine: str
    format: int = FORMAT


@dataclass(frozen=True)
class Container:
    """A compressed file in memory.

    Attributes:
        header: the facts about the file and its data.
        words: the words of each chain, uint32.

    Example:
        >>> from vae_tf.codec.container import Container, Header
        >>> header = Header("a-model", (1, 8), "|u1", 12, words=(2,), data="00", machine="here")
        >>> file = Container(header, [np.array([1, 2], "uint32")]).to_bytes()
        >>> file[:4], Container.from_bytes(file).header.shape
        (b'VAEC', (1, 8))
    """

    header: Header
    words: list[np.ndarray]

    def to_bytes(self) -> bytes:
        """Returns the file."""
        header = json.dumps(asdict(self.header), separators=(",", ":")).encode()
        body = b"".join(map(to_bytes, self.words))
        whole = MAGIC + struct.pack("<I", len(header)) + header + body
        return whole + _digest(whole)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Container":
        """Returns the header and the words of a file.

        Raises:
            CodecError: the file is of another kind, cut short, damaged, or of a later format.
        """
        fix = "Copy it again from where it was made."
        if not data.startswith(MAGIC):
            raise CodecError("The file must be one that the codec wrote", _begins(data), fix)
        if len(data) < START + DIGEST or _digest(data[:-DIGEST]) != data[-DIGEST:]:
            received = f"{len(data)} bytes with another checksum than was written"
            raise CodecError("The compressed file must be whole", received, fix)
        (size,) = struct.unpack("<I", data[len(MAGIC) : START])
        try:
            found = json.loads(data[START : START + size])
            if found["format"] != FORMAT:
                later = "Install a version of vae_tf that reads it."
                raise CodecError(f"The file must be of format {FORMAT}", found["format"], later)
            header = _header(found)
            words = from_bytes(data[START + size : -DIGEST])
            if sum(header.words) != len(words):
                raise ValueError
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, CodecError):
                raise
            raise CodecError("The file must have a header of the codec", "another", fix) from None
        return cls(header, np.split(words, np.cumsum(header.words)[:-1]))


def digest_of(index: np.ndarray) -> str:
    """Returns a checksum of data, given by their indices in little-endian, in hexadecimal."""
    return _digest(index.tobytes()).hex()


def _header(found: dict[str, Any]) -> Header:
    values = {field.name: found[field.name] for field in fields(Header)}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    header = Header(**values)
    whole = all(isinstance(n, int) and n >= 0 for n in (*header.shape, *header.words, header.bins))
    if not (whole and header.shape and 1 <= header.bins <= 20 and len(header.words) >= 1):
        raise ValueError
    np.dtype(header.dtype)
    return header


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


def _begins(data: bytes) -> str:
    return f"one that begins with {data[:4]!r}" if data else "an empty one"
