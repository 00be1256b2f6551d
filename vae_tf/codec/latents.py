"""Latents on a grid: bins that all distributions of z share, and the mass of a normal in each."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit, ndtr

from vae_tf.distributions.likelihoods.alphabets import Mass, Table

# A logistic of this scale is as dense in the middle as a normal of scale 1, and its tails are
# longer: at 2^-12 it has come to 5, a normal to 3.5.
LOGISTIC = 0.627


@dataclass(frozen=True)
class Grid:
    """2^bits bins of each latent, narrow where the prior is dense.

    Attributes:
        edges: of the bins, [L, 2^bits + 1] float64, from minus to plus infinity.
        points: z in the middle of each bin, [L, 2^bits] float32.
    """

    edges: np.ndarray
    points: np.ndarray

    @classmethod
    def around(cls, centre: np.ndarray, spread: np.ndarray, bits: int) -> "Grid":
        """Returns the grid of latents with these means and standard deviations, [L]."""
        size = 1 << bits

        def at(quantiles: np.ndarray) -> np.ndarray:
            unit = LOGISTIC * logit(quantiles)
            return np.float64(centre)[:, None] + np.float64(spread)[:, None] * unit

        edges = at(np.arange(size + 1) / size)
        return cls(edges, at((np.arange(size) + 0.5) / size).astype("float32"))

    @property
    def size(self) -> int:
        """How many bins a latent has."""
        return self.points.shape[1]

    def at(self, index: np.ndarray) -> np.ndarray:
        """Returns z in these bins, [C, L] float32."""
        return self.points[np.arange(len(self.points)), index]

    def normal(self, loc: np.ndarray, scale: np.ndarray) -> Mass:
        """Returns the mass of N(loc, scale^2), both [C, L], in ranges of bins."""
        latent = np.arange(len(self.edges))
        loc, scale = np.asarray(loc, "float64"), np.asarray(scale, "float64")

        def mass(low: np.ndarray, high: np.ndarray) -> np.ndarray:
            a = (self.edges[latent, low] - loc) / scale
            b = (self.edges[latent, high] - loc) / scale
            # In the upper tail of its mirror image, where two numbers next to 1 would cancel
            a, b = np.where(a > 0, -b, a), np.where(a > 0, -a, b)
            return ndtr(b) - ndtr(a)

        return mass


@dataclass(frozen=True)
class Mixture:
    """p(z) = sum_k w_k N(z; loc_k, diag(scale_k^2)), one component for a normal prior.

    Attributes:
        weights: [K] float32.
        loc: [K, L] float32.
        scale: [K, L] float32.
    """

    weights: np.ndarray
    loc: np.ndarray
    scale: np.ndarray

    @property
    def size(self) -> int:
        """The number of components."""
        return len(self.weights)

    def component(self, chains: int) -> Mass:
        """Returns the probability of ranges of components, the same for all chains."""
        weights = np.broadcast_to(self.weights, (chains, 1, self.size))
        return Table(self.size).mass({"probabilities": weights})

    def latents(self, grid: Grid, component: np.ndarray) -> Mass:
        """Returns the mass of the components, [C, 1], in ranges of bins."""
        return grid.normal(self.loc[component[:, 0]], self.scale[component[:, 0]])
