"""How PyTorch's threads wait for each other: as suits PyTorch best on this machine, now.

They spin, which is quickest where the cores are free, and ruinous where they are shared.
"""

import dataclasses
from collections.abc import Mapping
from statistics import median

from benchmarks.speed.runner import Contender, Settings, race

POLICIES = {"as it is": {}, "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"}}
ROUNDS, SECONDS = 3, 1.0


def quickest(probe: Contender, settings: Settings) -> tuple[Mapping[str, str], dict]:
    """Returns the variables with which `probe` is fastest, and the race that says so."""
    contenders = [
        dataclasses.replace(probe, name=name, environment=variables)
        for name, variables in POLICIES.items()
    ]
    brief = dataclasses.replace(settings, rounds=ROUNDS, seconds=min(SECONDS, settings.seconds))
    what = "threads that wait: what suits PyTorch best"
    tried = race(f"waiting of {probe.name}", contenders, brief, unit="units/s", what=what)
    best = max(tried["rates"], key=lambda name: median(tried["rates"][name]), default="as it is")
    return POLICIES[best], {**tried, "chosen": best}
