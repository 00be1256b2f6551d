"""`Table`: what was learned of a DataFrame, which turns rows into numbers and back."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_tf.data.batch import Batch
from vae_tf.data.tables.answers import Answers
from vae_tf.data.tables.column import Column
from vae_tf.data.tables.kinds import check_kinds, column_of
from vae_tf.data.tables.likelihood import likelihood_of
from vae_tf.data.tables.pandas_library import pandas
from vae_tf.data.tables.summary import Summary, check_column_names, check_rows
from vae_tf.errors import ConfigError, DataError
from vae_tf.files import write_aside

if TYPE_CHECKING:  # TensorFlow is imported when a likelihood is asked for
    from vae_tf.distributions.likelihoods import Mixed

FORMAT = 1  # of the JSON file


class Table(Answers):
    """The columns of a DataFrame, with kinds, units and words learned from training rows.

    `Table.from_frame(train)` learns from the training rows. `encode` then turns any rows into
    numbers x [N, D], on which a model is trained, and `decode` turns numbers back. x has a number
    for each modelled column, in the order of the DataFrame:

    ========  ===============  ===========================  =================
    kind      values           x                            p(x|z)
    ========  ===============  ===========================  =================
    real      finite numbers   (v - mean) / std             normal
    positive  numbers above 0  the same of log v            log-normal
    binary    two values       0 or 1                       Bernoulli
    category  some values      0, 1, ... K - 1              categorical
    count     0, 1, 2, ...     v                            negative binomial
    constant  one, or none     none; `decode` puts it back  none
    ignore    anything         none                         none
    ========  ===============  ===========================  =================

    Args:
        columns: all columns, in their order.

    Attributes:
        columns: all columns, in their order.
        modelled: the columns that have a number in x.

    Raises:
        DataError: no column varies among the training rows.

    Example:
        >>> import pandas as pd
        >>> people = pd.DataFrame({"age": [20.5, 30.5, 40.5], "smokes": ["yes", "no", "no"]})
        >>> table = vae_tf.data.Table.from_frame(people)
        >>> table.encode(people).x.round(2)
        array([[-1.22,  1.  ],
               [ 0.  ,  0.  ],
               [ 1.22,  0.  ]], dtype=float32)
        >>> table.decode([[0.0, 1.0]]).to_dict("records")
        [{'age': 30.5, 'smokes': 'yes'}]
    """

    def __init__(self, columns: Sequence[Column]):
        self.columns = tuple(columns)
        self.modelled = tuple(column for column in self.columns if column.modelled)
        if not self.modelled:
            fix = "Pass more rows, of which at least two differ in a column."
            expected = "A table must have a column that varies among its training rows"
            raise DataError(expected, "none", fix)

    @classmethod
    def from_frame(cls, df, kinds: Mapping[Any, str] | None = None) -> "Table":
        """Returns the table of a DataFrame's columns.

        Args:
            df: the training rows alone, since nothing may be learned from others beforehand.
            kinds: kinds of some columns by name, in place of those inferred.

        Raises:
            ConfigError: `kinds` names a column or a kind that does not exist.
            DataError: there are no rows, two columns have one name, or a column holds neither
                numbers nor words.
        """
        return cls.from_frames([df], kinds)

    @classmethod
    def from_frames(cls, frames: Iterable, kinds: Mapping[Any, str] | None = None) -> "Table":
        """Returns the table of the rows of all frames, of which it holds one at a time."""
        pd, summaries = pandas(), None
        for frame in frames:
            if not isinstance(frame, pd.DataFrame):
                fix = "Pass a DataFrame: pd.DataFrame(values, columns=names)."
                raise DataError("A table is learned of a DataFrame", type(frame).__name__, fix)
            if summaries is None:
                check_column_names(frame.columns)
                kinds = check_kinds(kinds, frame.columns)
                summaries = {name: Summary(name) for name in frame.columns}
            for name, summary in summaries.items():
                if kinds and kinds.get(name) == "ignore":
                    continue
                summary.add(frame[name])
        if not summaries or not (len(frame) or any(s.rows for s in summaries.values())):
            raise DataError("A table must have rows and columns", "none", "Check the file.")
        return cls([column_of(s, (kinds or {}).get(name)) for name, s in summaries.items()])

    @property
    def shape(self) -> tuple[int]:
        """Shape of a row of x, (D,)."""
        return (len(self.modelled),)

    @property
    def names(self) -> list:
        """The names of the columns that x has a number for, in the order of x."""
        return [column.name for column in self.modelled]

    @property
    def has_missing(self) -> bool:
        """Whether values were missing in the training rows."""
        return any(column.missing for column in self.modelled)

    @property
    def features(self) -> list[dict]:
        """The forms in which the numbers of x enter a network: `mlp_encoder(..., features=...)`."""
        return [column.feature() for column in self.modelled]

    def encode(self, df, unknown: str = "error") -> Batch:
        """Returns the rows as numbers x [N, D] float32, and their mask [N, D] float32.

        Columns are found by their names, in any order; columns that the table does not know are
        ignored. Missing values, of any of pandas' kinds, are 0 in x and in the mask. The mask is
        None if nothing is missing, here or in the training rows. A row without any value is
        allowed.

        Args:
            df: rows with the columns of the table.
            unknown: "error" refuses values that a column cannot hold, such as a category that is
                not in the training rows; "missing" treats them as missing.

        Raises:
            DataError: a column is missing, occurs twice, or has a value that it cannot hold.
        """
        if unknown not in ("error", "missing"):
            fix = "Pass unknown='missing' to treat such values as missing."
            raise ConfigError("`unknown` must be error or missing", repr(unknown), fix)
        check_rows(df, self.names)
        x: np.ndarray = np.zeros((len(df), *self.shape), np.float32)
        mask: np.ndarray = np.ones(x.shape, np.float32)
        for place, column in enumerate(self.modelled):
            x[:, place], mask[:, place] = column.encode(df[column.name], unknown)
        if unknown == "error":
            for column in self.columns:
                if column.kind == "constant" and column.name in df.columns:
                    column.encode(df[column.name], unknown)
        return Batch(x, mask if self.has_missing or not mask.all() else None)

    def decode(self, x, mask=None, index=None):
        """Returns a DataFrame in the user's units and words, made of numbers x [N, D].

        Binary values and categories are the nearest ones, counts and other whole numbers are
        rounded. Constant columns are put back.

        Args:
            x: numbers from `encode`, `vae.sample` or `vae.reconstruct`.
            mask: [N, D], 0 where a value shall be missing.
            index: index of the rows; 0, 1, ... if None.

        Raises:
            DataError: the rows have another length.
        """
        x = np.asarray(x, "float64")
        if x.shape[1:] != self.shape:
            fix = "Pass rows of the model that belongs to this table."
            raise DataError(f"Rows must be [N, {len(self.modelled)}]", f"shape {x.shape}", fix)
        pd = pandas()
        observed = np.ones(x.shape, bool) if mask is None else np.asarray(mask, bool)
        index = pd.RangeIndex(len(x)) if index is None else index
        places = itertools.count()
        series = []
        for column in self.columns:
            if column.kind == "constant":
                series.append(column.restore(len(x), index))
            elif column.modelled:
                j = next(places)
                series.append(column.decode(x[:, j], observed[:, j], index))
        frame = pd.concat(series, axis=1)
        frame.columns = pd.Index([s.name for s in series])
        return frame

    def log_jacobian(self, x, mask=None) -> np.ndarray:
        """Returns log |dx/dv| of each row, summed over its observed values v, [N], in nats.

        A density depends on the unit. A model gives log p(x) of the numbers x; in the user's units
        it is log p(v) = log p(x) + log |dx/dv|. Columns that are neither real nor positive add
        nothing, since they have probabilities.

        Args:
            x: rows [N, D] from `encode`.
            mask: their mask [N, D], or None.
        """
        x = np.asarray(x, "float64")
        slopes: np.ndarray = np.stack(
            [c.log_slope(x[:, j]) for j, c in enumerate(self.modelled)], 1
        )
        return np.sum(slopes if mask is None else np.where(mask, slopes, 0.0), 1)

    def likelihood(self) -> "Mixed":
        """Returns p(x|z) for the columns, a `likelihoods.Mixed`."""
        return likelihood_of(self.modelled)

    def summary(self):
        """Returns a summary of what was learned, a DataFrame with a row for each column."""
        rows = {
            column.name: {
                "kind": column.kind,
                "missing": column.missing,
                "values": column.learned(),
            }
            for column in self.columns
        }
        frame = pandas().DataFrame.from_dict(rows, orient="index")
        return frame.rename_axis("column")

    def __repr__(self) -> str:
        with pandas().option_context("display.max_colwidth", 60, "display.width", 100):
            return f"Table of {len(self.columns)} columns\n{self.summary().to_string()}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self.columns == other.columns

    __hash__ = None  # type: ignore[assignment]

    def get_config(self) -> dict:
        """Returns all that was learned, fit for JSON."""
        columns = [{**vars(column), "values": list(column.values)} for column in self.columns]
        return {"format": FORMAT, "columns": columns}

    @classmethod
    def from_config(cls, config: Mapping) -> "Table":
        """Returns the table that `get_config` described.

        Raises:
            DataError: it describes none.
        """
        try:
            if config["format"] != FORMAT:
                fix = "Read it with the version of vae_tf that wrote it."
                raise DataError(f"A table must be of format {FORMAT}", config["format"], fix)
            columns = [Column(**{**c, "values": tuple(c["values"])}) for c in config["columns"]]
        except (KeyError, TypeError) as error:
            fix = "Pass what `table.get_config()` returned."
            received = f"{type(error).__name__} {error}"
            raise DataError("A table's configuration must be whole", received, fix) from None
        return cls(columns)

    def save(self, path: str | Path) -> None:
        """Writes all that was learned to a JSON file."""
        text = json.dumps(self.get_config(), indent=2, allow_nan=False) + "\n"
        write_aside(Path(path), lambda aside: aside.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> "Table":
        """Returns the table of a file that `save` wrote, such as table.json of a run directory.

        Raises:
            DataError: there is no such file, or it is of another kind.
        """
        try:
            config = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError) as error:
            fix = "Pass table.json of a run directory, or what `table.save` wrote."
            raise DataError("A saved table must be readable", f"{path}: {error}", fix) from None
        return cls.from_config(config)
