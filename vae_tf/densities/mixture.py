"""Gaussian mixtures, by scikit-learn's EM."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Mixture

from vae_tf.checks import whole
from vae_tf.densities.base import Density, flattened
from vae_tf.errors import DataError, VAEError

FLOOR = 1e-6  # added to variances, as a share of the mean variance; scikit-learn's is absolute


class GaussianMixture(Density):
    """p(x) = sum_k w_k N(x; mean_k, covariance_k), fitted by expectation maximization.

    Args:
        x: training examples [N, *event].
        components: K.
        covariance: "full", or "diag" for components with a diagonal covariance.
        seed: seed of the first guess.

    Raises:
        DataError: there are fewer examples than components, or all examples are equal.

    Example:
        >>> x = np.concatenate([vae_tf.densities.Heights().sample(500), [[400.0]] * 500])
        >>> mixture = vae_tf.densities.GaussianMixture(x, components=2)
        >>> sorted(mixture.mixture.weights_.round(3).tolist())
        [0.5, 0.5]
    """

    def __init__(self, x: Any, components: int, covariance: str = "full", seed: int = 0):
        rows = flattened(x)
        self.shape, size = np.shape(x)[1:], rows.shape[1]
        self.components = whole("components", components)
        if len(rows) < max(2, components) or not rows.var(0).any():
            fix = "Pass more examples, or fewer components."
            received = f"{len(rows)} examples, {len(np.unique(rows, axis=0))} of them different"
            raise DataError(f"{components} components need as many examples", received, fix)
        floor = FLOOR * float(rows.var(0).mean())
        self.mixture = Mixture(components, covariance_type=covariance, random_state=seed)
        self.mixture.set_params(reg_covar=floor, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a bound on time, not an error
            self.mixture.fit(rows)
        spread = size if covariance == "diag" else size * (size + 1) // 2
        self.num_parameters = components * (1 + size + spread) - 1

    @classmethod
    def chosen(
        cls,
        x: Any,
        held_out: Any,
        components: Sequence[int],
        covariance: str = "full",
        seed: int = 0,
    ) -> "GaussianMixture":
        """Returns the mixture whose number of components suits held-out examples best."""
        fitted = []
        for number in components:
            try:
                fitted.append(cls(x, number, covariance, seed))
            except VAEError:
                if not fitted:
                    raise
        return max(fitted, key=lambda mixture: mixture.log_prob(held_out).mean())

    def log_prob(self, x: Any) -> np.ndarray:
        """Returns log p(x) in nats, [N] float64."""
        return self.mixture.score_samples(flattened(x, self.shape))

    def sample(self, num_samples: int, seed: int = 0) -> np.ndarray:
        """Returns draws of p(x), [num_samples, *event] float64, in random order."""
        rng = np.random.default_rng(seed)
        self.mixture.set_params(random_state=int(rng.integers(2**31)))
        rows, _ = self.mixture.sample(num_samples)
        return rng.permutation(rows).reshape(num_samples, *self.shape)
