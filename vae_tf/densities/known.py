"""Examples of which the truth is known: the density that generated them."""

import math
from typing import Any

import numpy as np
from scipy import special, stats

from vae_tf.densities.base import Density, flattened


class Heights(Density):
    """A known density: heights of people in cm, [N, 1], one normal for women and one for men.

    Attributes:
        columns: their names.

    Example:
        >>> heights = vae_tf.densities.Heights()
        >>> heights.sample(5, seed=0).shape
        (5, 1)
        >>> heights.log_prob([[162.0]]) > heights.log_prob([[200.0]])
        array([ True])
    """

    columns = ("height",)
    shares, means, stds = np.array([0.5, 0.5]), np.array([162.0, 176.0]), np.array([6.5, 7.0])

    def log_prob(self, x: Any) -> np.ndarray:
        """Returns log p(x) in nats, [N] float64."""
        parts = stats.norm(self.means, self.stds).logpdf(flattened(x, (1,)))
        return special.logsumexp(parts + np.log(self.shares), axis=1)

    def sample(self, num_samples: int, seed: int = 0) -> np.ndarray:
        """Returns draws of p(x), heights of people, [num_samples, 1]."""
        rng = np.random.default_rng(seed)
        kind = rng.choice(2, (num_samples, 1), p=self.shares)
        return np.asarray(rng.normal(self.means[kind], self.stds[kind]))


class Houses(Density):
    """A known density: areas of houses in square metres and prices in thousands, [N, 2].

    There are three neighbourhoods, which the data do not tell. In each the logarithm of the area is
    normal, and so is the logarithm of the price around a curve of the area, with more spread for
    larger houses. So log p(x) is known exactly, and is no mixture of a few normals.

    Example:
        >>> houses = vae_tf.densities.Houses()
        >>> houses.columns, houses.sample(5, seed=0).shape
        (('area', 'price'), (5, 2))
        >>> houses.log_prob([[-70.0, 200.0]])  # no area is negative
        array([-inf])
    """

    columns = ("area", "price")
    shares = np.array([0.5, 0.3, 0.2])
    areas, widths = np.log([70.0, 120.0, 200.0]), np.array([0.35, 0.3, 0.25])
    metre, curves = np.log([3.0, 5.0, 9.0]), np.array([-0.35, -0.2, 0.1])
    spreads = np.array([0.12, 0.15, 0.2])

    def _price(self, log_area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and spread of the price's logarithm, [..., 3], given that of the area."""
        away = log_area[..., None] - self.areas
        mean = self.metre + log_area[..., None] + self.curves * np.square(away) * 3
        return mean, self.spreads * np.exp(0.8 * away)

    def log_prob(self, x: Any) -> np.ndarray:
        """Returns log p(x) in nats, [N] float64; -inf where a value is not positive."""
        rows = flattened(x, (2,))
        positive = (rows > 0).all(1)
        area, price = np.log(np.where(positive[:, None], rows, 1.0)).T
        mean, spread = self._price(area)
        parts = stats.norm(self.areas, self.widths).logpdf(area[:, None])
        parts = parts + stats.norm(mean, spread).logpdf(price[:, None]) + np.log(self.shares)
        return np.where(positive, special.logsumexp(parts, axis=1) - area - price, -math.inf)

    def sample(self, num_samples: int, seed: int = 0) -> np.ndarray:
        """Returns draws of p(x), houses, [num_samples, 2]."""
        rng = np.random.default_rng(seed)
        kind, each = rng.choice(3, num_samples, p=self.shares), np.arange(num_samples)
        area = np.asarray(rng.normal(self.areas[kind], self.widths[kind]))
        mean, spread = (part[each, kind] for part in self._price(area))
        return np.exp(np.stack([area, rng.normal(mean, spread)], 1))
