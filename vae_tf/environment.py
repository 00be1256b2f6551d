"""What is installed, told in one place: in reports, in manifests, and to whoever helps a user."""

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterable

from vae_tf.version import __version__

PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "tensorflow-datasets", "numpy")
EXPORTED_BY = "ai-edge-litert"
MISSING = "not installed"
_EXTRA = re.compile(r"^([\w.-]+).*;\s*extra\s*==\s*['\"]([\w-]+)['\"]")


def version_of(package: str, missing: str = "unknown") -> str:
    """Returns the version of an installed package, or `missing`; imports nothing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # TensorFlow has builds of other names
        module = sys.modules.get(package.replace("-", "_"))
        return getattr(module, "__version__", missing)


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Returns the versions of vae_tf, of Python and of `packages`, by name."""
    found = {name: version_of(name) for name in packages}
    return {"vae_tf": __version__, "python": platform.python_version(), **found}


def extras() -> dict[str, dict[str, str]]:
    """Returns the packages of each extra with their versions; none if vae_tf is not installed."""
    found: dict[str, dict[str, str]] = {}
    try:
        requirements = importlib.metadata.requires("vae_tf") or ()
    except importlib.metadata.PackageNotFoundError:
        return found
    for package, extra in (m.groups() for m in map(_EXTRA.match, requirements) if m):
        found.setdefault(extra, {})[package] = version_of(package, MISSING)
    return found


def show_versions() -> None:
    """Returns nothing; prints the versions that a report of a problem should begin with.

    It imports nothing heavy.

    Example:
        >>> vae_tf.show_versions()
        vae_tf ...
        python ...
        ...
    """
    rows = list(versions((*PACKAGES, EXPORTED_BY)).items())
    rows.insert(2, ("platform", platform.platform()))
    for extra, packages in extras().items():
        told = ", ".join(f"{name} {version}" for name, version in packages.items())
        rows.append((f"vae_tf[{extra}]", told))
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {told}" for name, told in rows))
