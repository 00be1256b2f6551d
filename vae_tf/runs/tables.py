"""Runs of tables: their likelihood, kinds, units, pictures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_tf import plots
from vae_tf.data.split import Split
from vae_tf.data.tables.kinds import parsed_kinds
from vae_tf.data.tables.table import Table
from vae_tf.data.tables.table_data import TableData, load_table
from vae_tf.distributions import Likelihood
from vae_tf.evaluation import LogLikelihood
from vae_tf.models import VAE
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.kind import Kind
from vae_tf.runs.suited import LEARNING_RATE

SHOWN_ROWS = 2000  # in a picture
MOST_LOOKED_AT = 100_000  # rows
LEAST_LATENTS, MOST_LATENTS = 2, 32
HIDDEN, MANY_ROWS = (128, 128), 1000


def latent_dim_of(columns: int) -> int:
    """Returns the number of latent variables that suits a table of so many columns: as many.

    With half as many a training may miss some of what columns share; what is too many costs
    nothing, as the KL term empties it.
    """
    return max(LEAST_LATENTS, min(columns, MOST_LATENTS))


class Rows(Kind):
    """A run's table.

    Args:
        data: its rows in their splits.
    """

    # Columns that all but follow from others are told apart late
    least_steps = 20_000

    def __init__(self, data: TableData):
        self.data = data

    @classmethod
    def load(cls, config: TrainConfig) -> "Rows":
        """Returns the rows of the settings' file."""
        path, kinds = config.dataset.partition(":")[2], parsed_kinds(config.kinds)
        return cls(load_table(path, kinds=kinds, seed=config.seed))

    def likelihood(self, config: TrainConfig) -> Likelihood:
        """Returns the likelihood of the columns' kinds."""
        return self.data.table.likelihood()

    def chosen(self, config: TrainConfig) -> dict[str, tuple[Any, str]]:
        """Returns networks for columns; the recipe `table` has all other settings."""
        columns = len(self.data.table.modelled)
        found: dict[str, tuple[Any, str]] = {"network": ("mlp", "for a table")}
        found["learning_rate"] = (LEARNING_RATE, "for a table")
        rows = self.data.train.num_examples
        hidden = HIDDEN if rows >= MANY_ROWS else HIDDEN[:1]
        found["hidden"] = (hidden, f"for {rows:,} training {self.data.unit}s")
        found["latent_dim"] = (latent_dim_of(columns), f"for {columns} columns")
        return {name: value for name, value in found.items() if getattr(config, name) == "auto"}

    def encoder_options(self) -> Mapping[str, Any]:
        """Returns what the encoder makes of columns, and whether it sees which are missing."""
        return {"features": self.data.table.features, "mask": self.data.table.has_missing}

    def keep(self, run: RunDirectory) -> None:
        """Writes table.json, which says what the model's numbers mean."""
        self.data.table.save(run.table)

    def notes(self) -> list[str]:
        """Returns which kind each column has, and what was left out, in a line."""
        data = self.data
        columns = ", ".join(f"{c.name} {c.kind}" for c in data.table.columns)
        notes = (
            [f"{data.empty_rows} rows without any value are left out"] if data.empty_rows else []
        )
        unseen = sum(sum(counts.values()) for counts in data.unseen.values())
        if unseen:
            notes.append(f"{unseen} values that the training rows did not have count as missing")
        return ["; ".join([f"columns: {columns}", *notes]), *_remarks(data)]

    def in_users_units(self, report: dict, likelihood: LogLikelihood | None) -> dict:
        """Returns the report with densities of values in the user's units.

        log p(v) = log p(x) + log |dx/dv|, see `Table.log_jacobian`.

        Args:
            report: in the model's units.
            likelihood: of the test rows, None if it was not asked for.
        """
        data = self.data
        validation, test = (_log_jacobian(data.table, s) for s in (data.validation, data.test))
        shift = float(np.mean(test))
        own = dict(report["test"], elbo=report["test"]["elbo"] + shift)
        own["nll"] = report["test"]["nll"] - shift
        if likelihood is not None:
            moved = likelihood.per_example + test
            own["importance_weighted_nll"] = -float(np.mean(moved))
            if len(moved) > 1:
                stderr = float(np.std(moved, ddof=1) / np.sqrt(len(moved)))
                own["importance_weighted_nll_stderr"] = stderr
        best = report["validation"]["elbo"] + float(np.mean(validation))
        told = (
            "densities of values in the units of the file; metrics.csv has those of scaled values"
        )
        return {
            **report,
            "validation": {"elbo": best},
            "test": own,
            "units": {"densities": told, "log_jacobian": shift},
        }

    def figures(self, vae: VAE) -> dict[str, Any]:
        """Returns marginals, and pairs of columns, of training rows beside samples."""
        data, split = self.data, self.data.train
        chosen = np.random.default_rng(0).permutation(split.num_examples)[:SHOWN_ROWS]
        part = split.part(np.sort(chosen))
        rows = data.table.decode(part.array(), part.mask())
        drawn = data.table.sample(vae, max(500, len(rows)), seed=0)
        kinds = {column.name: column.kind for column in data.table.modelled}
        names = list(kinds)
        values, samples = ({n: frame[n].to_numpy() for n in names} for frame in (rows, drawn))
        figures = {"marginals": plots.marginals(values, samples, kinds)}
        if len(names) > 1:
            figures["pairs"] = plots.pairs(values, samples, kinds)
        return figures


def _remarks(data: TableData) -> list[str]:
    """Returns what is odd about the rows, as far as they are few enough to be looked at."""
    splits = (data.train, data.validation, data.test)
    count = sum(split.num_examples for split in splits)
    if count > MOST_LOOKED_AT:
        return []
    x, found = np.concatenate([split.array() for split in splits]), []
    for place, column in enumerate(data.table.modelled):
        if column.whole and column.kind != "count" and not column.missing:
            values = column.decode(x[:, place], np.ones(count, bool), range(count)).to_numpy()
            if len(set(values)) == count == max(values) - min(values) + 1:
                found.append(
                    f"column {column.name!r} numbers the rows, and tells nothing else: "
                    f"--kinds {column.name}=ignore leaves it out"
                )
    if copies := count - len(np.unique(x, axis=0)):
        found.append(
            f"{copies} of {count} rows are copies of others, so some test rows may be known from "
            "training"
        )
    return found


def _log_jacobian(table: Table, split: Split) -> np.ndarray:
    """Returns what turns log p of scaled rows into that of the user's units, [N]."""
    return table.log_jacobian(split.array(), split.mask())
