"""TFRecord files: length, its checksum, a record, its checksum; again and again."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

_DELTA = 0xA282EAD8  # of the format's masked CRC-32C


def _masked(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _DELTA) & 0xFFFFFFFF


def framed(record: bytes) -> bytes:
    """Returns a record as it stands in a file."""
    length = struct.pack("<Q", len(record))
    checksums = (struct.pack("<I", _masked(part)) for part in (length, record))
    return length + next(checksums) + record + next(checksums)


def records(stream: BinaryIO) -> Iterator[bytes]:
    """Yields the records of a file.

    Raises:
        ValueError: it is damaged, or no TFRecord file.
    """
    number = 0
    while head := stream.read(12):
        if len(head) < 12 or _masked(head[:8]) != struct.unpack("<I", head[8:])[0]:
            raise ValueError(f"no length of record {number} that is whole")
        (length,) = struct.unpack("<Q", head[:8])
        body = stream.read(length + 4)
        record = body[:length]
        if len(body) < length + 4 or _masked(record) != struct.unpack("<I", body[length:])[0]:
            raise ValueError(f"record {number}, whose checksum is another")
        yield record
        number += 1
