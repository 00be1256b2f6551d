"""What is known, in the types of strict JSON, for manifests, reports and files' own words."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np


def plain(value: Any) -> Any:
    """Returns `value` in the types of strict JSON.

    Objects become class name and configuration; what is neither, and numbers that are not
    finite, text.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return concept(value) if hasattr(value, "get_config") else str(value)


def concept(value: Any) -> dict[str, Any]:
    """Returns the class name and the configuration, if it tells any, of a prior and the like."""
    config = dict(value.get_config()) if hasattr(value, "get_config") else {}
    if isinstance(value, keras.layers.Layer):
        for bookkeeping in ("name", "trainable", "dtype"):
            config.pop(bookkeeping, None)
    return {"class_name": type(value).__name__, "config": plain(config)}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `content` as indented JSON with a final newline."""
    path.write_text(json.dumps(plain(content), indent=2, allow_nan=False) + "\n", "utf-8")
