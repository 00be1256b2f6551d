"""One run on several workers: who they are, what they must have in common, what one does alone.

TF_CONFIG names them, as it does for every program of TensorFlow:
`{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}`.
"""

import contextlib
import faulthandler
import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tensorflow as tf

from vae_tf.errors import ConfigError, RunError

SECONDS = "VAE_TF_WORKER_SECONDS"  # how long to wait for the others to start
LAST_WORD = (  # told unless its input is closed in time
    "import select, sys; closed = select.select([sys.stdin], [], [], float(sys.argv[1]))[0]; "
    "closed or print(sys.argv[2], file=sys.stderr)"
)
EXAMPLE = (
    'Set it to {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}'
    ", with the same cluster and another index on each worker, or unset it."
)


@tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
def _added(values: tf.Tensor) -> tf.Tensor:
    """Returns the sum of the values over all replicas."""
    context = tf.distribute.get_replica_context()
    own = tf.identity(values)  # of this device; what was passed in is of none
    return context.all_reduce(tf.distribute.ReduceOp.SUM, own)


class Workers:
    """The processes that train one run together; one process alone is the chief.

    Args:
        strategy: in whose scope the model is built; None where there is one process.
        index: of this process, from 0, the chief.
        count: of all processes.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy | None = None,
        index: int = 0,
        count: int = 1,
    ):
        self.strategy, self.index, self.count = strategy, index, count

    @property
    def chief(self) -> bool:
        """Whether this process writes the run directory."""
        return self.index == 0

    def scope(self) -> AbstractContextManager:
        """Returns the context in which the model is built that all train."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def first(self, work: Callable[[], None]) -> None:
        """Has the chief do its `work` while the others wait for it.

        Raises:
            RunError: on the others, if the chief's work failed.
        """
        if self.chief:
            try:
                work()
            except BaseException:
                self._total([1])
                raise
        if self._total([0])[0]:
            raise RunError(
                "The chief of the workers must be able to begin",
                "a refusal, which it tells itself",
                "Do as it says, and start all workers again.",
            )

    def agree(self, said: Mapping[str, Any]) -> None:
        """Makes sure that all workers say the same.

        Args:
            said: values that JSON knows, by what they are called.

        Raises:
            RunError: on all workers, naming what differs.
        """
        digests = [_digest(value) for value in said.values()]
        # Sums of values and of squares are those of equal values only if all are equal
        sums = self._total([n for d in digests for n in (d, d * d)])
        for i, (name, own) in enumerate(zip(said, digests, strict=True)):
            if (sums[2 * i], sums[2 * i + 1]) != (self.count * own, self.count * own * own):
                raise RunError(
                    f"All workers must have the same {name}",
                    f"{_short(said[name])} on worker {self.index}, and others elsewhere",
                    "Start all workers with the same command, of the same version, on the same "
                    "data, with a run directory that all of them see.",
                )

    def wait(self) -> None:
        """Returns when all workers have come here: a worker that leaves early counts as dead."""
        self._total([0])

    def _total(self, values: list[int]) -> list[int]:
        """Returns the sums of whole numbers over all workers."""
        if self.strategy is None:
            return values
        replicas = self.strategy.num_replicas_in_sync // self.count
        sums = self.strategy.run(_added, (tf.constant(values, tf.int64),))
        one = self.strategy.experimental_local_results(sums)[0]
        return [int(n) // replicas for n in one.numpy()]


ALONE = Workers()


@contextlib.contextmanager
def joined() -> Iterator[Workers]:
    """Yields the workers of TF_CONFIG, or ALONE without one; all of them leave together.

    Comes before anything else that TensorFlow does in the process.

    Raises:
        ConfigError: TF_CONFIG names no such workers, or they do not come.
        RunError: another worker has died.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        yield ALONE
        return
    index, addresses = _parsed(text)
    if len(addresses) <= 1:
        yield ALONE
        return
    seconds = _patience()
    with _told_of_deaths():
        with _limited(index, addresses, seconds):
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        workers = Workers(strategy, index, len(addresses))
        yield workers
        workers.wait()


def _parsed(text: str) -> tuple[int, list[str]]:
    """Returns the index of this worker and the addresses of all, the chief's first.

    Platforms set a TF_CONFIG without a cluster where there is one process; it has no addresses.

    Raises:
        ConfigError: it is not what it must be.
    """

    def refused(received: object) -> ConfigError:
        return ConfigError("TF_CONFIG must name the workers and this one", received, EXAMPLE)

    try:
        given = dict(json.loads(text))
        if not given.get("cluster"):
            return 0, []
        cluster, task = dict(given["cluster"]), dict(given["task"])
        kind, number = task["type"], int(task["index"])
        chief, others = list(cluster.pop("chief", [])), list(cluster.pop("worker", []))
    except (ValueError, KeyError, TypeError):
        raise refused(_short(text)) from None
    if cluster or kind not in ("chief", "worker"):
        found = ", ".join(map(str, [*cluster, kind]))
        raise refused(f"{found}, where only a chief and workers train")
    addresses = [*chief, *others]
    index = number if kind == "chief" else number + len(chief)
    own = chief if kind == "chief" else others
    if not 0 <= number < len(own):
        raise refused(f"{kind} {number} of {len(own)}")
    if len(chief) > 1 or len(set(addresses)) < len(addresses):
        raise refused(f"the addresses {', '.join(map(str, addresses))}")
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not host or not port.isdigit():
            raise refused(f"the address {address}")
    return index, addresses


def _patience() -> float:
    """Returns how many seconds to wait for the others.

    Raises:
        ConfigError: the variable is no such number.
    """
    given = os.environ.get(SECONDS, "30")
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{SECONDS} must be a number of seconds", given, "Set it to 30.")
    return seconds


@contextlib.contextmanager
def _limited(index: int, addresses: list[str], seconds: float) -> Iterator[None]:
    """Ends the process if the block takes too long: TensorFlow would wait without end.

    It waits without letting go of Python, too. So another process has the last word, and a thread
    of faulthandler's, which needs no Python, ends this one.
    """
    expected = f"All {len(addresses)} workers must start within {seconds:.0f} seconds"
    fix = f"Start {', '.join(addresses)}, see that they can reach each other, or set {SECONDS}."
    error = ConfigError(expected, f"worker {index} alone, or too few", fix)
    command = [sys.executable, "-c", LAST_WORD, str(seconds), f"error: {error}"]
    with (
        Path(os.devnull).open("w") as nowhere,
        subprocess.Popen(command, stdin=subprocess.PIPE) as speaker,
    ):
        faulthandler.dump_traceback_later(seconds + 1, exit=True, file=nowhere)
        try:
            yield
        except (RuntimeError, ValueError, tf.errors.OpError) as error:
            first = (str(error).strip().splitlines() or ["no message"])[0]
            fix = "See that the ports are free and that all workers have the same TF_CONFIG."
            raise ConfigError("The workers of TF_CONFIG must find each other", first, fix) from None
        finally:
            faulthandler.cancel_dump_traceback_later()
            speaker.communicate()  # without the word


@contextlib.contextmanager
def _told_of_deaths() -> Iterator[None]:
    """Says in one line that another worker has died, which TensorFlow says in many."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        raise _death() from error
    except tf.errors.InternalError as error:
        if "ollective" not in str(error):
            raise
        raise _death() from error


def _death() -> RunError:
    """Returns the error on a worker that is gone."""
    # What the strategy's threads have to say at the end of the process is no news
    sys.unraisablehook = lambda _: None
    return RunError(
        "All workers must live until the run is finished",
        "a worker that ended or cannot be reached",
        "See what it said, and start all workers again with --resume.",
    )


def _digest(value: Any) -> int:
    """Returns a number of 24 bits: the squares of several must fit into 64."""
    text = json.dumps(value, sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "big")


def _short(value: Any) -> str:
    """Returns a value as text of at most some hundred signs."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= 100 else f"{text[:100]}..."
