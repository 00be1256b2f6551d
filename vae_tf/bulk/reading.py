"""A piece of the input -> batches of rows, the same ones every time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from google.protobuf.message import DecodeError

from vae_tf.bulk import storage, tfrecord
from vae_tf.bulk.job import Job, Piece, npy_header
from vae_tf.bulk.signature import Signature
from vae_tf.data.columns import array_of
from vae_tf.data.image_files import read_pixels
from vae_tf.errors import BulkError, DataError

AGAIN = "Repair it, or pass --skip-corrupt to leave it out."
KEY = "key"  # the column that tells which row is which, where the data have one
OPTIONAL = ("mask", KEY)


class CorruptError(BulkError):
    """What cannot be read, whatever rows it was meant to hold."""


@dataclass(frozen=True)
class Batch:
    """Rows [B], each of them with the name of its file and its number there."""

    files: list[str]
    rows: np.ndarray
    columns: Mapping[str, Any]


Skip = Callable[[CorruptError], None]


def batches(job: Job, piece: Piece, skip: Skip) -> Iterator[Batch]:
    """Yields the rows of a piece in their order, as the signature takes them.

    Args:
        job: what they are for.
        piece: the rows.
        skip: is told of an image that cannot be read.

    Raises:
        CorruptError: the file cannot be read.
        BulkError: its rows are not what the signature takes.
    """
    if piece.kind == "images":
        yield from _images(job, piece, skip)
        return
    if piece.kind == "numbers":
        assert piece.stop is not None
        for start in range(piece.start, piece.stop, job.call_rows):
            rows = np.arange(start, min(start + job.call_rows, piece.stop))
            yield Batch([], rows, {})
        return
    (file,) = piece.files
    name, start = job.name_of(file), piece.start
    try:
        with storage.opened(file) as stream:
            for columns in _READERS[piece.kind](stream, job, piece):
                size = len(next(iter(columns.values())))
                fitted = {n: _fitted(v, job.signature, n, name) for n, v in columns.items()}
                yield Batch([name] * size, np.arange(start, start + size), fitted)
                start += size
    except (*storage.FAILURES, ValueError, EOFError, pa.ArrowException) as error:
        if isinstance(error, BulkError):
            raise
        received = f"{name}: {' '.join(str(error).split()) or type(error).__name__}"
        raise CorruptError("Every file of the input must be readable", received, AGAIN) from error


def _parquet(stream: Any, job: Job, piece: Piece) -> Iterator[dict[str, Any]]:
    file = pq.ParquetFile(stream)
    names = _present(job, piece, file.schema_arrow.names)
    groups, rows = [], piece.start
    for group in range(piece.group, file.num_row_groups):
        if piece.stop is None or rows < piece.stop:
            groups.append(group)
        rows += file.metadata.row_group(group).num_rows
    for batch in file.iter_batches(job.call_rows, groups, columns=names):
        yield {name: array_of(batch.column(name)) for name in names}


def _npy(stream: Any, job: Job, piece: Piece) -> Iterator[dict[str, Any]]:
    shape, dtype = npy_header(stream)
    stop = shape[0] if piece.stop is None else piece.stop
    width = dtype.itemsize * int(np.prod(shape[1:]))
    stream.seek(stream.tell() + piece.start * width)
    (name,) = job.signature.data
    for start in range(piece.start, stop, job.call_rows):
        size = min(job.call_rows, stop - start)
        if len(data := stream.read(size * width)) < size * width:
            raise ValueError("an incomplete file, shorter than its header says")
        yield {name: np.frombuffer(data, dtype).reshape(size, *shape[1:])}


def _tfrecord(stream: Any, job: Job, piece: Piece) -> Iterator[dict[str, Any]]:
    signature, found = job.signature, tfrecord.records(stream)
    features: dict[str, Any] = {}
    while several := [record for _, record in zip(range(job.call_rows), found, strict=False)]:
        if not features:
            try:
                first = tf.train.Example.FromString(several[0])
            except DecodeError as error:
                raise ValueError("a record that is no Example") from error
            for name in _present(job, piece, first.features.feature):
                dtype = "string" if name == KEY else signature.inputs[name]["dtype"]
                kind = {"string": tf.string, "float32": tf.float32, "float64": tf.float32}
                shape = () if name == KEY else signature.shape(name)
                features[name] = tf.io.FixedLenFeature(shape, kind.get(dtype, tf.int64))
        try:
            parsed = tf.io.parse_example(several, features)
        except tf.errors.OpError as error:
            expected = f"Rows must be Examples with {', '.join(features)} as the manifest has them"
            received = f"{job.name_of(piece.files[0])}: {str(error).splitlines()[0]}"
            raise BulkError(expected, received, "Write them again.") from error
        yield {name: value.numpy() for name, value in parsed.items()}


_READERS = {"parquet": _parquet, "npy": _npy, "tfrecord": _tfrecord}


def _present(job: Job, piece: Piece, names: Any) -> list[str]:
    """Returns the columns to read of those that there are."""
    signature = job.signature
    if missing := [name for name in signature.data if name not in names]:
        expected = f"`{signature.name}` takes the columns {', '.join(signature.data)}"
        received = f"{job.name_of(piece.files[0])} without {', '.join(missing)}"
        raise BulkError(expected, received, "Rename the columns.")
    also = [n for n in OPTIONAL if n in names and (n == KEY or n in signature.inputs)]
    return [*signature.data, *also]


def _images(job: Job, piece: Piece, skip: Skip) -> Iterator[Batch]:
    (name,) = job.signature.data
    for start in range(0, len(piece.files), job.call_rows):
        files, images = [], []
        for file in piece.files[start : start + job.call_rows]:
            try:
                images.append(_image(Path(file), job.signature, name))
            except (DataError, OSError) as error:
                received = f"{job.name_of(file)}: {getattr(error, 'received', error)}"
                told = received.replace(f"{file}: ", "")
                skip(CorruptError("Every image file must be readable", told, AGAIN))
                continue
            files.append(job.name_of(file))
            if images[-1].shape != images[0].shape or len(files) == 1:
                _fitted(images[-1][np.newaxis], job.signature, name, files[-1])
        if files:
            column = _fitted(np.stack(images), job.signature, name, files[0])
            yield Batch(files, np.zeros(len(files), "int64"), {name: column})


def _image(path: Path, signature: Signature, name: str) -> np.ndarray:
    """Returns one image as the signature takes it: its file, its levels, or numbers."""
    if signature.inputs[name]["dtype"] == "string":
        return np.array(path.read_bytes(), object)
    pixels = read_pixels(path, colour=signature.shape(name)[-1:] == (3,))
    if signature.inputs[name]["dtype"] == "uint8":
        return pixels
    if signature.preprocessing.scale is None:
        fix = "Pass .npy, Parquet or TFRecord files of what the encoder takes."
        raise BulkError("The bundle must tell what levels of images mean", "nothing of it", fix)
    return signature.preprocessing.of_levels(pixels).numpy()


def _fitted(values: Any, signature: Signature, name: str, file: str) -> np.ndarray:
    """Returns a column [B, *shape] in the signature's dtype, or refuses it."""
    if name == KEY:
        return np.array([_text(value) for value in values], object)
    dtype, shape = signature.inputs[name]["dtype"], signature.shape(name)
    expected = f"`{signature.name}` takes {name} {list(shape)}, {dtype}"
    fix = "Write the rows so; their shape may be flat."
    if dtype == "string":
        nothing = signature.inputs[name].get("missing", "")
        words = [nothing if value is None else value for value in np.asarray(values, object)]
        return np.array([w if isinstance(w, bytes) else str(w).encode() for w in words], object)
    x = values if isinstance(values, np.ndarray) else None
    if x is None or x.dtype.kind not in "fiub":
        raise BulkError(expected, f"{file}, whose {name} are no numbers of one shape", fix)
    flat = int(np.prod(shape))
    if x.shape[1:] not in (shape, (flat,)) and not (
        shape[-1:] == (1,) and x.shape[1:] == shape[:-1]
    ):
        raise BulkError(expected, f"{file} with {name} {list(x.shape[1:])}", fix)
    if np.dtype(dtype).kind in "iu" and len(x):
        limits = np.iinfo(dtype)
        if x.dtype.kind == "f" or x.min() < limits.min or x.max() > limits.max:
            received = f"{file} with {name} {x.dtype}, from {x.min()} to {x.max()}"
            raise BulkError(expected, received, "Write whole numbers within its range.")
    return np.ascontiguousarray(x.reshape(-1, *shape), dtype)


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
