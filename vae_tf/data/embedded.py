"""Sets that this package makes itself: prepared once on the user's machine, without a download."""

import contextlib
import io
import os
import tempfile
from pathlib import Path

import tensorflow_datasets as tfds

from vae_tf.data.storage import cache_directory
from vae_tf.errors import DataError


def prepared(
    kind: type[tfds.core.GeneratorBasedBuilder], data_dir: str | None
) -> tfds.core.DatasetBuilder:
    """Returns a prepared builder, from `data_dir` if the set is there, else from the user's cache.

    It is prepared aside and moved into place in one step, so that processes that start together
    cannot read each other's half. `data_dir` itself is never written: it may be shared.

    Args:
        kind: the class of the builder.
        data_dir: where prepared sets are, or None.

    Raises:
        DataError: The cache cannot be written.
    """
    if data_dir is not None:
        builder = kind(data_dir=data_dir)
        if _info_file(builder).is_file():
            return builder
    cache = cache_directory() / "tfds"
    builder = kind(data_dir=cache)
    if _info_file(builder).is_file():
        return builder
    try:
        _prepare(kind, cache, Path(builder.data_dir))
    except OSError as error:
        raise DataError(
            f"The embedded {builder.name} must be written to the user's cache once",
            f"{cache}: {error.strerror or error}",
            "Set XDG_CACHE_HOME to a directory with room.",
        ) from error
    return kind(data_dir=cache)  # anew, as builders read what is there when they are made


def _prepare(kind: type, cache: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        builder = kind(data_dir=aside)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            builder.download_and_prepare()  # bars for a few seconds' work
        try:
            os.rename(builder.data_dir, target)
        except OSError:  # another process was first
            if not (target / _info_file(builder).name).is_file():
                raise


def _info_file(builder: tfds.core.DatasetBuilder) -> Path:
    return Path(builder.data_dir) / "dataset_info.json"
