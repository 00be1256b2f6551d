"""What a long evaluation has computed so far, in a file that the next attempt goes on from."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from vae_tf.errors import RunError
from vae_tf.files import write_aside
from vae_tf.models import VAE

DIFFERENCES = {
    "weights": "other weights",
    "draws": "a file of an earlier version, which drew other numbers",
}


class Batch(NamedTuple):
    """What is known of a batch's examples, [B] each."""

    estimate: np.ndarray
    variance: np.ndarray
    shift: np.ndarray  # by bfloat16, on the first draws; NaN where not measured
    in_bfloat16: np.ndarray  # whether decoded so


class Partial:
    """The batches done, on disk after each; without a path they are kept in memory alone.

    Args:
        path: of the file, `.npz`; None for none.
        identity: JSON of whose numbers they are.

    Raises:
        RunError: the file is damaged, or of another evaluation.
    """

    def __init__(self, path: str | Path | None, identity: dict):
        self.path = None if path is None else Path(path)
        self.identity = identity
        self.digests: list[str] = []
        self.batches: list[Batch] = []
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def done(self, index: int, x: np.ndarray) -> bool:
        """Returns whether batch `index`, of data `x`, is among those read.

        Raises:
            RunError: it is, but was computed for other data.
        """
        if index >= len(self.batches):
            return False
        if self.digests[index] != _digest(x):
            raise self._another(f"other data in batch {index}")
        return True

    def add(self, x: np.ndarray, batch: Batch) -> None:
        """Adds a batch of data `x`, and writes the file."""
        self.batches.append(batch)
        if self.path is None:
            return
        self.digests.append(_digest(x))
        head = json.dumps({"identity": self.identity, "digests": self.digests})
        sizes = [len(done.estimate) for done in self.batches]
        arrays = self.joined()._asdict()
        self.path.parent.mkdir(parents=True, exist_ok=True)

        def write(aside: Path) -> None:
            with aside.open("wb") as file:  # an open file: NumPy adds .npz to other names
                np.savez(file, head=np.array(head), sizes=np.array(sizes), **arrays)

        write_aside(self.path, write)

    def joined(self) -> Batch:
        """Returns the batches as one."""
        if not self.batches:
            return Batch(*(np.zeros(0) for _ in Batch._fields))
        return Batch(*map(np.concatenate, zip(*self.batches, strict=True)))

    def _read(self, path: Path) -> None:
        try:
            # opened here: np.load leaves a damaged file open
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                head = json.loads(str(saved["head"]))
                ends = np.cumsum(saved["sizes"])[:-1]
                parts = [np.split(saved[name], ends) for name in Batch._fields]
            identity, self.digests = head["identity"], list(head["digests"])
            self.batches = [Batch(*arrays) for arrays in zip(*parts, strict=True)]
            if len(self.batches) != len(self.digests):
                raise ValueError("not as many batches as digests")
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            fix = "Delete it to start the evaluation again."
            raise RunError("The checkpoint must be a whole file", str(path), fix) from None
        for name in self.identity:
            if identity.get(name) != self.identity[name]:
                values = f"{name} {self.identity[name]!r} instead of {identity.get(name)!r}"
                raise self._another(DIFFERENCES.get(name, values))

    def _another(self, difference: str) -> RunError:
        expected = f"The checkpoint {self.path} must be of the same model, data and settings"
        return RunError(expected, difference, "Delete it, or pass another `checkpoint`.")


def weights_digest(vae: VAE) -> str:
    """Returns a hash of all that log p(x) depends on, but the layers' code."""
    parts = (vae.encoder, vae.decoder, vae.prior, vae.posterior, vae.likelihood)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(type(part).__name__.encode())
        for variable in part.weights:
            digest.update(_digest(np.asarray(variable)).encode())
    return digest.hexdigest()


def _digest(x: np.ndarray) -> str:
    head = f"{x.dtype} {x.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(x).tobytes()).hexdigest()
