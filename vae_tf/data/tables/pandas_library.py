"""pandas and pyarrow, imported when a table is first used and not before."""

import importlib
from typing import Any

from vae_tf.errors import DataError


def pandas() -> Any:
    """Returns the module pandas.

    Raises:
        DataError: it is not installed.
    """
    return _library("pandas")


def parquet() -> Any:
    """Returns the module pyarrow.parquet.

    Raises:
        DataError: it is not installed.
    """
    return _library("pyarrow.parquet")


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        fix = "Install the extra `tables`: pip install 'vae_tf[tables]'."
        received = f"an installation without {package}"
        raise DataError(f"Tables need {package}", received, fix) from None
