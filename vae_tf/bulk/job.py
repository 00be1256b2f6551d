"""A job, and its plan: which rows become which shard, known before anything is computed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vae_tf.bulk import storage
from vae_tf.bulk.signature import Signature
from vae_tf.data.image_files import SUFFIXES
from vae_tf.errors import BulkError

KINDS = {".parquet": "parquet", ".npy": "npy", **dict.fromkeys(SUFFIXES, "images")}
TAKEN = ".parquet, .npy, .tfrecord, or images"


@dataclass(frozen=True)
class Piece:
    """The rows of one shard.

    Attributes:
        number: of the shard.
        kind: "parquet", "npy", "tfrecord", "images", or "numbers" for rows without data.
        files: where they are; several of images alone, a row each.
        start: the first row within the file.
        stop: the row after the last; None for all there are.
        group: of Parquet, the first row group.
    """

    number: int
    kind: str
    files: tuple[str, ...]
    start: int = 0
    stop: int | None = None
    group: int = 0


@dataclass(frozen=True)
class Job:
    """A bulk job: a signature, its input and its output.

    Attributes:
        signature: the signature to compute.
        output: a directory, which must be new or empty.
        input: a pattern of files; None if `rows` are generated.
        rows: number of rows to generate without data.
        seed: seed of all randomness, together with the file and the number of a row.
        temperature: temperature of `generate`.
        format: file format of the shards.
        shard_rows: number of rows of a shard; TFRecord files and row groups of Parquet are never
            divided.
        batch_rows: number of rows in a call of the signature.
        skip_corrupt: whether to leave out, and count, input that cannot be read.
    """

    signature: Signature
    output: str
    input: str | None = None
    rows: int | None = None
    seed: int = 0
    temperature: float = 1.0
    format: Literal["parquet", "tfrecord"] = "parquet"
    shard_rows: int = 10_000
    batch_rows: int = 256
    skip_corrupt: bool = False

    def __post_init__(self):
        for name in ("shard_rows", "batch_rows"):
            if getattr(self, name) < 1:
                raise BulkError(f"`{name}` must be at least 1", getattr(self, name), "Pass more.")
        if (self.input is None) == (self.rows is None):
            received = "both" if self.rows is not None else "neither"
            raise BulkError("A job needs an input or a number of rows", received, "Pass one.")
        if self.rows is not None and not 0 <= self.rows <= 2**32:
            fix = "Pass --rows of at most 2**32, as many as there are seeds."
            raise BulkError("The number of rows must be at most 2**32", self.rows, fix)
        if self.rows is not None and (needed := self.signature.data):
            fix = "Pass --input with these columns."
            expected = f"`{self.signature.name}` makes rows of the columns {', '.join(needed)}"
            raise BulkError(expected, "a number of rows alone", fix)

    def name_of(self, file: str) -> str:
        """Returns a file's path below what all files of the input lie below."""
        return file[len(storage.base_of(self.input or "")) :]

    @property
    def call_rows(self) -> int:
        """The rows of one call of the signature."""
        return min(self.batch_rows, self.signature.max_rows or self.batch_rows)

    def seeds(self, names: list[str], rows: np.ndarray) -> np.ndarray:
        """Returns the seeds of rows of the files called so, int32 [B]; no two of a file are equal.

        Files begin at numbers far apart, and so do jobs of other seeds.
        """
        starts = {}
        for name in set(names):
            digest = hashlib.blake2b(f"{self.seed} {name}".encode(), digest_size=4).digest()
            starts[name] = int.from_bytes(digest, "little")
        offsets = np.array([starts[name] for name in names], "int64")
        return ((rows + offsets) & 0xFFFFFFFF).astype("uint32").view("int32")

    def facts(self) -> dict[str, Any]:
        """Returns what all bytes of the output follow from, but for the data, as JSON."""
        names = ("input", "rows", "seed", "temperature", "format", "shard_rows", "batch_rows")
        settings = {name: getattr(self, name) for name in (*names, "skip_corrupt")}
        if "temperature" not in self.signature.inputs:
            del settings["temperature"]
        return {"signature": self.signature.name, "bundle": self.signature.bundle, **settings}


def plan(job: Job) -> tuple[list[Piece], list[list[Any]]]:
    """Returns the pieces of a job, and what tells whether their files are still the same.

    Raises:
        BulkError: there are no files, or of several kinds, or they cannot hold the rows.
    """
    if job.rows is not None:
        cuts = range(0, job.rows, job.shard_rows)
        ends = [min(start + job.shard_rows, job.rows) for start in cuts]
        pairs = zip(cuts, ends, strict=True)
        return [Piece(i, "numbers", (), *pair) for i, pair in enumerate(pairs)], []
    assert job.input is not None
    found = {path: state for path, state in storage.found(job.input).items() if _kind(path)}
    kinds = sorted({_kind(path) for path in found})
    if len(kinds) != 1:
        received = f"{job.input}, with {' and '.join(kinds)}" if kinds else f"none at {job.input}"
        fix = "Pass --input 'data/*.parquet', for example."
        raise BulkError(f"The input must be files of one kind: {TAKEN}", received, fix)
    (kind,) = kinds
    if kind in ("npy", "images") and len(needed := job.signature.data) != 1:
        fix = "Pass Parquet or TFRecord files with these columns."
        expected = f"`{job.signature.name}` takes {', '.join(needed) or 'no data'}"
        raise BulkError(expected, f"{kind}, which has one column", fix)
    files = list(found)
    if kind == "images":
        cuts = range(0, len(files), job.shard_rows)
        parts = [(kind, tuple(files[start : start + job.shard_rows])) for start in cuts]
        pieces = [Piece(i, *part) for i, part in enumerate(parts)]
    else:
        ranges = [((file,), *cut) for file in files for cut in _cuts(kind, file, job.shard_rows)]
        pieces = [Piece(i, kind, *part) for i, part in enumerate(ranges)]
    return pieces, [[job.name_of(path), *state] for path, state in found.items()]


def _kind(path: str) -> str:
    if ".tfrecord" in path.rpartition("/")[2]:
        return "tfrecord"
    return KINDS.get(f".{path.rpartition('.')[2].lower()}", "")


def _cuts(kind: str, file: str, rows: int) -> Iterator[tuple[int, int | None, int]]:
    """Yields start, stop and row group; all of a file that tells no rows, whoever reads it then."""
    if kind == "tfrecord":
        yield 0, None, 0
        return
    try:
        with storage.opened(file) as stream:
            if kind == "npy":
                number = npy_header(stream)[0][0]
                sizes = [min(rows, number - start) for start in range(0, number, rows)]
            else:
                parquet = pq.ParquetFile(stream).metadata
                sizes = [parquet.row_group(i).num_rows for i in range(parquet.num_row_groups)]
    except (*storage.FAILURES, ValueError, IndexError, pa.ArrowException):
        yield 0, None, 0
        return
    start, first, size = 0, 0, 0
    for i, more in enumerate(sizes):
        if size and size + more > rows:
            yield start, start + size, first
            start, first, size = start + size, i, 0
        size += more
    if size:
        yield start, start + size, first


def npy_header(stream: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Returns shape and dtype of an array file, and leaves the stream at its first number.

    Raises:
        ValueError: it is none, or not in C order.
    """
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0}
    read = readers.get(version, np.lib.format.read_array_header_2_0)
    shape, fortran, dtype = read(stream)
    if fortran or dtype.hasobject or not shape:
        raise ValueError("an array that is not of rows of numbers in C order")
    return shape, dtype
