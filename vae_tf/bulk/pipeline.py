"""The job on a runner of Beam's, and the manifest after it."""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.shared import Shared

from vae_tf.bulk import storage
from vae_tf.bulk.job import Job, Piece, plan
from vae_tf.bulk.shards import (
    ASIDE,
    aside,
    described,
    facts_path,
    failure_path,
    shard_name,
    write_shard,
)
from vae_tf.bulk.signature import Model
from vae_tf.errors import BulkError
from vae_tf.quiet import quiet

MANIFEST, FORMAT_VERSION = "manifest.json", 1
OWN = "job.json"  # beside the facts of shards: what the job is
# Named, since Beam's DirectRunner may choose one that it would have to download
IN_PROCESS = "FnApiRunner"


class WriteShards(beam.DoFn):
    """Writes the shard of each piece; the SavedModel is read once in a process."""

    def __init__(self, job: Job, shared: Shared):
        self._job, self._shared, self._model = job, shared, None

    def setup(self) -> None:
        """Reads the SavedModel, unless another thread of the process has it."""
        self._model = self._shared.acquire(lambda: Model(self._job.signature))

    def process(self, piece: Piece) -> None:
        """Writes one shard, or why there is none: an error that is raised, runners try again."""
        assert self._model is not None
        write_shard(self._job, piece, self._model)


def run(
    job: Job, *, processes: int = 1, flags: Sequence[str] = (), overwrite: bool = False
) -> dict[str, Any]:
    """Returns the manifest of the job's output, once all shards are written.

    A job that was killed resumes: shards that are complete stay.

    Args:
        job: the job.
        processes: number of processes of the in-process runner; a single one is this process.
        flags: flags of Beam; with a `--runner` among them, `processes` is not used.
        overwrite: whether to remove the output of another job first.

    Raises:
        BulkError: the output exists already, or rows cannot be read or answered.
    """
    if processes < 1:
        raise BulkError("`processes` must be at least 1", processes, "Pass --processes 1.")
    pieces, files = plan(job)
    identity = {**job.facts(), "files": files, "pieces": len(pieces)}
    _claim(job, identity, overwrite)
    left = [piece for piece in pieces if not storage.exists(facts_path(job, piece))]
    if left:
        _beam(job, left, processes, list(flags))
    if failed := [
        found for piece in left if (found := storage.read_json(failure_path(job, piece)))
    ]:
        more = f" (And {len(failed) - 1} more shards.)" if len(failed) > 1 else ""
        raise BulkError(f"{failed[0]['error']}{more}")
    shards = [storage.read_json(facts_path(job, piece)) for piece in pieces]
    if missing := [
        shard_name(job, p) for p, found in zip(pieces, shards, strict=True) if not found
    ]:
        expected = "The runner must write all shards where this process can read them"
        raise BulkError(expected, f"none of {missing[0]}", "Call the command again; it goes on.")
    facts = _manifest(job, files, shards)
    storage.write_json(storage.join(job.output, MANIFEST), facts, aside(job))
    _tidy(job)
    storage.delete(job.output, [ASIDE])
    return facts


def _claim(job: Job, identity: dict[str, Any], overwrite: bool) -> None:
    """Makes the output this job's, or refuses."""
    there = storage.entries(job.output)
    begun = storage.read_json(aside(job, OWN)) if ASIDE in there else None
    if begun == identity and not overwrite:  # also if it was killed after its manifest
        stale = [name for name in storage.entries(aside(job)) if ".failed." in name]
        storage.delete(aside(job), stale)
        return
    known = storage.read_json(storage.join(job.output, MANIFEST)) if MANIFEST in there else None
    ours = ASIDE in there or (isinstance(known, dict) and "shards" in known)
    # Where no shard is whole, as after a wrong flag, there is nothing to lose
    if set(there) - {ASIDE} and not (overwrite and ours):
        state = ", finished" if known and ours else ", begun with other flags or data"
        received = f"{job.output}, which exists{state if ours else ''}"
        fix = "Pass --overwrite, or another --output." if ours else "Pass another --output."
        raise BulkError("The output must be a new directory", received, fix)
    if there:  # until all of it is gone, no job can go on with it, and it can be overwritten
        storage.write_json(aside(job, OWN), None, aside(job))
        shards = [name for name in there if name.startswith("shard-")]
        # The manifest first, so that it never speaks of what is gone
        for names in ([MANIFEST], shards):
            storage.delete(job.output, [name for name in names if name in there])
        _tidy(job)
    storage.write_json(aside(job, OWN), identity, aside(job))


def _tidy(job: Job) -> None:
    """Removes what is known of shards; what the job is stays, by which it is known if killed."""
    storage.delete(aside(job), [name for name in storage.entries(aside(job)) if name != OWN])


def _beam(job: Job, pieces: list[Piece], processes: int, flags: list[str]) -> None:
    here = not any(flag.startswith("--runner") for flag in flags)
    if here:
        flags = [*flags, f"--runner={IN_PROCESS}", f"--direct_num_workers={processes}"]
        if processes > 1:
            flags.append("--direct_running_mode=multi_processing")
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    try:
        made = beam.Pipeline(options=PipelineOptions(flags))
    except (ValueError, ImportError) as error:  # no such runner, or not installed
        fix = "See Beam's pages for the flags after --."
        raise BulkError("Beam must know its flags", str(error).splitlines()[0], fix) from error
    silence = quiet(BulkError) if here else contextlib.nullcontext()
    with silence, _deaths(), made as pipeline:
        # Reshuffle lets any worker take any piece
        created = pipeline | "Pieces" >> beam.Create(pieces) | "Spread" >> beam.Reshuffle()
        created | "Shards" >> beam.ParDo(WriteShards(job, Shared()))


class _DeathError(Exception):
    """A process of the in-process runner died."""


@contextlib.contextmanager
def _deaths() -> Iterator[None]:
    """Raises a BulkError when a process of the in-process runner dies, for which it would wait."""
    if threading.current_thread() is not threading.main_thread():  # signals are for that one
        yield
        return
    before, main = threading.excepthook, threading.get_ident()
    died: list[str] = []

    def hook(arguments: Any) -> None:
        if "Worker subprocess exited" in str(arguments.exc_value) and not died:
            died.append(str(arguments.exc_value))
            signal.pthread_kill(main, signal.SIGUSR1)
        elif not died:  # what its connections have to say is no news
            before(arguments)

    def wake(number: int, frame: Any) -> None:
        raise _DeathError

    handler = signal.signal(signal.SIGUSR1, wake)
    threading.excepthook = hook
    try:
        yield
    except _DeathError:
        fix = "Call the command again; it goes on. Fewer --processes need less memory."
        raise BulkError("Every worker must live as long as the job", died[0], fix) from None
    finally:
        threading.excepthook = before
        signal.signal(signal.SIGUSR1, handler)


def _manifest(job: Job, files: list[Any], shards: list[dict[str, Any]]) -> dict[str, Any]:
    written = [shard for shard in shards if shard["rows"]]
    columns = described(job, written[0]["columns"]) if written else {}
    skipped = [found for shard in shards for found in shard["skipped"]]
    own = ("shard", "rows", "sha256", "bytes")
    return {
        "format_version": FORMAT_VERSION,
        **job.facts(),
        "files": len(files),
        "output_rows": sum(shard["rows"] for shard in shards),
        "unanswered": sum(shard["unanswered"] for shard in shards),
        "skipped": skipped,
        "columns": columns,
        "shards": [{name: shard[name] for name in own} for shard in written],
    }
