"""The exclusive right to write below a directory; it ends with its process, however that ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 200  # bytes of a lock file that are read


class InUse(Exception):
    """Another process, or thread, holds the lock; the text says which."""


@contextlib.contextmanager
def locked(directory: Path, name: str) -> Iterator[None]:
    """Holds the flock of the file `name` in `directory`, which is created where missing.

    The kernel gives the lock back when its holder dies, so that a lock file that a killed process
    left behind does not keep anybody out. Directories that were created for the block go with it
    if they are empty.

    Raises:
        InUse: somebody else holds it.
        OSError: the directory cannot be written.
        ImportError: the platform has no flock.
    """
    import fcntl  # noqa: F401  # before anything is created

    created = make_directories(directory)
    try:
        lock = _acquire(directory, directory / name)
        try:
            yield
        finally:
            # Unlinked while held: a rival that has opened this file finds it gone and asks anew.
            with contextlib.suppress(OSError):
                (directory / name).unlink()
            os.close(lock)
    finally:
        # Only empty directories go, that is after a failure.
        with contextlib.suppress(OSError):
            for path in created:
                path.rmdir()


def make_directories(directory: Path) -> list[Path]:
    """Creates `directory` and returns what had to be created, innermost first."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    return missing


def _acquire(directory: Path, path: Path) -> int:
    import fcntl

    while True:
        # The holder before us may have deleted its lock, and the directory with it.
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            # Never through a link: the file it names would be written
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), os.stat(path)):
                    os.ftruncate(lock, 0)
                    with contextlib.suppress(OSError):  # a full disk; the name is a courtesy
                        os.write(lock, f"process {os.getpid()} on {os.uname().nodename}".encode())
                    return lock
            except BlockingIOError:
                holder = os.pread(lock, _LONGEST, 0).decode("utf-8", "replace")
                os.close(lock)
                raise InUse(holder or "another process") from None
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)
