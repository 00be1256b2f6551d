"""Whole states of a training, one directory an epoch, from which it goes on bit for bit."""

import json
import re
import time
from pathlib import Path

import keras

from vae_tf.errors import RunError
from vae_tf.runs.files import sha256, write_csv, write_directory, write_json

_NAME = re.compile(r"epoch-(\d{5,})")
_WEIGHTS, _STATE = "state.weights.h5", "state.json"


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
            model.save_weights(aside / _WEIGHTS)
            state = {
                "epochs": epoch,
                "finished": finished,
                "sha256": sha256(aside / _WEIGHTS),
                "history": history,
            }
            write_json(aside / _STATE, state)

        self.directory.mkdir(parents=True, exist_ok=True)
        write_directory(self._path(epoch), write)
        write_csv(self.directory.parent / "metrics.csv", _rows(history))
        for old in set(self.epochs()) - {epoch, best_epoch(history, self.warmup_epochs)}:
            for file in self._path(old).iterdir():
                file.unlink()
            self._path(old).rmdir()

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
        if not weights.exists() or sha256(weights) != self._state(epoch)["sha256"]:
            raise self._damaged(epoch, "weights that are missing or not those written")
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        model.load_weights(weights)

    def _state(self, epoch: int) -> dict:
        try:
            state = json.loads((self._path(epoch) / _STATE).read_text("utf-8"))
            return {key: state[key] for key in ("epochs", "finished", "sha256", "history")}
        except (OSError, ValueError, KeyError, TypeError):
            raise self._damaged(epoch, f"an unreadable {_STATE}") from None

    def _damaged(self, epoch: int, what: str) -> RunError:
        path = self._path(epoch)
        earlier = [e for e in self.epochs() if e < epoch]
        after = f"resume after epoch {earlier[-1]}" if earlier else "start again"
        fix = f"Delete that directory to {after}."
        return RunError(f"The checkpoint {path} must be whole", what, fix)

    def _path(self, epoch: int) -> Path:
        return self.directory / f"epoch-{epoch:05d}"


class CheckpointEveryEpoch(keras.callbacks.Callback):
    """Saves after each epoch. Goes after early stopping, to know whether it was the last."""

    def __init__(self, checkpoints: Checkpoints, history: list[dict], epochs: int):
        super().__init__()
        self.checkpoints, self.history, self.epochs = checkpoints, list(history), epochs
        self.began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Saves the state after this epoch, validation and clock included."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({**values, "seconds": time.perf_counter() - self.began})
        finished = self.model.stop_training or epoch + 1 == self.epochs
        self.checkpoints.save(self.model, self.history, finished)


def _rows(history: list[dict]) -> list[dict]:
    return [{"epoch": i + 1, **logs} for i, logs in enumerate(history)]
