"""Disentanglement, completeness and informativeness."""

from typing import NamedTuple

import numpy as np

from vae_tf.checks import whole
from vae_tf.evaluation.disentanglement.given import checked, is_discrete
from vae_tf.evaluation.disentanglement.halves import halves


class DCI(NamedTuple):
    """The three scores, each at most 1, and the importances they are computed from; a tuple.

    Example:
        >>> factors = np.array([[i, j] for i in range(10) for j in range(10)])
        >>> codes = factors[:, ::-1] * [1.0, -2.0]  # each latent follows one factor
        >>> scores = vae_tf.evaluation.disentanglement.dci(codes, factors, trees=5)
        >>> scores.importance.round()  # latents by factors
        array([[0., 1.],
               [1., 0.]])
    """

    disentanglement: float  # each latent matters for one factor
    completeness: float  # each factor needs one latent
    informativeness: float  # accuracy of the forecast of factors, or its R^2
    importance: np.ndarray  # of latents for factors, [L, K]


def dci(codes, factors, *, trees: int = 50, seed: int = 0) -> DCI:
    """Returns the scores of Eastwood and Williams (2018, section 2), by random forests.

    A forest predicts each factor from the codes, by classification if it has whole numbers, else by
    regression. Forests are fitted to half of the examples; the rest gives `informativeness`.

    Args:
        codes: means or draws of q(z|x), [N, L].
        factors: numbers [N, K].
        trees: number of trees in a forest.
        seed: seed of halves and forests.

    Raises:
        DataError: there is no score of such codes or factors.

    Example:
        >>> factors = np.array([[i, j] for i in range(10) for j in range(10)])
        >>> codes = factors[:, ::-1] * [1.0, -2.0]  # each latent follows one factor
        >>> scores = vae_tf.evaluation.disentanglement.dci(codes, factors, trees=5)
        >>> scores.disentanglement > 0.9, scores.completeness > 0.9
        (True, True)
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor  # a second to import

    codes, factors = checked(codes, factors, discrete=False)
    trees, seed = whole("trees", trees), whole("seed", seed, least=0)
    fitting, scoring = halves(len(codes), seed)
    importance, scores = [], []
    for v in factors.T:
        kind = RandomForestClassifier if is_discrete(v) else RandomForestRegressor
        # Of all latents at each split: chosen among a few at random, those that know nothing count
        forest = kind(trees, max_features=None, random_state=seed).fit(codes[fitting], v[fitting])
        importance.append(forest.feature_importances_)
        scores.append(forest.score(codes[scoring], v[scoring]))
    matrix = np.stack(importance, 1)
    return DCI(*_disentanglement_and_completeness(matrix), float(np.mean(scores)), matrix)


def _disentanglement_and_completeness(importance: np.ndarray) -> tuple[float, float]:
    """Returns sum_l rho_l D_l and the mean of C_k, for importances [L, K]."""
    by_latent = importance.sum(1)
    disentangled = _one_less_entropy(importance) @ by_latent / max(by_latent.sum(), 1e-300)
    return float(disentangled), float(np.mean(_one_less_entropy(importance.T)))


def _one_less_entropy(importance: np.ndarray) -> np.ndarray:
    """Returns 1 - H(p) / log(columns) for each row p, normalized; 0 where a row is 0."""
    total = importance.sum(1, keepdims=True)
    p = importance / np.where(total > 0, total, 1)
    logs = np.log(np.where(p > 0, p, 1)) / np.log(max(p.shape[1], 2))
    return np.where(total[:, 0] > 0, 1 + np.sum(p * logs, 1), 0)
