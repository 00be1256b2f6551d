"""What a compressed file notes of where it was written, for the message if it cannot be read."""

import importlib.metadata
import platform
from pathlib import Path

PACKAGES = ("tensorflow", "constriction")


def machine() -> str:
    """Returns versions and processor in a line."""
    packages = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return f"{', '.join(packages)} on {_processor()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():  # elsewhere Python knows it
        for line in info.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
