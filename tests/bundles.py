"""Bundles that tests only look at, written once in a test run."""

import contextlib
import fcntl
import os

from vae_tf.exporting import write_bundle
from vae_tf.exporting.bundle import Bundle, _open


def bundle_of(tmp_path_factory, name, **arguments) -> Bundle:
    """Returns the bundle called `name`, which no test may change.

    The first test that asks writes it, in whichever process of pytest-xdist; the others read it.

    Args:
        tmp_path_factory: pytest's fixture.
        name: of the bundle; each name belongs to one set of arguments.
        **arguments: of `write_bundle`, all but the directory; the same in every process.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # which all workers share
    directory = root / "bundles" / name
    directory.parent.mkdir(exist_ok=True)
    with _alone(directory.with_suffix(".lock")):
        # Publication renames the manifest last
        if not (directory / "manifest.json").exists():
            return write_bundle(**arguments, directory=directory)
    return _open(directory)


@contextlib.contextmanager
def _alone(path):
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
