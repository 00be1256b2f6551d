"""Named, reproducible configurations, one file each."""

from vae_tf.errors import unknown
from vae_tf.recipes import demo, manifold, mlp, series, table, text
from vae_tf.runs.config import TrainConfig

RECIPES: dict[str, TrainConfig] = {
    "mlp": mlp.CONFIG,
    "demo": demo.CONFIG,
    "manifold": manifold.CONFIG,
    "table": table.CONFIG,
    "text": text.CONFIG,
    "series": series.CONFIG,
}


def recipe(name: str) -> TrainConfig:
    """Returns the configuration called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in RECIPES:
        raise unknown("--recipe", name, RECIPES)
    return RECIPES[name]


__all__ = ["RECIPES", "recipe"]
