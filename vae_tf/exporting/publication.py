"""Publication of a bundle, all or nothing, in the presence of SIGKILL, rivals and full disks.

Everything is built in `DIR/.staging-<version>-<pid>/`, under the names it will have in DIR.
Four invariants hold at every instant, and so after a kill at any instant:

1. What stands under a final name (`encoder/<version>`, `manifest.json`, ...) is complete and
   verified: it arrived there by one `os.rename` out of a sealed staging area. A version that
   has become visible neither changes nor vanishes.
2. A staging area is sealed (holds SEAL) only after all it contains is verified and on disk.
   SEAL lists what to rename, in order, the manifest last, and what to remove after that.
3. Whoever writes below DIR holds the lock. So a staging area found by a new holder is dead:
   unsealed, it is deleted; sealed, its remaining renames are done (rolled forward). An entry
   missing from a sealed area has been renamed: whoever gives one up removes SEAL first.
4. The lock is a flock: the kernel releases it when its process dies, however it dies.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_tf import locks
from vae_tf.errors import ExportError
from vae_tf.locks import make_directories

LOCK = ".export.lock"
STAGING = ".staging-"
SEAL = "verified.json"
LAST = "manifest.json"


def entries(stage: Path, version: int) -> list[str]:
    """Returns the names below `stage` to publish, in the order of publication.

    First what has the version in its name and so never changes, then single files, of the
    version exported last, and the manifest at the very end.
    """
    versioned = {path for path in stage.glob(f"*/{version}") if path.is_dir()}
    files = {p for p in stage.rglob("*") if p.is_file() and versioned.isdisjoint(p.parents)}
    paths = [*sorted(versioned), *sorted(files - {stage / LAST}), stage / LAST]
    return [path.relative_to(stage).as_posix() for path in paths]


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds the exclusive right to write below `directory`, which is created where missing.

    Raises:
        ExportError: if another process (or thread) holds it, or the platform has no flock.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.locked(directory, LOCK))
        except ImportError as error:
            raise ExportError(
                "an export must be able to lock its target", "no flock here", "Use Linux or macOS."
            ) from error
        except locks.InUse as error:
            raise ExportError(
                f"{directory} must not be in use by another export",
                f"a lock held by {error}",
                "Wait until that export has ended, or choose another directory.",
            ) from None
        yield


def refuse_existing(directory: Path, version: int) -> None:
    """Refuses a `version` of which anything is already in `directory`.

    Raises:
        ExportError: naming it, and the next free version.
    """
    if directory.exists() and not directory.is_dir():
        fix = "Choose another one."
        raise ExportError(f"{directory} must be a directory", "a file", fix)
    numbers = [p for p in directory.glob("[!.]*/*") if p.name.isdecimal()]
    taken = sorted(p for p in numbers if int(p.name) == version)
    if taken:
        raise ExportError(
            f"version {version} must be new in {directory}",
            f"{taken[0].relative_to(directory).as_posix()} is there already",
            f"Export as version {max(int(p.name) for p in numbers) + 1}.",
        )


@contextlib.contextmanager
def staging(directory: Path, version: int) -> Iterator[Path]:
    """Gives a staging area for the block, and deletes it afterwards unless it is sealed."""
    stage = directory / f"{STAGING}{version}-{os.getpid()}"
    stage.mkdir()
    try:
        yield stage
    finally:
        if not (stage / SEAL).exists():
            shutil.rmtree(stage, ignore_errors=True)


def publish(
    stage: Path, directory: Path, version: int, fingerprint: str, outdated: Sequence[str] = ()
) -> None:
    """Seals `stage` and renames its entries into `directory`; the lock must be held.

    Single files of the version before, `outdated`, go where this version has none.

    Raises:
        ExportError: if a rename fails. Before the first one nothing is left behind; after it
            the staging area stays, for the next export to finish.
    """
    names = entries(stage, version)
    try:
        gone = [name for name in outdated if name not in names]
        seal = {"version": version, "fingerprint": fingerprint, "entries": names, "gone": gone}
        _seal(stage, seal)
        _roll_forward(stage, directory, seal)
    except BaseException as error:
        if all((stage / name).exists() for name in names):
            _discard(stage)
            raise
        raise ExportError(
            f"publishing version {version} in {directory} must not be interrupted",
            f"{type(error).__name__}: {error}",
            "Some of it is in place; export once more, and the rest is put beside it.",
        ) from error


def recover(directory: Path) -> list[dict[str, Any]]:
    """Returns the seals of publications found cut short and now complete; the lock must be held.

    Staging areas that were never sealed, or cannot be completed because somebody else changed
    what is beside them, are deleted.
    """
    completed = []
    for stage in sorted(directory.glob(f"{STAGING}*")):
        if not (stage / SEAL).exists():
            shutil.rmtree(stage)
            continue
        seal = json.loads((stage / SEAL).read_text("utf-8"))
        if all(_can_publish(stage, directory, name) for name in seal["entries"]):
            _roll_forward(stage, directory, seal)
            completed.append(seal)
        else:
            _discard(stage)
    return completed


def _can_publish(stage: Path, directory: Path, name: str) -> bool:
    """Returns whether an entry is in one place alone, or is a file, which may be replaced."""
    staged, final = (stage / name).exists(), (directory / name).exists()
    return staged != final or (staged and (stage / name).is_file())


def _seal(stage: Path, content: dict[str, Any]) -> None:
    """Writes SEAL into `stage` once everything else in it has reached the disk."""
    for root, _, files in os.walk(stage):
        for path in (*(Path(root, file) for file in files), Path(root)):
            _fsync(path)
    draft = stage / f"{SEAL}.draft"
    draft.write_text(json.dumps(content), "utf-8")
    _fsync(draft)
    os.rename(draft, stage / SEAL)
    _fsync(stage)
    _fsync(stage.parent)


def _roll_forward(stage: Path, directory: Path, seal: Mapping[str, Any]) -> None:
    """Renames what is left of a sealed `stage` into `directory`, then deletes it."""
    for name in seal["entries"]:
        source, target = stage / name, directory / name
        if not source.exists():
            continue
        created = make_directories(target.parent)
        try:
            os.rename(source, target)
        except OSError:
            for path in created:
                path.rmdir()
            raise
        _fsync(target.parent)
    for name in seal.get("gone", ()):
        (directory / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # where other files are
            (directory / name).parent.rmdir()
    _fsync(directory)
    # SEAL last, so that a kill in here is still known for a publication that succeeded.
    for path in stage.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    (stage / SEAL).unlink()
    shutil.rmtree(stage, ignore_errors=True)


def _discard(stage: Path) -> None:
    """Deletes a staging area that will not be published; SEAL first, which promises the rest."""
    (stage / SEAL).unlink(missing_ok=True)
    _fsync(stage)
    shutil.rmtree(stage, ignore_errors=True)


def _fsync(path: Path) -> None:
    """Makes sure that a file or directory is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
