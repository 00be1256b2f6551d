"""Training for the same processor time, which a busy machine does not falsify."""

import json
import math
import time

import keras

WARMUP, KEPT_EVERY = 0.03, 50  # share of the time, and seconds


class Budget(keras.callbacks.Callback):
    """Ends training after so much processor time, and keeps the model on the way.

    The step size rises for a short while, then falls as a cosine of the time used.

    Args:
        path: of the model; a JSON file beside it says how long it was trained.
        seconds: of processor time.
        learning_rate: the largest step size.
    """

    def __init__(self, path, seconds: float, learning_rate: float):
        super().__init__()
        self.seconds, self.learning_rate = seconds, learning_rate
        self.path, self.notes = path, path.with_suffix(".json")
        done = json.loads(self.notes.read_text()) if self.notes.exists() else {}
        self.used, self.kept = done.get("seconds", 0.0), done.get("seconds", 0.0)
        self.first = True  # of this process: it traces the graphs, and is not counted

    def on_train_begin(self, logs=None):
        """Starts the clock."""
        self.since = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        """Counts the time, and sets the step size by it."""
        now = time.process_time()
        self.used += 0.0 if self.first else now - self.since
        self.first = False
        share = self.used / self.seconds
        fall = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        self.model.optimizer.learning_rate = self.learning_rate * min(share / WARMUP + 0.01, fall)
        self.model.stop_training = share >= 1
        if share >= 1 or self.used - self.kept >= KEPT_EVERY:
            self.keep(logs or {})
        self.since = time.process_time()

    def keep(self, logs: dict) -> None:
        """Writes the model, and how long it was trained."""
        self.kept = self.used
        self.model.save(self.path)
        done = {"seconds": self.used, "steps": int(self.model.optimizer.iterations.numpy())}
        self.notes.write_text(json.dumps({**done, "training": logs}) + "\n")
        print(self.path.stem, round(self.used), logs, flush=True)
