"""Normal densities: with any covariance, and with that of a linear model of a few latents."""

import math
from typing import Any

import numpy as np
from scipy import linalg

from vae_tf.checks import whole
from vae_tf.densities.base import Density, flattened
from vae_tf.errors import ConfigError, DataError

LOG_2PI = math.log(2 * math.pi)


class Normal(Density):
    """A normal distribution with a full covariance, fitted by maximum likelihood.

    Args:
        x: training examples [N, *event], of which there must be more than numbers in one example.

    Attributes:
        mean: [D].
        covariance: [D, D].
        num_parameters: number of parameters of mean and covariance.

    Raises:
        DataError: the examples' covariance is singular, so that the density is unbounded.

    Example:
        >>> normal = vae_tf.densities.Normal([[-1.0], [1.0]])  # mean 0, variance 1
        >>> normal.log_prob([[0.0]]).round(3)  # -ln(2 pi) / 2
        array([-0.919])
    """

    def __init__(self, x: Any):
        rows = flattened(x)
        self.shape, size = np.shape(x)[1:], rows.shape[1]
        self.mean = rows.mean(0)
        self.covariance = np.atleast_2d(np.cov(rows, rowvar=False, bias=True))
        self.num_parameters = size + size * (size + 1) // 2
        self._factor = _cholesky(self.covariance)

    def log_prob(self, x: Any) -> np.ndarray:
        """Returns log p(x) in nats, [N] float64."""
        away = flattened(x, self.shape) - self.mean
        scaled = linalg.solve_triangular(self._factor, away.T, lower=True)
        log_det = 2 * np.log(np.diag(self._factor)).sum()
        return -0.5 * (np.square(scaled).sum(0) + log_det + len(self.mean) * LOG_2PI)

    def sample(self, num_samples: int, seed: int = 0) -> np.ndarray:
        """Returns draws of p(x), [num_samples, *event] float64."""
        noise = np.random.default_rng(seed).normal(size=(num_samples, len(self.mean)))
        return (self.mean + noise @ self._factor.T).reshape(num_samples, *self.shape)


class ProbabilisticPCA(Normal):
    """Probabilistic PCA: x = W z + mean + noise, z ~ N(0, I); a linear VAE, solved exactly.

    The noise is N(0, variance I). The likelihood has its maximum in closed form (Tipping and Bishop
    1999, equations 7 and 8): W spans the directions of the largest variances, and `variance` is the
    mean of the others.

    Args:
        x: training examples [N, *event].
        latent_dim: L, the number of latents, below D.

    Raises:
        ConfigError: `latent_dim` is not from 1 to D - 1.
        DataError: the examples vary in no more than `latent_dim` directions.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(1000, 3)) * [5.0, 1.0, 1.0]
        >>> ppca = vae_tf.densities.ProbabilisticPCA(x, latent_dim=1)
        >>> bool(abs(ppca.weights[0, 0]) > 4), bool(abs(ppca.variance - 1) < 0.1)
        (True, True)
    """

    def __init__(self, x: Any, latent_dim: int):
        rows = flattened(x)
        self.shape, size = np.shape(x)[1:], rows.shape[1]
        self.latent_dim = whole("latent_dim", latent_dim)
        if latent_dim >= size:
            expected = f"`latent_dim` must be below {size}, the numbers in an example"
            raise ConfigError(expected, latent_dim, "Pass a smaller one.")
        self.mean = rows.mean(0)
        values, directions = linalg.eigh(np.cov(rows, rowvar=False, bias=True))
        values, directions = np.clip(values[::-1], 0, None), directions[:, ::-1]
        self.variance = float(values[latent_dim:].mean())
        scales = np.sqrt(np.clip(values[:latent_dim] - self.variance, 0, None))
        self.weights = directions[:, :latent_dim] * scales
        self.covariance = self.weights @ self.weights.T + self.variance * np.eye(size)
        rotations = latent_dim * (latent_dim - 1) // 2  # of z, which change nothing
        self.num_parameters = size + size * latent_dim + 1 - rotations
        self._factor = _cholesky(self.covariance)


def _cholesky(covariance: np.ndarray) -> np.ndarray:
    """Returns the lower factor of a covariance that is not singular in float64."""
    try:
        factor = linalg.cholesky(covariance, lower=True)
    except linalg.LinAlgError:
        factor = np.zeros_like(covariance)
    largest = float(np.diag(covariance).max())
    if np.diag(factor).min() <= 1e-7 * math.sqrt(largest):
        raise DataError(
            "A normal density needs examples that vary in every direction",
            "a singular covariance",
            "Dequantize images, drop columns that follow from others, or pass more examples.",
        )
    return factor
