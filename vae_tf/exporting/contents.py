"""What lies in a bundle's directory, against what its manifest lists: all of it, and no more."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vae_tf.errors import ExportError
from vae_tf.exporting import manifest, publication
from vae_tf.exporting.reading import files_of, parsed, shown, version_of

# What an export in progress, or one that was killed, has beside the bundle; see `publication`.
LEFTOVERS = (publication.STAGING, publication.LOCK, ".vae_tf-web-")
PAGE = "web"
PAGE_FILES = f"{PAGE}/files.json"
OLD_PAGE = {f"{PAGE}/index.html", f"{PAGE}/model/model.json"}


def check(directory: Path) -> dict[str, Any]:
    """Returns the manifest of `directory` if what is there is what it lists.

    Other versions may have been removed, each of them whole. A page below `web/` is listed by
    itself.

    Raises:
        ExportError: naming the first file that is missing, changed, linked or not listed.
    """
    facts = manifest.read(directory)
    files, folders = _found(directory)
    listed = dict(facts["files"])
    standing = {version_of(f"{name}/") for name in folders}
    for version, earlier in facts["other_versions"].items():
        if version not in standing:
            continue
        if missing := sorted(set(earlier) - files):
            raise ExportError(
                f"version {version} must be in {directory} as it was published, or not at all",
                f"no such file as {missing[0]}",
                f"Copy it again, or remove every folder called {version}.",
            )
        listed |= earlier
    if PAGE_FILES in files:
        listed |= _page(directory)
        files.remove(PAGE_FILES)
    elif files >= OLD_PAGE:  # from when pages listed nothing
        files = {name for name in files if not name.startswith(f"{PAGE}/")}
        folders = {name for name in folders if name.split("/")[0] != PAGE}
    parents = {parent for name in listed for parent in _parents(name)}
    # SavedModels have empty folders, and copies may have lost them
    empty = {name for name in folders if "/".join(name.split("/")[:2]) not in parents}
    if strangers := sorted(files - set(listed)) or sorted(empty - parents):
        raise ExportError(
            f"{directory} must hold what its manifest lists",
            f"{shown(strangers[0])} as well",
            "Remove it, or copy the bundle again.",
        )
    _check_digests(directory, files, listed)
    return facts


def _page(directory: Path) -> dict[str, Any]:
    """Returns what the page lists of itself, by names below `directory`."""
    try:
        listed = parsed((directory / PAGE_FILES).read_text("utf-8"))
    except ValueError as error:
        expected = f"{directory / PAGE_FILES} must list the files of the page"
        raise ExportError(expected, error, "Write it again, `--web`.") from error
    return {f"{PAGE}/{name}": digest for name, digest in files_of(listed, PAGE_FILES).items()}


def _check_digests(root: Path, files: set[str], expected: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses a file that is missing, or is not the one that the manifest lists."""
    for name, want in expected.items():
        have = manifest.digest(root / name)["sha256"] if name in files else "no such file"
        if have != want["sha256"]:
            raise ExportError(
                f"{root / name} must have sha256 {want['sha256']}",
                have,
                "Copy the bundle again, or finish an export cut short by exporting once more.",
            )


def _found(directory: Path) -> tuple[set[str], set[str]]:
    """Returns the relative names of all files but the manifest, and of all folders."""
    files, folders = set(), set()
    pending = [""]
    while pending:
        at = pending.pop()
        with os.scandir(directory / at) as entries:
            for entry in entries:
                name = at + entry.name
                if not at and name.startswith(LEFTOVERS):
                    continue
                if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
                    expected = f"{directory} must hold files and folders of its own"
                    received = f"{shown(name)}, which is a link or no file"
                    raise ExportError(expected, received, "Copy the files themselves, `cp -rL`.")
                if entry.is_dir():
                    folders.add(name)
                    pending.append(f"{name}/")
                else:
                    files.add(name)
    return files - {manifest.NAME}, folders


def _parents(name: str) -> Iterable[str]:
    """Returns the directories above a file, the outermost first."""
    parts = name.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))
