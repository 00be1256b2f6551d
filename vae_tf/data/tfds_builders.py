"""A name -> the TFDS builder that reads it, prepared."""

import difflib
import os
import re
import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import tensorflow_datasets as tfds

from vae_tf.data.digits import Digits
from vae_tf.data.embedded import prepared
from vae_tf.data.schemes import bare_path
from vae_tf.data.shapes import Shapes
from vae_tf.errors import DataError, VAEError, unknown

_VERSION = re.compile(r"\d+\.[\d.*]+")
EMBEDDED: dict[str, type[tfds.core.GeneratorBasedBuilder]] = {"digits": Digits, "shapes": Shapes}
_OTHERS = ("array:FILE", *EMBEDDED, "folder:PATH", "any image set of tfds.list_builders()")


def find_builder(
    name: str, data_dir: str | os.PathLike[str] | None = None
) -> tfds.core.DatasetBuilder:
    """Returns the builder of `name`, which need not be prepared.

    Args:
        name: `set`, `set/config`, `set:config` or `set:version`.
        data_dir: Where prepared sets are; None for TFDS_DATA_DIR, else TFDS's own default.

    Raises:
        DataError: TFDS has no such set, configuration or version.
    """
    # Read here, as TFDS does it once for all when it is imported.
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR") or None
    directory = None if data_dir is None else os.path.expanduser(data_dir)
    base, config, *_ = *re.split("[:/]", name, maxsplit=1), ""
    own = EMBEDDED.get(base.lower())
    if own is not None and config in ("", str(own.VERSION)):
        return prepared(own, directory)
    if not base.isidentifier() or base not in tfds.list_builders(with_community_datasets=False):
        raise _unknown(name, base)
    separator = "" if not config else ":" if _VERSION.fullmatch(config) else "/"
    try:
        return tfds.builder(base + separator + config, data_dir=directory)
    except tfds.core.DatasetNotFoundError as error:
        raise _unknown(name, base) from error
    except Exception as error:  # TFDS asserts, or raises ValueError and others
        if separator == "/":
            raise _unknown_config(base, config.split(":")[0]) from error
        raise DataError(
            "A data set must have a version that TFDS knows", repr(name), f"Pass {base!r}."
        ) from error


def prepare(builder: tfds.core.DatasetBuilder) -> None:
    """Downloads and prepares the set unless it is there.

    Raises:
        DataError: It is not there and cannot be made.
    """
    if is_prepared(builder):
        return
    if not _can_download(builder):
        raise _absent(builder, "no network")
    try:
        builder.download_and_prepare()
    except Exception as error:  # network, disk, checksums, missing manual files, extra packages
        raise _absent(builder, _line(error)) from error


def _unknown(name: str, base: str) -> VAEError:
    if refused := bare_path(name):  # not earlier: a folder may have the name of a known set
        return refused
    if re.search("[:/]", name):
        fix = (
            "Write folder:DIR, array:FILE, tfrecord:FILES, parquet:FILES or table:FILE for data of"
        )
        fix += " your own."
        return DataError("Data set must be a known name", repr(name), fix)
    known = [*EMBEDDED, *tfds.list_builders(with_community_datasets=False)]
    near = difflib.get_close_matches(base.lower(), known, n=3, cutoff=0.6)
    return unknown("Data set", name, near or _OTHERS, DataError)


def _unknown_config(base: str, config: str) -> VAEError:
    configs = list(tfds.builder_cls(base).builder_configs)
    if configs:
        return unknown(f"Configuration of `{base}`", config, configs, DataError)
    return DataError(f"`{base}` has no configurations", repr(config), f"Pass {base!r}.")


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Returns whether the builder's directory is complete; TFDS's own question logs a warning."""
    return (Path(builder.data_dir) / "dataset_info.json").is_file()


def _can_download(builder: tfds.core.DatasetBuilder) -> bool:
    """Returns False if trying is in vain: TFDS retries for minutes when there is no network."""
    hosts = {urlparse(url).hostname for url in builder.url_infos or {} if url.startswith("http")}
    downloads = Path(builder.data_dir_root) / "downloads"
    if (
        not hosts
        or urllib.request.getproxies()
        or (downloads.is_dir() and any(downloads.iterdir()))
    ):
        return True
    return any(_resolves(str(host)) for host in sorted(map(str, hosts))[:3])


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False


def _absent(builder: tfds.core.DatasetBuilder, reason: str) -> DataError:
    config = builder.builder_config
    name = f"{builder.name}/{config.name}" if config else builder.name
    return DataError(
        f"TFDS set `{name}` must be prepared, or possible to download",
        f"nothing at {builder.data_dir}, and no download: {reason}",
        "Set TFDS_DATA_DIR (or data_dir) to a directory that holds it, or prepare it where there"
        f" is a network: python -c 'import tensorflow_datasets as t; t.load(\"{name}\")'",
    )


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
