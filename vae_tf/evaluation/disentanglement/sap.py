"""The separated attribute predictability."""

import numpy as np

from vae_tf.checks import whole
from vae_tf.evaluation.disentanglement.given import checked, is_discrete
from vae_tf.evaluation.disentanglement.halves import halves


def sap(codes, factors, *, seed: int = 0) -> float:
    """Returns the mean gap between the two latents that predict a factor best (Kumar et al. 2018).

    A single latent predicts a factor of whole numbers by a linear support vector machine (C =
    0.01), fitted to half of the examples and scored by the balanced accuracy on the rest. Other
    factors are scored by the squared correlation. If there is one latent, its score is compared
    with chance.

    Args:
        codes: means or draws of q(z|x), [N, L].
        factors: numbers, [N, K].
        seed: seed of the halves.

    Raises:
        DataError: there is no score of such codes or factors.

    Example:
        >>> factors = np.array([[i, j] for i in range(10) for j in range(10)])
        >>> codes = factors[:, ::-1] * [1.0, -2.0]  # each latent follows one factor
        >>> round(vae_tf.evaluation.disentanglement.sap(codes, factors / 2), 3)  # no whole numbers
        1.0
    """
    codes, factors = checked(codes, factors, discrete=False)
    fitting, scoring = halves(len(codes), whole("seed", seed, least=0))
    scores = np.array(
        [
            [
                _accuracy(z, v, fitting, scoring) if is_discrete(v) else _correlation(z, v) ** 2
                for v in factors.T
            ]
            for z in codes.T
        ]
    )
    if len(scores) == 1:
        chance = [1 / len(np.unique(v)) if is_discrete(v) else 0.0 for v in factors.T]
        scores = np.vstack([chance, scores])
    ordered = np.sort(scores, axis=0)
    return float(np.mean(ordered[-1] - ordered[-2]))


def _accuracy(z: np.ndarray, v: np.ndarray, fitting: np.ndarray, scoring: np.ndarray) -> float:
    from sklearn.metrics import recall_score  # a second to import
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=0.01, class_weight="balanced", dual=False)
    forecast = machine.fit(z[fitting, None], v[fitting]).predict(z[scoring, None])
    return recall_score(v[scoring], forecast, average="macro", zero_division=0)


def _correlation(z: np.ndarray, v: np.ndarray) -> float:
    return 0.0 if np.ptp(z) == 0 else float(np.corrcoef(z, v)[0, 1])
