"""What a run of a table says of it: kinds, units, pictures."""

import numpy as np

from vae_tf import plots
from vae_tf.data.split import Split
from vae_tf.data.tables.table import Table
from vae_tf.data.tables.table_data import TableData
from vae_tf.evaluation import LogLikelihood
from vae_tf.models import VAE

SHOWN_ROWS = 2000  # in a picture


def sentence_of_kinds(data: TableData) -> str:
    """Returns which kind each column has, and what was left out, in a line."""
    columns = ", ".join(f"{c.name} {c.kind}" for c in data.table.columns)
    notes = [f"{data.empty_rows} rows without any value are left out"] if data.empty_rows else []
    unseen = sum(sum(counts.values()) for counts in data.unseen.values())
    if unseen:
        notes.append(f"{unseen} values that the training rows did not have count as missing")
    return "; ".join([f"columns: {columns}", *notes])


def in_users_units(report: dict, data: TableData, likelihood: LogLikelihood | None) -> dict:
    """Returns the report with densities of values in the user's units.

    log p(v) = log p(x) + log |dx/dv|, see `Table.log_jacobian`.

    Args:
        report: in the model's units.
        data: of the run.
        likelihood: of the test rows, None if it was not asked for.
    """
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
    told = "densities of values in the units of the file; metrics.csv has those of scaled values"
    return {
        **report,
        "validation": {"elbo": best},
        "test": own,
        "units": {"densities": told, "log_jacobian": shift},
    }


def figures_of_table(vae: VAE, data: TableData) -> dict:
    """Returns marginals, and pairs of columns, of training rows beside samples."""
    split = data.train
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


def _log_jacobian(table: Table, split: Split) -> np.ndarray:
    return table.log_jacobian(split.array(), split.mask())
