"""Whether the wheel works with each Python, beside the oldest and the newest packages.

    scripts/matrix [--python 3.10 3.13] [--resolution lowest highest] [--write]

lowest: each package that setup.py names at the lower bound it gives, all else at its newest;
highest: all at their newest. Each cell is an environment of its own, in which scripts/smoke
trains, exports and verifies, and which is removed afterwards. The interpreters are those on the
PATH, and pyenv's; the table says which are missing. --write keeps each cell in results/matrix.json,
with the commit that it is of, and in docs/versions.md; cells that were not asked for stay there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import common

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".venv-release/bin/uv"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
RESOLUTIONS = {"lowest": "lowest-direct", "highest": "highest"}
SHOWN = ("tensorflow", "keras", "numpy")


def main() -> int:
    """Returns 1 if a cell that ran has failed, or none ran."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", nargs="+", default=PYTHONS, choices=PYTHONS)
    parser.add_argument("--resolution", nargs="+", default=RESOLUTIONS, choices=RESOLUTIONS)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    if not UV.exists():
        sys.exit(f"error: uv must be at {UV}. Received: none. Run scripts/install release.")
    rows, commit = [], common.commit()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build(Path(scratch))
        for python in asked.python:
            path = interpreter(python)
            for resolution in asked.resolution:
                row = {"python": python, "resolution": resolution, "ok": None, "of": commit}
                rows.append(row | (cell(path, resolution, wheel) if path else {}))
                print(line(rows[-1]), flush=True)
                if asked.write:
                    write(rows)
    ran = [row["ok"] for row in rows if row["ok"] is not None]
    return 0 if ran and all(ran) else 1


def write(rows: list[dict]) -> None:
    """Writes what was tried, in place of what was found of these cells before."""
    path = common.RESULTS / "matrix.json"
    before = json.loads(path.read_text())["cells"] if path.exists() else []
    tried = [row for row in rows if row["ok"] is not None]
    found = {(row["python"], row["resolution"]): row for row in (*before, *tried)}
    order = [(python, resolution) for python in PYTHONS for resolution in RESOLUTIONS]
    cells = [found[key] for key in order if key in found]
    common.write("matrix", {"cells": cells})
    common.write_table("matrix", table(cells), ROOT / "docs/versions.md")


def build(directory: Path) -> Path:
    """Returns the wheel of this checkout, made of its source distribution."""
    uv("build", "--quiet", "--out-dir", str(directory), str(ROOT))
    return next(directory.glob("*.whl"))


def interpreter(version: str) -> Path | None:
    """Returns the path of a Python of this version; a pyenv shim that runs none does not count."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders += sorted(pyenv.glob(f"versions/{version}*/bin"))
    for path in (folder / f"python{version}" for folder in folders):
        if path.is_file() and not subprocess.run([path, "-V"], capture_output=True).returncode:
            return path
    return None


def cell(python: Path, resolution: str, wheel: Path) -> dict:
    """Returns whether the wheel works in a new environment, and the versions that are in it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        pins, venv = f"{scratch}/pins.txt", f"{scratch}/venv"
        how = ("--resolution", RESOLUTIONS[resolution], "--python", str(python))
        try:
            uv("pip", "compile", "--quiet", str(ROOT / "setup.py"), *how, "--output-file", pins)
            uv("venv", "--quiet", "--python", str(python), venv)
            into = ("--python", f"{venv}/bin/python")
            uv("pip", "install", "--quiet", *into, "--constraints", pins, str(wheel))
            done = run([f"{venv}/bin/python", str(ROOT / "scripts/smoke")], scratch)
        except subprocess.CalledProcessError as error:
            print(f"{error.stdout[-2000:]}\n{error.stderr[-2000:]}", file=sys.stderr)
            return {"ok": False}
    installed = json.loads(done.splitlines()[-1])
    packages = {name: installed[name] for name in ("vae_tf", "python", *SHOWN)}
    return {"ok": True, "seconds": round(time.monotonic() - began), "packages": packages}


def uv(*arguments: str) -> str:
    """Runs uv, which shall not fetch interpreters."""
    return run([str(UV), *arguments], ROOT)


def run(command: list[str], directory: Path | str) -> str:
    """Returns what a command printed. The checkout is not on its path."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env["UV_PYTHON_DOWNLOADS"] = "never"
    done = subprocess.run(
        command, cwd=directory, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def line(row: dict) -> str:
    """Returns a row of the table."""
    packages = row.get("packages", {})
    versions = "  ".join(f"{name} {packages[name]:<8}" for name in SHOWN if name in packages)
    told = {None: "no such Python here", True: "ok", False: "FAILED"}[row["ok"]]
    seconds = f" in {row['seconds']} s" if "seconds" in row else ""
    return f"Python {row['python']:<5} {row['resolution']:<8} {versions}  {told}{seconds}"


def table(rows: list[dict]) -> str:
    """Returns the table of docs/versions.md."""
    lines = ["| Python | packages | TensorFlow | Keras | NumPy | |", "|---|---|---|---|---|---|"]
    for row in rows:
        versions = [row.get("packages", {}).get(name, "") for name in SHOWN]
        told = "works" if row["ok"] else "fails"
        lines.append(f"| {' | '.join((row['python'], row['resolution'], *versions, told))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
