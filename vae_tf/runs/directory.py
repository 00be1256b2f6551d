"""What a run leaves behind, and whose run a directory holds."""

import importlib.metadata
import json
import platform
from pathlib import Path

from vae_tf.errors import RunError
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.files import remove_leftovers, write_json
from vae_tf.version import __version__

PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "tensorflow-datasets", "numpy")


class RunDirectory:
    """The paths of a run.

    config.json, metrics.csv, model.keras, report.json, profile.json if one was asked for,
    table.json if the data are a table (`Table.load` reads it),
    checkpoints/, pictures/, logs/ (TensorBoard).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.csv"
        self.model = self.path / "model.keras"
        self.report = self.path / "report.json"
        self.table = self.path / "table.json"
        self.profile = self.path / "profile.json"
        self.likelihood = self.path / "likelihood.npz"  # until the report is written
        self.checkpoints = self.path / "checkpoints"
        self.pictures = self.path / "pictures"
        self.logs = self.path / "logs"

    def open(self, config: TrainConfig, data: dict) -> None:
        """Claims the directory for a new run, or makes sure that a resumed one is the same.

        Args:
            config: the settings asked for.
            data: `ImageData.describe()` of the data found.

        Raises:
            RunError: a run is there already, or one with other settings or other data.
        """
        wanted = _plain({"config": config.identity(), "data": data})
        if self.config.exists():
            if not config.resume:
                fix = "Pass --resume to go on with it, or another --run-dir."
                raise RunError("The run directory must be new", f"a run in {self.path}", fix)
            self._refuse_another(self.read(), wanted)
            remove_leftovers(self.path)
            return
        if self.path.is_dir():
            for aside in self.path.glob(".aside-*-config.json"):
                aside.unlink()  # of a run killed while it wrote its configuration
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            fix = "Pass another --run-dir."
            raise RunError("The run directory must be new", f"{self.path}, which is in use", fix)
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.config, {**wanted, "versions": versions()})

    def read(self) -> dict:
        """Returns config.json: `config`, `data` and `versions`.

        Raises:
            RunError: no run here, or its configuration is unreadable.
        """
        try:
            saved = json.loads(self.config.read_text("utf-8"))
            return {key: dict(saved[key]) for key in ("config", "data", "versions")}
        except FileNotFoundError:
            fix = "Pass a directory that train.py made."
            raise RunError("A run directory must hold config.json", str(self.path), fix) from None
        except (OSError, ValueError, KeyError, TypeError):
            fix = "Restore the file, or start the run again."
            raise RunError("config.json must be readable", str(self.config), fix) from None

    def read_report(self) -> dict | None:
        """Returns report.json, the last thing a run writes; None if it has not come to that."""
        try:
            return json.loads(self.report.read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def _refuse_another(self, saved: dict, wanted: dict) -> None:
        # Runs of earlier versions did what a flag that they had not does by default
        saved["config"] = {**_plain(TrainConfig().identity()), **saved["config"]}
        for part, flag in (("config", "--{}"), ("data", "data: {}")):
            for name in sorted(set(saved[part]) | set(wanted[part])):
                before, now = saved[part].get(name), wanted[part].get(name)
                if before != now:
                    what = flag.format(name.replace("_", "-"))
                    raise RunError(
                        f"A resumed run must be the one begun in {self.path}",
                        f"{what} {now!r} instead of {before!r}",
                        "Use the same settings and data, or another --run-dir.",
                    )


def _plain(values: dict) -> dict:
    """Returns the values as JSON gives them back."""
    return json.loads(json.dumps(values))


def versions() -> dict[str, str]:
    """Returns the versions of what computes a run."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"vae_tf": __version__, "python": platform.python_version(), **found}
