"""The conditions that the page asks for, by what the manifest says of signatures' inputs."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_tf.errors import ExportError
from vae_tf.signatures.conditions import ONE

MOST = 32  # numbers of a condition, a slider each


def among(facts: Mapping[str, Any], *signatures: str) -> list[dict[str, Any]]:
    """Returns what the manifest says of each condition that one of `signatures` takes.

    Besides, `name`, and `words` of classes where the data have any; `shape` is without the batch.

    Raises:
        ExportError: there are too many numbers in a condition.
    """
    words = facts["provenance"].get("data", {}).get("label_names") or []
    found = {}
    for signature in signatures:
        inputs = facts["signatures"].get(signature, {"inputs": {}})["inputs"]
        for name, spec in inputs.items():
            if spec.get("role") != ONE:
                continue
            shape = spec["shape"][1:]
            if math.prod(shape) > MOST:
                what = f"the page shows conditions of at most {MOST} numbers"
                raise ExportError(what, f"{name} {shape}", "Export without the page.")
            named = spec.get("range") == [0, len(words) - 1]
            found[name] = {"name": name, **spec, "shape": shape, "words": words if named else None}
    return list(found.values())


def example(facts: Mapping[str, Any], signature: str, size: int) -> dict[str, np.ndarray]:
    """Returns for so many rows of a signature the condition with which the page begins."""
    return {
        spec["name"]: np.zeros((size, *spec["shape"]), spec["dtype"])
        for spec in among(facts, signature)
    }
