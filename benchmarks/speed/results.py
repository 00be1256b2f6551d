"""results/speed.json: the sections, and the comparisons that follow from their races."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common

PATH = common.RESULTS / "speed.json"
SECTIONS = ("training", "ablation", "nll", "generation", "roofline", "startup", "growth")


# key -> race, ours, theirs; a prefix stands for the fastest of those that begin so
HEADLINE = {
    "mlp_over_keras": ("MLP batch 128", "fit, bf16", "Keras fit, float32"),
    "mlp_over_pythae": ("MLP batch 128", "fit, bf16", "pythae"),
    "mlp_over_pytorch": ("MLP batch 128", "fit, bf16", "PyTorch"),
    "mlp_float32_over_keras": ("MLP batch 128", "fit, float32", "Keras fit, float32"),
    "conv_over_keras": ("conv batch 128", "fit, bf16", "Keras fit, float32"),
    "conv_over_pytorch": ("conv batch 128", "fit, bf16", "PyTorch"),
    "nll_over_pythae": ("NLL", "log_likelihood, checked bf16", "pythae get_nll"),
    "nll_over_pytorch": ("NLL", "log_likelihood, checked bf16", "PyTorch loop, float32"),
    "generation_over_pytorch": ("generate, 2048 at a time", "sample(), bf16", "PyTorch"),
}


def comparisons(race: Mapping[str, Any]) -> Iterator[dict]:
    """Yields ours against theirs, each pair; a ratio above 1 says that ours is faster."""
    others = [name for name in race["rates"] if name not in race["ours"]]
    for own in race["ours"]:
        for other in others:
            yield compare(race, own, other)


def compare(race: Mapping[str, Any], own: str, other: str) -> dict:
    """Returns one comparison; its ratios are of rates measured in the same round."""
    ours, theirs = race["rates"][own], race["rates"][other]
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "name": f"{race['name']}: {own} / {other}",
        "ours": median(ours),
        "theirs": median(theirs),
        "what": race["what"],
        "ratio_median": median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "unit": race["unit"],
    }


def headline(races: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the median ratio for each of HEADLINE that was measured."""
    by_name, found = {race["name"]: race for race in races}, {}
    for key, (name, own, theirs) in HEADLINE.items():
        rates = by_name.get(name, {"rates": {}})["rates"]
        others = [other for other in rates if other.startswith(theirs)]
        if own in rates and others:
            fastest = max(others, key=lambda other: median(rates[other]))
            found[key] = compare(by_name[name], own, fastest)["ratio_median"]
    return found


def merged(known: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]]) -> dict:
    """Returns `known` with these sections in place of its own, and all comparisons anew."""
    kept = {name: known[name] for name in SECTIONS if name in known}
    new = {**kept, **sections}
    ordered = {name: new[name] for name in SECTIONS if name in new}
    races = [race for section in ordered.values() for race in section.get("races", ())]
    compared = [c for race in races for c in comparisons(race)]
    return {"comparisons": compared, **headline(races), **ordered}


def read(path: Path = PATH) -> dict:
    """Returns what was measured so far."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(sections: Mapping[str, Mapping[str, Any]]) -> Path:
    """Writes these sections over the old ones, each with its machine and commit."""
    origin = {"machine": common.machine(), "commit": common.commit()}
    marked = {name: {**section, **origin} for name, section in sections.items()}
    return common.write("speed", merged(read(), marked))
