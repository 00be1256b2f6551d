"""`python -m benchmarks.speed [SECTION ...]`: measures, writes results/speed.json and the page."""

import argparse
import importlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.speed import page, results
from benchmarks.speed.runner import Settings


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the sections named, or all; the others keep what they have."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("sections", nargs="*", help=", ".join((*results.SECTIONS, "page")))
    parser.add_argument("--rounds", type=int, default=5, help="of each race")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a contender in a round")
    args = parser.parse_args(argv)
    known = (*results.SECTIONS, "page")
    if strangers := sorted(set(args.sections) - set(known)):
        parser.error(f"sections are {', '.join(known)}, not {', '.join(strangers)}")
    for name in args.sections or results.SECTIONS:
        if name == "page":
            continue  # written in any case
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="speed-") as scratch:
            settings = Settings(args.rounds, args.seconds, Path(scratch))
            section = importlib.import_module(f"benchmarks.speed.{name}").run(settings)
        section["took_seconds"] = round(time.perf_counter() - began)
        print(results.write({name: section}), flush=True)
    print(page.write())


if __name__ == "__main__":
    main()
