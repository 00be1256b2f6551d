"""What a long evaluation has computed so far, in a file that the next attempt goes on from."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from vae_tf.data.batch import Batch
from vae_tf.errors import RunError
from vae_tf.files import write_aside
from vae_tf.models import VAE

DIFFERENCES = {
    "weights": "other weights or settings",
    "draws": "a file of an earlier version, which drew other numbers",
}


# Keras numbers the names of a process's layers; a network's weights tell it apart
IN_NAME_ALONE = ("name", "network")


class Estimates(NamedTuple):
    """What is known of a batch's examples, [B] each."""

    estimate: np.ndarray
    variance: np.ndarray
    shift: np.ndarray  # by bfloat16, at a few draws; NaN where not measured
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
        self.batches: list[Estimates] = []
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def done(self, index: int, batch: Batch) -> bool:
        """Returns whether the batch of that index is among those read.

        Raises:
            RunError: it is, but was computed for other data.
        """
        if index >= len(self.batches):
            return False
        if self.digests[index] != digest(batch):
            raise self._another(f"other data in batch {index}")
        return True

    def add(self, batch: Batch, estimates: Estimates) -> None:
        """Adds what is known of a batch, and writes the file."""
        self.batches.append(estimates)
        if self.path is None:
            return
        self.digests.append(digest(batch))
        head = json.dumps({"identity": self.identity, "digests": self.digests})
        sizes = [len(done.estimate) for done in self.batches]
        arrays = self.joined()._asdict()
        self.path.parent.mkdir(parents=True, exist_ok=True)

        def write(aside: Path) -> None:
            with aside.open("wb") as file:  # an open file: NumPy adds .npz to other names
                np.savez(file, head=np.array(head), sizes=np.array(sizes), **arrays)

        write_aside(self.path, write)

    def joined(self) -> Estimates:
        """Returns the batches as one."""
        if not self.batches:
            return Estimates(*(np.zeros(0) for _ in Estimates._fields))
        return Estimates(*map(np.concatenate, zip(*self.batches, strict=True)))

    def _read(self, path: Path) -> None:
        try:
            # opened here: np.load leaves a damaged file open
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                head = json.loads(str(saved["head"]))
                ends = np.cumsum(saved["sizes"])[:-1]
                parts = [np.split(saved[name], ends) for name in Estimates._fields]
            identity, self.digests = head["identity"], list(head["digests"])
            self.batches = [Estimates(*arrays) for arrays in zip(*parts, strict=True)]
            if len(self.batches) != len(self.digests):
                raise ValueError("not as many batches as digests")
        except Exception:  # zipfile, zlib, tokenize and NumPy each have their own
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
    settings = [(type(part).__name__, _settings(part.get_config())) for part in parts[2:]]
    return digest([json.dumps(settings, sort_keys=True), *(part.weights for part in parts)])


def _settings(value):
    """Returns the numbers and words of a configuration, without names, which are made up."""
    if isinstance(value, dict):
        return {key: _settings(inner) for key, inner in value.items() if key not in IN_NAME_ALONE}
    if isinstance(value, (list, tuple)):
        return [_settings(inner) for inner in value]
    return value if isinstance(value, (str, int, float, bool)) else None


def digest(arrays) -> str:
    """Returns a hash of arrays or tensors, in nests of any kind."""
    total = hashlib.sha256()
    for leaf in keras.tree.flatten(arrays):
        array = np.asarray(leaf)
        total.update(f"{array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes() if leaf is not None else b"nothing")
    return total.hexdigest()
