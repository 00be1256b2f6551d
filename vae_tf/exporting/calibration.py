"""The threshold above which `score` calls an image unusual, from images never trained on."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures.endpoint import Arrays

MOST = 1000  # images: the threshold's own rate then has a standard error of 0.003 at 1 %


def anomaly_threshold(whole: Path, given: Arrays | None, rate: float) -> dict[str, Any] | None:
    """Returns the manifest's `anomaly`: the threshold on the `nll` of `score`, and its basis.

    The k-th smallest of n scores, k = ceil((n + 1)(1 - rate)), is exceeded by a further image of
    the same kind with probability at most `rate`, whatever the distribution of the scores (split
    conformal prediction: Papadopoulos et al. 2002; Vovk et al. 2005).

    Args:
        whole: SavedModel with `score`.
        given: inputs of `score` but the seed, [N, ...] each, for images held out; None without.
        rate: of false alarms, in (0, 1).

    Returns:
        None where there are fewer images than 1 / rate - 1, for then no score is high enough.
    """
    total = len(given["image"]) if given else 0
    count = min(total, MOST)
    k = math.ceil((count + 1) * (1 - rate))
    if given is None or k > count:
        return None
    chosen = np.random.default_rng(0).permutation(total)[:count]
    seed: np.ndarray = np.arange(count, dtype=np.int32)
    batch = {name: values[chosen] for name, values in given.items()} | {"seed": seed}
    nll = saved_model.run(whole, "score", [batch])[0]["nll"]
    return {
        "signature": "score",
        "output": "nll",
        "unit": "nats",
        "threshold": float(np.sort(nll)[k - 1]),
        "false_alarm_rate": rate,
        "examples": count,
        "quantiles": {str(q): float(np.quantile(nll, q)) for q in (0.05, 0.5, 0.95, 0.99)},
    }


def lacking(given: Arrays | None, rate: float) -> str:
    """Returns in a sentence why there is no threshold for these examples."""
    least, count = math.ceil(1 / rate) - 1, len(given["image"]) if given else 0
    return (
        f"There is no threshold on `score`: a false_alarm_rate of {rate:g} needs at least {least} "
        f"examples for validation, and {count} were given."
    )
