"""The right to write a run directory, and the refusals of the system in words."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from vae_tf import locks
from vae_tf.errors import RunError

LOCK = ".train.lock"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOLCK)


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Holds the run directory against a second training, and creates it where missing.

    Without flock, on Windows, nothing keeps a second training out.

    Raises:
        RunError: another training holds it, it cannot be written, or the disk is full.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.locked(directory, LOCK))
        except ImportError:
            directory.mkdir(parents=True, exist_ok=True)
        except locks.InUse as holder:
            raise RunError(
                f"The run directory {directory} must not be in use by another training",
                f"a lock held by {holder}",
                "Wait until that training has ended, or pass another --run-dir.",
            ) from None
        except FileExistsError:
            raise _no_directory(directory, "something else of that name") from None
        except OSError as error:
            raise _no_directory(directory, error.strerror or str(error)) from None
        with _refusals(directory):
            yield


@contextlib.contextmanager
def _refusals(directory: Path) -> Iterator[None]:
    """Turns errors of a full disk or a read-only directory into refusals."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM or "No space left" in str(error):  # HDF5 has it in its text
            raise _no_room(directory, error.strerror or "No space left on device") from error
        below = error.filename is not None and directory in Path(str(error.filename)).parents
        if error.errno in _NOT_WRITABLE and below:
            raise _no_directory(directory, str(error.strerror)) from error
        raise
    except tf.errors.OpError as error:  # TensorBoard's files are written by TensorFlow
        text = " ".join(str(error).split())
        if "No space left" in text or "quota" in text:
            raise _no_room(directory, "No space left on device") from error
        raise


def _no_room(directory: Path, received: str) -> RunError:
    """Returns the error on a full disk."""
    fix = "Free some space; --resume then goes on from the last checkpoint."
    return RunError(f"The run directory {directory} must have room for the run", received, fix)


def _no_directory(directory: Path, received: str) -> RunError:
    """Returns the error on a directory that cannot be written."""
    expected = f"The run directory {directory} must be a directory that can be written"
    return RunError(expected, received, "Pass another --run-dir.")
