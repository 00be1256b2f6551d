"""What a run leaves behind, and whose run a directory holds."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_tf.environment import versions
from vae_tf.errors import RunError
from vae_tf.runs.config import FURTHER, TrainConfig
from vae_tf.runs.files import remove, remove_leftovers, sha256, write_json

MODEL_SHA256 = "model_sha256"  # in report.json
NAMED_KINDS = ("table", "text", "series")  # whose runs are called after their kind as well


class RunDirectory:
    """The paths of a run.

    config.json, metrics.csv, model.keras, report.json, profile.json if one was asked for,
    table.json if the data are a table (`Table.load` reads it), vocabulary.json and samples.txt if
    they are texts (`Texts.load`), series.json if they are series (`Series.load`),
    checkpoints/, pictures/, frames/ of an animation, logs/ (TensorBoard).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.csv"
        self.model = self.path / "model.keras"
        self.report = self.path / "report.json"
        self.table = self.path / "table.json"
        self.vocabulary = self.path / "vocabulary.json"
        self.samples = self.path / "samples.txt"
        self.series = self.path / "series.json"
        self.profile = self.path / "profile.json"
        self.likelihood = self.path / "likelihood.npz"  # until the report is written
        self.checkpoints = self.path / "checkpoints"
        self.pictures = self.path / "pictures"
        self.frames = self.path / "frames"
        self.logs = self.path / "logs"

    @property
    def codes(self) -> Path:
        """The run of the first stage, of a model of codes; it is a run of its own."""
        return self.path / "codes"

    @property
    def own(self) -> tuple[Path, ...]:
        """All that a run writes; config.json, by which a run is known, comes last."""
        others = (path for path in vars(self).values() if path not in (self.path, self.config))
        return (*others, self.config)

    def refuse(self, config: TrainConfig) -> None:
        """Makes sure that `config` may be carried out here; nothing is touched.

        Raises:
            RunError: there is something else, or a run of which `config` does not say whether it
                is to be resumed or overwritten.
        """
        if os.path.lexists(self.config):
            if config.resume:
                self.refuse_links()
            if not (config.resume or config.overwrite):
                raise RunError(
                    f"The directory of a new run, {self.path}, must hold no run",
                    self._stage(),
                    "Pass --resume to go on with it, --overwrite to delete it and start again, or "
                    "--run-dir DIR to keep both.",
                )
            if config.overwrite and not self.checkpoints.is_dir():
                self.read()  # else a config.json of anybody's would do
            return
        others = (path for path in self.path.iterdir() if path != self.codes)
        foreign = [path.name for path in others if not path.name.startswith(".")]
        if foreign:
            fix = "Pass another --run-dir."
            received = f"{self.path}, which is in use: it holds {sorted(foreign)[0]} and no run"
            raise RunError("The run directory must be new", received, fix)

    def open(self, config: TrainConfig, data: dict, chosen: str = "") -> TrainConfig | None:
        """Claims the directory for a new run, or makes sure that a resumed one is the same.

        Args:
            config: the settings asked for.
            data: `ImageData.describe()` of the data found.
            chosen: which of the settings the data decided, and why.

        Returns:
            The settings that a resumed run had so far; None for a new run.

        Raises:
            RunError: a run is there already, or one with other settings or other data.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.refuse(config)
        wanted = _plain({"config": config.identity(), "data": data})
        remove_leftovers(self.path)
        if config.overwrite:
            for path in self.own:
                remove(path)
        if self.config.exists():
            saved = self.read()
            self._refuse_another(saved, wanted)
            return config_of(saved)
        why = {"chosen": chosen} if chosen else {}
        write_json(self.config, {**wanted, **why, "versions": versions()})
        return None

    def go_further(self, config: TrainConfig) -> None:
        """Notes how far a resumed run is to go now."""
        saved = self.read()
        saved["config"] |= {name: getattr(config, name) for name in FURTHER}
        write_json(self.config, saved)

    def read(self) -> dict:
        """Returns config.json: `config`, `data` and `versions`.

        Raises:
            RunError: no run here, or its configuration is unreadable.
        """
        try:
            saved = json.loads(self.config.read_text("utf-8"))
            parts = {key: dict(saved[key]) for key in ("config", "data", "versions")}
            return {**saved, **parts}
        except FileNotFoundError:
            fix = "Pass a directory that train.py made."
            raise RunError("A run directory must hold config.json", str(self.path), fix) from None
        except (OSError, ValueError, KeyError, TypeError):
            fix = "Restore the file, or start the run again with --overwrite."
            raise RunError("config.json must be readable", str(self.config), fix) from None

    def read_report(self) -> dict | None:
        """Returns report.json, the last thing a run writes; None if it has not come to that."""
        try:
            report = json.loads(self.report.read_text("utf-8"))
            return report if isinstance(report, dict) else None
        except (OSError, ValueError):
            return None

    def model_is_whole(self) -> bool:
        """Returns whether model.keras is the file of which report.json tells."""
        if not self.model.is_file():
            return False
        digest = (self.read_report() or {}).get(MODEL_SHA256)
        if digest is not None:
            return sha256(self.model) == digest
        try:  # before the report is written, and in runs of version 0.1.0
            with zipfile.ZipFile(self.model) as file:
                return file.testzip() is None
        except Exception:  # damaged files raise zlib.error, NotImplementedError and more
            return False

    def refuse_links(self) -> None:
        """Refuses links among the run's files: what they lead to would be read or overwritten.

        Raises:
            RunError: naming the first.
        """
        for path in self.own:
            below = [Path(f, n) for f, *names in os.walk(path) for group in names for n in group]
            for found in (path, *below):
                if found.is_symlink():
                    fix = "Replace the link by what it leads to, or pass another --run-dir."
                    expected = "The files of a run must lie in its directory"
                    raise RunError(expected, f"the link {found}", fix)

    def _stage(self) -> str:
        """Returns in words how far the run has come."""
        names = self.checkpoints.glob("epoch-*")
        epochs = [int(p.name[6:]) for p in names if p.name[6:].isdecimal()]
        if not epochs:
            return "a run without a finished epoch"
        stage = "a finished run" if self.read_report() else "an unfinished run"
        return f"{stage} of {max(epochs)} epochs"

    def _refuse_another(self, saved: dict, wanted: dict) -> None:
        """Refuses to resume with settings or data other than those of the run."""
        # Runs of earlier versions did what a flag that they had not does by default
        own = {**saved["config"], **_plain(config_of(saved).identity())}
        before = {**saved, "config": own}
        for part, flag in (("config", "--{}"), ("data", "data: {}")):
            for name in sorted(set(before[part]) | set(wanted[part])):
                old, now = before[part].get(name), wanted[part].get(name)
                if old == now or (part == "config" and _is_further(name, old, now)):
                    continue
                fix = "Use the same settings and data, or another --run-dir."
                if name in FURTHER:
                    least = old if old == 0 else f"{old} or more"  # patience 0 has no end
                    fix = f"Pass --{name} {least}, or another --run-dir."
                what = flag.format(name.replace("_", "-"))
                raise RunError(
                    f"A resumed run must be the one begun in {self.path}",
                    f"{what} {now!r} instead of {old!r}",
                    fix,
                )


def run_path(config: TrainConfig) -> Path:
    """Returns where the run is kept: `run_dir`, or runs/<the data's name>.

    The kind follows the name where the data are no images, as in runs/wine-table: images and a
    table of one name have a directory each.

    Raises:
        RunError: the run to be resumed lies where earlier versions kept it, without its kind.
    """
    if config.run_dir:
        return Path(config.run_dir)
    scheme, _, source = config.dataset.rpartition(":")
    path = Path(source)
    while set("*?[") & set(path.name):  # a pattern, such as shards/*.parquet
        path = path.parent
    plain = Path("runs") / (path.stem or "data")
    if scheme not in NAMED_KINDS:
        return plain
    own = plain.with_name(f"{plain.name}-{scheme}")
    if config.resume and not (own / "config.json").exists():
        _refuse_unnamed(plain, own, config.dataset)
    return own


def _refuse_unnamed(earlier: Path, own: Path, dataset: str) -> None:
    """Refuses to begin anew beside a run of the same data that version 0.2 kept in `earlier`."""
    try:
        found = RunDirectory(earlier).read()["config"].get("dataset")
    except RunError:
        return
    if found == dataset:
        raise RunError(
            f"A run of {dataset} is resumed in {own}",
            f"no run there, but one in {earlier}, where earlier versions kept it",
            f"Pass --run-dir {earlier}.",
        )


def config_of(saved: Mapping[str, Any]) -> TrainConfig:
    """Returns the settings in config.json, as `RunDirectory.read` gives them."""
    known = TrainConfig.__dataclass_fields__
    values: dict[str, Any] = {k: v for k, v in saved["config"].items() if k in known}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return TrainConfig(**values)


def _is_further(name: str, old, now) -> bool:
    """Returns whether the run goes on longer with the new value; patience 0 has no end."""
    if name not in FURTHER or not isinstance(old, int):
        return False
    return now > old or (name == "patience" and now == 0)


def _plain(values: dict) -> dict:
    """Returns the values as JSON gives them back."""
    return json.loads(json.dumps(values))
