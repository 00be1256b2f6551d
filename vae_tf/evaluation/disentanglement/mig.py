"""The mutual information gap."""

import numpy as np

from vae_tf.checks import whole
from vae_tf.evaluation.disentanglement.given import checked


def mig(codes, factors, *, bins: int = 20) -> float:
    """Returns the mean over factors of [I(z_1; v) - I(z_2; v)] / H(v) (Chen et al. 2018, eq. 6).

    z_1 and z_2 are the two latents with most information about the factor v. The gap is 1 where one
    latent determines v and the others know nothing of it, and 0 where two latents know equally
    much. The information is that between v and bins of equal width, which N examples overestimate
    by about bins * values / 2N.

    Args:
        codes: means or draws of q(z|x), [N, L].
        factors: whole numbers, [N, K].
        bins: number of bins of each latent; a latent with no more values than that keeps them.

    Raises:
        DataError: there is no score of such codes or factors.
        ConfigError: there are fewer than two bins.

    Example:
        >>> factors = np.array([[i, j] for i in range(10) for j in range(10)])
        >>> codes = factors[:, ::-1] * [1.0, -2.0]  # each latent follows one factor
        >>> round(vae_tf.evaluation.disentanglement.mig(codes, factors), 3)
        1.0
    """
    codes, factors = checked(codes, factors)
    bins = whole("bins", bins, least=2)
    known = information(codes, factors, bins)
    known = np.sort(np.vstack([np.zeros_like(known[:1]), known]), axis=0)  # a single latent has z_2
    return float(np.mean((known[-1] - known[-2]) / _entropy(factors)))


def information(codes: np.ndarray, factors: np.ndarray, bins: int) -> np.ndarray:
    """Returns I(z_l; v_k) of binned codes in nats, [L, K]."""
    from sklearn.metrics import mutual_info_score  # a second to import

    binned = [_binned(column, bins) for column in codes.T]
    return np.array([[mutual_info_score(v, z) for v in factors.T] for z in binned])


def _binned(column: np.ndarray, bins: int) -> np.ndarray:
    values, numbers = np.unique(column, return_inverse=True)
    if len(values) <= bins:
        return numbers
    inner = np.linspace(column.min(), column.max(), bins + 1)[1:-1]
    return np.digitize(column, inner)


def _entropy(factors: np.ndarray) -> np.ndarray:
    shares = [np.bincount(column) / len(column) for column in factors.T]
    return np.array([-np.sum(p[p > 0] * np.log(p[p > 0])) for p in shares])
