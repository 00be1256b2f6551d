"""What every benchmark writes down beside its numbers."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs/results.md"
# A page has the table of benchmarks/<name>.py between these
BEGIN, END = "<!-- benchmarks/{}.py writes this -->", "<!-- to here -->"


def machine() -> dict:
    """Returns what the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.system()}


def commit() -> str:
    """Returns the commit measured, marked where the code differed from it.

    What benchmarks write themselves is no code: `make bench` writes after each section.
    """

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    written = ("benchmarks/results", "benchmarks/images", "benchmarks/README.md")
    elsewhere = [f":(top,exclude){path}" for path in written]
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", *elsewhere)
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def write(name: str, result: dict) -> Path:
    """Writes `result` with machine and commit to results/<name>.json and returns the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(
        json.dumps({**result, "machine": machine(), "commit": commit()}, indent=2) + "\n"
    )
    return path


def spread(values: list[float], digits: int = 3) -> str:
    """Returns the mean of a few values, and in brackets the least and the largest."""
    if not values:
        return ""
    mean = sum(values) / len(values)
    return f"{mean:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def write_table(name: str, text: str, page: Path = PAGE) -> None:
    """Writes a table into a page, between the comments of benchmarks/<name>.py."""
    begin = BEGIN.format(name)
    before, found, rest = page.read_text("utf-8").partition(begin)
    if not found:
        sys.exit(f"error: {page.name} must have a line {begin}. Received: none. Write it there.")
    page.write_text(f"{before}{begin}\n{text}{END}{rest.partition(END)[2]}", "utf-8")
