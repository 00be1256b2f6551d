"""Figures made of arrays, and nothing else."""

from vae_tf.plots.codes import codes
from vae_tf.plots.curves import learning_curves
from vae_tf.plots.densities import side_by_side
from vae_tf.plots.images import (
    heat_map,
    image_grid,
    interpolations,
    levels,
    manifold,
    reconstructions,
    tile,
    traversals,
)
from vae_tf.plots.series import series
from vae_tf.plots.tables import marginals, pairs

__all__ = [
    "codes",
    "heat_map",
    "image_grid",
    "interpolations",
    "learning_curves",
    "levels",
    "manifold",
    "marginals",
    "pairs",
    "reconstructions",
    "series",
    "side_by_side",
    "tile",
    "traversals",
]


def __dir__() -> list[str]:
    return sorted(__all__)
