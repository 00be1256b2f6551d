"""From the columns of a table to the likelihood that suits them."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from vae_tf.data.tables.column import SCALED, Column

MAX_SCALE = 1.0  # of p(x|z): about that of the whole column, whose scale is 1


def likelihood_of(columns: Sequence[Column]) -> Any:
    """Returns p(x|z), a `likelihoods.Mixed`, with one part for neighbours of one kind."""
    # Not above: data that are no table need no distributions
    from vae_tf.distributions import likelihoods

    parts: list[tuple] = []
    for (kind, classes), group in itertools.groupby(columns, _alike):
        run = list(group)
        if kind == "binary":
            part: Any = likelihoods.Bernoulli()
        elif kind == "category":
            part = likelihoods.Categorical(classes)
        elif kind == "count":
            part = likelihoods.NegativeBinomial([math.exp(c.loc) for c in run])
        else:
            part = likelihoods.GaussianPixelScale([c.floor for c in run], MAX_SCALE)
        parts.append((part, len(run)))
    return likelihoods.Mixed(parts)


def _alike(column: Column) -> tuple[str, int]:
    """Returns what columns share that one part can describe."""
    if column.kind in SCALED:  # normal, both, as numbers x
        return "real", 0
    return column.kind, len(column.values) if column.kind == "category" else 0
