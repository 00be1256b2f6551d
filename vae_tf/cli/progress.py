"""Progress on the terminal: a bar with rate and time left, or plain lines in a log."""

import time

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vae_tf.cli.tables import show_profile
from vae_tf.profiling import TrainingProfile
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.training import Watcher


class ConsoleWatcher(Watcher):
    """Prints stages, a bar for training and one for the likelihood."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(stderr=True)
        self.bar: Progress | None = None

    def stage(self, text: str) -> None:
        """Prints the stage that begins."""
        self._close()
        self.console.print(f"[bold]·[/bold] {text}", highlight=False)

    def note(self, text: str) -> None:
        """Prints a line, however long."""
        self._close()
        self.console.print(f"  {text}", highlight=False, markup=False, soft_wrap=True)

    def callbacks(self, config: TrainConfig, num_examples: int, unit: str) -> list:
        """Returns the callback that shows the training."""
        return [TrainingProgress(self.console, config.number("epochs"), num_examples, unit)]

    def progress(self, text: str, total: int):
        """Returns a function that moves a bar over `total` examples."""
        if not self.console.is_terminal:
            return None
        bar = self.bar = _bar(self.console)
        task = bar.add_task(text, total=total, rate="", note="")
        bar.start()

        def update(done: int) -> None:
            bar.update(task, completed=done)
            if done >= total:
                self._close()

        return update

    def profile(self, profile: TrainingProfile, run: RunDirectory) -> None:
        """Prints the table."""
        show_profile(profile, run)

    def _close(self) -> None:
        """Takes the bar off the screen, if there is one."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


class TrainingProgress(keras.callbacks.Callback):
    """One bar over all epochs on a terminal; a line for every twentieth part elsewhere."""

    def __init__(self, console: Console, epochs: int, num_examples: int, unit: str = "image"):
        super().__init__()
        self.console, self.epochs, self.num_examples = console, epochs, num_examples
        self.unit = unit
        self.bar = _bar(console) if console.is_terminal else None
        self.task: TaskID | None = None
        self.began, self.epoch = 0.0, 0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock, and the bar where this run begins."""
        self.began, self.epoch = time.perf_counter(), epoch
        if self.bar is not None and self.task is None:
            total = self.epochs * self.params["steps"]
            done = epoch * self.params["steps"]
            self.task = self.bar.add_task("training", total=total, completed=done, rate="", note="")
            self.bar.start()

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        if self.bar is not None and self.task is not None:
            done = self.epoch * self.params["steps"] + batch + 1  # a call may be many batches
            self.bar.update(self.task, completed=done)

    def on_epoch_end(self, epoch, logs=None):
        """Shows rate and bound of the epoch."""
        each = self.num_examples / (time.perf_counter() - self.began)
        rate = f"{each:,.0f} {self.unit}s/s"
        bound = logs.get("val_elbo", logs.get("elbo", float("nan")))
        note = f"epoch {epoch + 1}/{self.epochs}  validation ELBO {bound:.2f}"
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, rate=rate, note=note)
        elif (epoch + 1) % max(1, self.epochs // 20) == 0 or epoch == 0:
            self.console.print(f"  {note}  {rate}", highlight=False)

    def on_train_end(self, logs=None):
        """Leaves the bar as it is."""
        if self.bar is not None:
            self.bar.stop()


def _bar(console: Console) -> Progress:
    """Returns a bar with the percentage, the rate, the time that is left and a note."""
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )
