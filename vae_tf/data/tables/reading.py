"""CSV and Parquet files -> DataFrames, a chunk at a time."""

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_tf.data.tables.pandas_library import pandas, parquet
from vae_tf.data.tables.summary import check_column_names
from vae_tf.errors import DataError

CHUNK_ROWS = 50_000
KEPT_BYTES = 32 * 2**20  # a smaller file is parsed once, and its rows are kept
SEPARATORS = ",;\t|"
_PICKLES = (".pkl", ".pickle", ".p", ".joblib", ".dill")


@dataclass(frozen=True)
class TableFile:
    """A file whose rows can be gone through again and again.

    Attributes:
        description: what was read, in words.
        num_rows: how many rows there are.
        frames: returns an iterator over the rows, a DataFrame for each chunk.
    """

    description: str
    num_rows: int
    frames: Callable[[], Iterator[Any]]


def open_table(path: str) -> TableFile:
    """Returns the table of a .csv, .tsv or .parquet file, looked at from end to end.

    Text is UTF-8 with the columns' names in the first line, separated by commas, semicolons, tabs
    or bars. A first column without a name, as `df.to_csv` writes the index, is left out. What
    pandas reads as missing is missing: nothing, NA, NaN, null, None and their likes.

    Raises:
        DataError: no such file, another kind of file, one without rows, a broken line.
    """
    path = os.path.expanduser(path)
    if not Path(path).is_file():
        raise DataError("`table:FILE` must name a file", repr(path), "Check the path.")
    ending = Path(path).suffix.lower()
    if ending in (".csv", ".tsv"):
        file = _open_text(path)
    elif ending in (".parquet", ".pq"):
        file = _open_parquet(path)
    else:
        fix = "Write it with df.to_csv(..., index=False) or df.to_parquet(...)."
        why = ", which can run code when it is read" if ending in _PICKLES else ""
        expected = "`table:FILE` takes .csv, .tsv and .parquet"
        raise DataError(expected, f"{path}{why}", fix)
    if not file.num_rows:
        raise DataError("A table must have rows", f"none in {path}", "Check the file.")
    if Path(path).stat().st_size > KEPT_BYTES:
        return file
    kept = list(file.frames())
    return TableFile(file.description, file.num_rows, lambda: iter(kept))


def _open_text(path: str) -> TableFile:
    header, separator, rows = _look_at_lines(path)
    nameless = header[0].strip() == ""
    names = header[1:] if nameless else header
    check_column_names(names)
    if not names or not all(name.strip() for name in names):
        fix = "Give every column a name in the first line."
        raise DataError("All columns of a table must have names", f"{path}: a column without", fix)
    if all(map(_is_number, names)) or any(_is_fraction(name) for name in names):
        fix = "Add a first line with names."
        received = f"{path}: {separator.join(header)[:60]}"
        raise DataError("The first line of a table must name its columns", received, fix)

    def frames() -> Iterator[Any]:
        pd = pandas()
        options = {"sep": separator, "encoding": "utf-8-sig", "index_col": False}
        try:
            with pd.read_csv(path, chunksize=CHUNK_ROWS, low_memory=False, **options) as chunks:
                for chunk in chunks:
                    if nameless:
                        chunk = chunk.iloc[:, 1:]
                    chunk.columns = names
                    yield chunk
        except (pd.errors.ParserError, ValueError, OverflowError) as error:
            if isinstance(error, DataError):
                raise
            fix = "Write it again with df.to_csv(..., index=False)."
            raise DataError("A CSV file must be readable", f"{path}: {_line(error)}", fix) from None

    kind = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}[separator]
    return TableFile(f"text file, separated by {kind}", rows, frames)


def _look_at_lines(path: str) -> tuple[list[str], str, int]:
    """Returns the header, the separator and the number of rows of a text file.

    pandas fills short lines up without a word, renames equal names, and takes a surplus column
    for the index; so all lines are looked at here.
    """
    reader, rows, began = None, 0, 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = max(SEPARATORS, key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=separator, strict=True)
            header = next((row for row in reader if row), [])
            if not header:
                raise DataError("A table must have columns", f"{path}: no text", "Check the file.")
            began = reader.line_num
            for row in reader:
                began = reader.line_num
                if row and len(row) != len(header):
                    raise DataError(
                        f"Every line must have as many values as the first, {len(header)}",
                        f"{path}, line {reader.line_num}: {len(row)} values",
                        "Correct or remove the line; put quotes around text with separators.",
                    )
                rows += bool(row)
    except UnicodeDecodeError as error:
        fix = "Save it as UTF-8: iconv -f latin1 -t utf-8 FILE."
        after = f" after line {reader.line_num}" if reader is not None else ""
        received = f"{path}: the byte 0x{error.object[error.start]:02x}{after}"
        raise DataError("A CSV file must be text in UTF-8", received, fix) from None
    except csv.Error as error:
        line = 1 if reader is None else began + 1  # an open quote goes on to the end of the file
        fix = "Correct the line: a quote may lack its other end."
        received = f"{path}, line {line}: {_line(error)}"
        raise DataError("Every line of a CSV file must be readable", received, fix) from None
    return header, separator, rows


def _open_parquet(path: str) -> TableFile:
    pq = parquet()
    pandas()
    try:
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            names = [name for name in file.schema_arrow.names if not name.startswith("__index_")]
        check_column_names(names)
    except Exception as error:  # of damaged metadata pyarrow and pandas say anything
        raise _damaged(path, error) from None

    def frames() -> Iterator[Any]:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(CHUNK_ROWS):
                    yield batch.to_pandas().reset_index(drop=True)
        except Exception as error:
            raise _damaged(path, error) from None

    return TableFile("Parquet file", rows, frames)


def _damaged(path: str, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    fix = "Write it again with df.to_parquet(...)."
    return DataError("A Parquet file must be readable", f"{path}: {_line(error)}", fix)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _is_fraction(text: str) -> bool:
    """Returns whether a text is a number such as 1.5, which names no column."""
    return _is_number(text) and "." in text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
