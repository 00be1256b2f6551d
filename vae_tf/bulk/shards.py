"""A piece of the input -> a shard of the output, by a signature."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from vae_tf.bulk import storage
from vae_tf.bulk.job import Job, Piece
from vae_tf.bulk.reading import KEY, Batch, CorruptError, batches
from vae_tf.bulk.signature import Model
from vae_tf.bulk.writing import SINKS
from vae_tf.errors import VAEError

ASIDE = ".job"  # what is not yet whole, and what is known of shards before there is a manifest
WORDS = {
    "file": ("file of the row, below the input's first directory", "path"),
    "row": ("number of the row in its file", "0 for the first"),
    KEY: ("the row's own name, as the data have it", "text"),
    "seed": ("source of the row's randomness", "any int32"),
}


def shard_name(job: Job, piece: Piece) -> str:
    """Returns the name of the file that a piece becomes."""
    return f"shard-{piece.number:05d}.{job.format}"


def aside(job: Job, *names: str) -> str:
    """Returns the path of something that goes when the job ends."""
    return storage.join(job.output, ASIDE, *names)


def facts_path(job: Job, piece: Piece) -> str:
    """Returns where it stands that a shard is whole."""
    return aside(job, f"{piece.number:05d}.json")


def failure_path(job: Job, piece: Piece) -> str:
    """Returns where it stands why a shard cannot be had."""
    return aside(job, f"{piece.number:05d}.failed.json")


def write_shard(job: Job, piece: Piece, model: Model) -> None:
    """Writes a shard, then what is known of it; or why there is none."""
    if storage.exists(facts_path(job, piece)):
        return  # a runner that tries again what had ended
    skipped: list[dict[str, Any]] = []

    def skip(error: CorruptError) -> None:
        if not job.skip_corrupt:
            raise error
        skipped.append(
            dict(zip(("file", "reason"), str(error.received).split(": ", 1), strict=True))
        )

    facts: dict[str, Any] = {"shard": shard_name(job, piece), "rows": 0, "unanswered": 0}

    def fill(stream: BinaryIO) -> None:
        with SINKS[job.format](stream) as sink:
            for columns, unanswered in _answers(job, piece, model, skip):
                sink.write(columns)
                facts["columns"] = list(columns)
                facts["rows"] += len(columns["row"])
                facts["unanswered"] += unanswered

    try:
        try:
            path = storage.join(job.output, facts["shard"])
            facts |= storage.write(path, fill, aside(job))
            if not facts["rows"]:
                storage.delete(job.output, [facts["shard"]])
        except CorruptError as error:
            skip(error)
            rows = None if piece.stop is None else piece.stop - piece.start
            skipped[-1] |= {"first_row": piece.start, "rows": rows}
            facts |= {"rows": 0, "unanswered": 0}
        storage.write_json(facts_path(job, piece), {**facts, "skipped": skipped}, aside(job))
    except (VAEError, *storage.FAILURES) as error:
        storage.write_json(failure_path(job, piece), {"error": str(error)}, aside(job))


def described(job: Job, columns: list[str]) -> dict[str, Any]:
    """Returns what columns of the output are, as the manifest has it."""
    dtypes = {"row": "int64", "seed": "int32"}
    own = {
        name: {"shape": [None], "dtype": dtypes.get(name, "string"), "meaning": words, "unit": unit}
        for name, (words, unit) in WORDS.items()
    }
    return {name: {**own, **job.signature.outputs}[name] for name in columns}


def _answers(job: Job, piece: Piece, model: Model, skip: Any) -> Iterator[tuple[dict, int]]:
    """Yields the output's columns, batch by batch, and how many rows have no answer."""
    inputs = job.signature.inputs
    for batch in batches(job, piece, skip):
        made = _made(job, batch)
        given = {name: batch.columns[name] for name in inputs if name in batch.columns}
        outputs = model(made | given)
        columns: dict[str, Any] = {"file": batch.files} if batch.files else {}
        columns["row"] = batch.rows
        columns |= {name: batch.columns[name] for name in (KEY,) if name in batch.columns}
        columns |= {name: made[name] for name in ("seed",) if name in made}
        unanswered: np.ndarray = np.zeros(len(batch.rows), bool)
        for value in outputs.values():
            if value.dtype.kind == "f":
                unanswered |= np.isnan(value.reshape(len(value), -1)).any(1)
            elif value.dtype.kind == "O":
                unanswered |= np.array([not item for item in value.reshape(len(value), -1)[:, 0]])
        yield columns | outputs, int(unanswered.sum())


def _made(job: Job, batch: Batch) -> dict[str, np.ndarray]:
    """Returns the inputs that are not in the data."""
    inputs, made = job.signature.inputs, {}
    if "seed" in inputs:
        made["seed"] = job.seeds(batch.files or [""] * len(batch.rows), batch.rows)
    if "temperature" in inputs:
        made["temperature"] = np.full(len(batch.rows), job.temperature, "float32")
    if "mask" in inputs and "mask" not in batch.columns and "image" in batch.columns:
        made["mask"] = (~np.isnan(batch.columns["image"])).astype("float32")
    return made
