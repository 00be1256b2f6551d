"""Named, reproducible configurations, one file each."""

from vae_tf.errors import unknown
from vae_tf.recipes import colours, demo, flagship, m1m2, m2, manifold, mlp, series, table, text
from vae_tf.runs.config import TrainConfig

RECIPES: dict[str, TrainConfig] = {
    "mlp": mlp.CONFIG,
    "demo": demo.CONFIG,
    "flagship": flagship.CONFIG,
    "colours": colours.CONFIG,
    "manifold": manifold.CONFIG,
    "table": table.CONFIG,
    "m2": m2.CONFIG,
    "m1m2": m1m2.CONFIG,
    "text": text.CONFIG,
    "series": series.CONFIG,
}


def recipe(name: str) -> TrainConfig:
    """Returns the configuration called `name`.

    Raises:
        ConfigError: there is no such configuration.

    Example:
        >>> from vae_tf.recipes import recipe
        >>> recipe("flagship").dataset, recipe("flagship").latents
        ('binarized_mnist', (32, 8, 4))
    """
    if name not in RECIPES:
        raise unknown("--recipe", name, RECIPES)
    return RECIPES[name]


__all__ = ["RECIPES", "recipe"]


def __dir__() -> list[str]:
    return sorted(__all__)
