"""p(x|z): what every likelihood is."""

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.base import ModelPart
from vae_tf.errors import ConfigError, DataError


class Likelihood(ModelPart):
    """p(x|z); a subclass names its `parameters` and gives `distribution`.

    Attributes:
        parameters: names of the decoder's outputs, each shaped as `parameter_shapes` says.
        support: smallest and largest value the data may take.
        discrete: whether p(x|z) is a probability of x; else it is a density, which has units.
    """

    parameters: tuple[str, ...] = ()
    support: tuple[float, float] = (-math.inf, math.inf)
    discrete: bool = False

    def parameter_shapes(self, event_shape) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each decoder output for data of `event_shape`."""
        return {name: tuple(event_shape) for name in self.parameters}

    def distribution(self, params) -> tfd.Distribution:
        """Returns p(x|z), batch [B], event [*event], from the decoder's outputs."""
        raise ConfigError("A Likelihood must define it", type(self).__name__, "Override it.")

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns what an exported decoder puts out: `image` = E[x|z], [B, *event] float32.

        Each output has the batch first and is made of LiteRT's builtin operators.
        """
        return {"image": self.distribution(params).mean()}

    def from_statistics(self, statistics: Mapping[str, tf.Tensor]) -> tfd.Distribution | None:
        """Returns p(x|z) as `statistics` tell it, or None where they do not determine it.

        So the density that an exported decoder stands for can be had from its outputs alone.
        """
        return None

    def check_support(self, x: np.ndarray, strict: bool = False) -> None:
        """Refuses data this likelihood gives no density.

        Args:
            x: numbers of any shape.
            strict: ask for a true density, not only for a finite bound.

        Raises:
            DataError: a value is NaN, infinite or outside `support`.
        """
        low, high = (float(np.min(x)), float(np.max(x))) if x.size else (0.0, 0.0)
        if not (math.isfinite(low) and math.isfinite(high)):
            bad = np.argwhere(~np.isfinite(x))
            where = tuple(int(i) for i in bad[0])
            received = f"{len(bad)} NaN or infinite value(s), the first at index {where}"
            raise DataError("The data must be finite numbers", received, "Remove or impute them.")
        if low < self.support[0] or high > self.support[1]:
            raise DataError(
                f"{type(self).__name__} takes data from {self.support[0]:g} to {self.support[1]:g}",
                f"min={low:g}, max={high:g}",
                "Divide 0-255 images by 255." if high > 1 else "Rescale the data.",
            )


def check_whole(x: np.ndarray, owner: str) -> None:
    """Raises DataError unless all of `x` are whole numbers."""
    fraction = x != np.rint(x)
    if np.any(fraction):
        where = tuple(int(i) for i in np.argwhere(fraction)[0])
        raise DataError(
            f"{owner} takes whole numbers",
            f"{int(np.sum(fraction))} value(s) that are not, the first {x[where]:g} at {where}",
            "Pass the counts or classes themselves, neither scaled nor logged.",
        )


def event_rank(x: tf.Tensor) -> int:
    """Returns the number of axes after the batch."""
    return x.shape.rank - 1
