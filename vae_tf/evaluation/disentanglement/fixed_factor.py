"""Scores by batches that share the value of one factor: which factor is it, judged by the codes."""

from collections.abc import Iterator

import numpy as np

from vae_tf.checks import real, whole
from vae_tf.evaluation.disentanglement.given import checked


def beta_vae_score(codes, factors, *, votes: int = 1000, pairs: int = 64, seed: int = 0) -> float:
    """Returns the accuracy of a classifier of the factor that pairs share (Higgins et al. 2017).

    Logistic regression sees the mean of |z - z'| over pairs of rows that share the value of one
    factor. It is fitted to half of the votes and scored on the rest. Chance is 1 / K. Rotated codes
    can have a score of 1.

    Args:
        codes: means of q(z|x), [N, L].
        factors: whole numbers, [N, K]; the pairs are drawn from these rows.
        votes: number of votes.
        pairs: number of pairs in a vote.
        seed: seed of the draws.

    Raises:
        DataError: codes or factors that no score can be given for.

    Example:
        >>> factors = np.array([[i, j] for i in range(10) for j in range(10)])
        >>> codes = factors[:, ::-1] * [1.0, -2.0]  # each latent follows one factor
        >>> vae_tf.evaluation.disentanglement.beta_vae_score(codes, factors, votes=200)
        1.0
    """
    from sklearn.linear_model import LogisticRegression  # a second to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    codes, factors = checked(codes, factors)
    votes, pairs = whole("votes", votes, least=2), whole("pairs", pairs)
    shared, differences = [], []
    for k, rows in _draws(factors, votes, pairs, 2, seed, each=True):
        shared.append(k)
        differences.append(np.mean(np.abs(codes[rows[0]] - codes[rows[1]]), 0))
    fitting, scoring = _halves(differences, shared)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return _score_of(model, fitting, scoring)


def factor_vae_score(
    codes,
    factors,
    *,
    votes: int = 1600,
    batch: int = 64,
    least_variance: float = 0.0,
    seed: int = 0,
) -> float:
    """Returns how often the latent of least variance tells the shared factor (Kim and Mnih 2018).

    Latents are divided by their standard deviation over all examples. Each vote is a batch that
    shares the value of one factor. Half of the votes decide which factor each latent stands for,
    and the score is the accuracy on the rest.

    Args:
        codes: means of q(z|x), [N, L].
        factors: whole numbers, [N, K]; the batches are drawn from these rows.
        votes: number of votes.
        batch: number of examples in a vote.
        least_variance: latents vote only if their variance is above it, as that of a collapsed
            latent is not; if none is above it, all vote.
        seed: seed of the draws.

    Raises:
        DataError: codes or factors that no score can be given for.

    Example:
        >>> factors = np.array([[i, j] for i in range(10) for j in range(10)])
        >>> codes = factors[:, ::-1] * [1.0, -2.0]  # each latent follows one factor
        >>> vae_tf.evaluation.disentanglement.factor_vae_score(codes, factors, votes=200)
        1.0
    """
    codes, factors = checked(codes, factors)
    votes, batch = whole("votes", votes, least=2), whole("batch", batch, least=2)
    variance = np.var(codes, 0)
    voting = variance > real("least_variance", least_variance, positive=False)
    voting = voting if voting.any() else np.ones_like(voting)
    scaled = codes[:, voting] / np.sqrt(np.where(variance > 0, variance, 1))[voting]
    counts: np.ndarray = np.zeros((2, scaled.shape[1], factors.shape[1]), int)
    for i, (k, rows) in enumerate(_draws(factors, votes, batch, 1, seed, each=False)):
        counts[i % 2, np.argmin(np.var(scaled[rows[0]], 0)), k] += 1
    stands_for = np.argmax(counts[0], 1)
    return float(counts[1, np.arange(len(stands_for)), stands_for].sum() / counts[1].sum())


def _draws(
    factors: np.ndarray, votes: int, size: int, sets: int, seed: int, each: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields a factor and rows [sets, size] that share its value.

    Args:
        factors: numbers from 0, [N, K].
        votes: number of votes.
        size: rows of a set.
        sets: rows that belong together.
        seed: seed of the draws.
        each: whether each member of a set has a value of its own, or the whole set has one.
    """
    rng = np.random.default_rng(whole("seed", seed, least=0))
    order = np.argsort(factors, axis=0, kind="stable")
    starts = [np.concatenate([[0], np.cumsum(np.bincount(column))]) for column in factors.T]
    for vote in range(votes):
        k = (vote // 2) % factors.shape[1]  # each half has all factors equally often
        value = factors[rng.integers(len(factors), size=size if each else 1), k]
        first, last = starts[k][value], starts[k][value + 1]
        yield k, order[rng.integers(first, last, size=(sets, size)), k]


def _halves(values: list, classes: list) -> tuple[tuple, tuple]:
    x, y = np.array(values), np.array(classes)
    return (x[::2], y[::2]), (x[1::2], y[1::2])


def _score_of(model, fitting: tuple, scoring: tuple) -> float:
    if len(np.unique(fitting[1])) == 1:
        return 1.0  # a single factor is always the one
    return float(model.fit(*fitting).score(*scoring))
