"""Arrays -> figures, nothing else."""

from vae_tf.plots.curves import learning_curves
from vae_tf.plots.images import (
    heat_map,
    image_grid,
    interpolations,
    manifold,
    pairs,
    reconstructions,
    tile,
)

__all__ = [
    "heat_map",
    "image_grid",
    "interpolations",
    "learning_curves",
    "manifold",
    "pairs",
    "reconstructions",
    "tile",
]
