"""Whole states of a training, one directory an epoch, from which it goes on bit for bit."""

import hashlib
import json
import math
import re
import time
from pathlib import Path

import keras
import numpy as np

from vae_tf.errors import RunError
from vae_tf.runs.files import remove, reserve, sha256, write_csv, write_directory, write_json

_NAME = re.compile(r"epoch-(\d{5,})")
_WEIGHTS, _STATE = "state.weights.h5", "state.json"
_HEADER, _FILE = 4096, 1 << 16  # bytes of HDF5 for each variable, and for the whole
_KEYS, _CHECKSUM = {"epochs", "finished", "sha256", "history"}, "checksum"


def best_epoch(history: list[dict], start: int = 0) -> int:
    """Returns the number of epochs trained when `val_elbo` was highest, after `start` of them.

    Before `start` the last epoch; 0 without any.
    """
    counted = [(logs["val_elbo"], i + 1) for i, logs in enumerate(history) if i >= start]
    return max(counted, key=lambda pair: (pair[0], -pair[1]))[1] if counted else len(history)


class Checkpoints:
    """The checkpoints of one run: the newest to go on from, the best to keep."""

    def __init__(self, directory: Path, warmup_epochs: int = 0):
        self.directory, self.warmup_epochs = directory, warmup_epochs

    def epochs(self) -> list[int]:
        """Returns the numbers of epochs for which there is a checkpoint, rising."""
        names = (_NAME.fullmatch(path.name) for path in self.directory.glob("epoch-*"))
        return sorted(int(name[1]) for name in names if name)

    def save(self, model: keras.Model, history: list[dict], finished: bool) -> None:
        """Writes the state after `len(history)` epochs; drops all but the newest and the best."""
        epoch = len(history)

        def write(aside: Path) -> None:
            reserve(aside, room(model))
            model.save_weights(aside / _WEIGHTS)
            digest = sha256(aside / _WEIGHTS)
            _write_state(aside / _STATE, epoch, finished, digest, history)

        self.directory.mkdir(parents=True, exist_ok=True)
        write_directory(self._path(epoch), write)
        self.write_metrics(history)
        for old in set(self.epochs()) - {epoch, best_epoch(history, self.warmup_epochs)}:
            remove(self._path(old))

    def write_metrics(self, history: list[dict]) -> None:
        """Writes metrics.csv, beside the checkpoints."""
        rows = [{"epoch": i + 1, **logs} for i, logs in enumerate(history)]
        write_csv(self.directory.parent / "metrics.csv", rows)

    def reopen(self) -> None:
        """Lets a finished run go on: its newest state is no longer the last."""
        state = self.newest()
        path = self._path(state["epochs"]) / _STATE
        _write_state(path, state["epochs"], False, state["sha256"], state["history"])

    def newest(self) -> dict:
        """Returns the state of the newest checkpoint: `epochs`, `finished`, `history`."""
        epochs = self.epochs()
        if not epochs:
            return {"epochs": 0, "finished": False, "history": []}
        return self._state(epochs[-1])

    def restore(self, model: keras.Model, epoch: int) -> None:
        """Sets weights, optimizer and random state to those after `epoch` epochs.

        Raises:
            RunError: the checkpoint is missing or damaged.
        """
        weights = self._path(epoch) / _WEIGHTS
        if not weights.exists():
            raise self._damaged(epoch, f"no {_WEIGHTS}")
        if sha256(weights) != self._state(epoch)["sha256"]:
            raise self._damaged(epoch, f"a {_WEIGHTS} with another checksum than was written")
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        model.load_weights(weights)

    def _state(self, epoch: int) -> dict:
        """Returns the state of one epoch, if it is the one that was written."""
        try:
            state = json.loads((self._path(epoch) / _STATE).read_text("utf-8"))
            checksum = state.pop(_CHECKSUM, None)  # none in runs of version 0.1.0
            whole = set(state) == _KEYS and checksum in (None, _checksum(state))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise self._damaged(epoch, f"an unreadable {_STATE}") from None
        if not whole or state["epochs"] != epoch:
            raise self._damaged(epoch, f"a {_STATE} with another checksum than was written")
        return state

    def _damaged(self, epoch: int, what: str) -> RunError:
        """Returns the error on a checkpoint that is damaged, with the way out."""
        path = self._path(epoch)
        earlier = [e for e in self.epochs() if e < epoch]
        fix = "Start it again in another --run-dir, or with --overwrite, which deletes this run."
        if earlier and epoch == self.epochs()[-1]:
            fix = f"Delete that directory to resume after epoch {earlier[-1]}."
        return RunError(f"The checkpoint {path} must be whole", what, fix)

    def _path(self, epoch: int) -> Path:
        """Returns the directory of one epoch."""
        return self.directory / f"epoch-{epoch:05d}"


class CheckpointEveryEpoch(keras.callbacks.Callback):
    """Saves after each epoch. Goes after early stopping, to know whether it was the last."""

    def __init__(self, checkpoints: Checkpoints, history: list[dict], epochs: int):
        super().__init__()
        self.checkpoints, self.history, self.epochs = checkpoints, list(history), epochs
        self.began = self.began_computing = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clocks: that on the wall, and that of the processor, of all threads."""
        self.began, self.began_computing = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        """Saves the state after this epoch, validation and clock included."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        values["seconds"] = time.perf_counter() - self.began
        values["processor_seconds"] = time.process_time() - self.began_computing
        self.history.append(values)
        finished = self.model.stop_training or epoch + 1 == self.epochs
        self.checkpoints.save(self.model, self.history, finished)


def room(model: keras.Model) -> int:
    """Returns how many bytes a file of the model's weights and optimizer takes at the most."""
    variables = [*model.variables, *(model.optimizer.variables if model.optimizer else ())]
    values = sum(math.prod(v.shape) * np.dtype(_stored(v.dtype)).itemsize for v in variables)
    return values + len(variables) * _HEADER + _FILE


def _stored(dtype: str) -> str:
    """Returns the dtype that a variable has in a file."""
    return "float32" if dtype == "bfloat16" else dtype


def _write_state(path: Path, epochs: int, finished: bool, digest: str, history: list) -> None:
    """Writes the state of an epoch with its checksum."""
    state = {"epochs": epochs, "finished": finished, "sha256": digest, "history": history}
    write_json(path, {**state, _CHECKSUM: _checksum(state)})


def _checksum(state: dict) -> str:
    """Returns the SHA-256 of a state."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
