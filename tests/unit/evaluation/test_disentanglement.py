import itertools

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from vae_tf.errors import DataError
from vae_tf.evaluation.disentanglement import (
    beta_vae_score,
    dci,
    disentanglement,
    factor_vae_score,
    mig,
    sap,
)
from vae_tf.evaluation.disentanglement.dci import _disentanglement_and_completeness

SIZES = (3, 4, 5)
TABLE = np.array(list(itertools.product(*map(range, SIZES), range(20))))[:, :3]  # 20 rows each
RNG = np.random.default_rng(0)
TURN = np.array([[2, -1, 2], [2, 2, -1], [-1, 2, 2]]) / 3  # a rotation
RANDOM = RNG.normal(size=(len(TABLE), 3))
SCALED = (TABLE - TABLE.mean(0)) / TABLE.std(0)
PERFECT = {
    "itself": TABLE,
    "permuted": TABLE[:, [2, 0, 1]],
    "stretched and turned over": 3.0 - TABLE * (1.0, -2.0, 5.0),
    "beside a constant": np.hstack([TABLE, np.zeros((len(TABLE), 1))]),
}


@pytest.mark.parametrize("name", PERFECT)
def test_one_latent_a_factor_is_perfect(name):
    codes = PERFECT[name]
    assert mig(codes, TABLE) == pytest.approx(1, abs=1e-12)
    assert factor_vae_score(codes, TABLE, votes=200) == 1
    assert beta_vae_score(codes, TABLE, votes=200) == 1
    scores = dci(codes, TABLE, trees=10)
    assert scores.disentanglement == pytest.approx(1)
    assert scores.completeness == pytest.approx(1)
    assert scores.informativeness == 1
    assert scores.importance.shape == (codes.shape[1], 3)
    assert sap(codes, TABLE + 0.5) == pytest.approx(1, abs=1e-12)  # by correlations


def test_rotated_codes_know_everything_and_are_not_disentangled():
    codes = SCALED @ TURN
    assert mig(codes, TABLE) < 0.4
    scores = dci(codes, TABLE, trees=10)
    assert scores.disentanglement < 0.5
    assert scores.informativeness > 0.9
    # Each factor explains 4 / 9 of two latents and 1 / 9 of the third
    assert sap(codes, TABLE + 0.5) == pytest.approx(0, abs=1e-12)
    assert beta_vae_score(codes, TABLE) > 0.9  # which is why the FactorVAE score was proposed


def test_random_codes_know_nothing():
    # 2 N I is chi-square with 19 (values - 1) degrees of freedom: the bias is their half over N
    bias = max(19 * (size - 1) / (2 * len(TABLE) * np.log(size)) for size in SIZES)
    assert mig(RANDOM, TABLE) < bias
    scores = dci(RANDOM, TABLE, trees=10)
    assert scores.disentanglement < 0.1
    assert scores.completeness < 0.1
    chance = np.mean(1 / np.array(SIZES))
    stderr = np.sqrt(np.mean([(1 - 1 / k) / k for k in SIZES]) / (len(TABLE) / 2 * 3))
    assert abs(scores.informativeness - chance) < 4 * stderr
    assert sap(RANDOM, TABLE + 0.5) < 0.02
    for score in (beta_vae_score(RANDOM, TABLE), factor_vae_score(RANDOM, TABLE)):
        assert abs(score - 1 / 3) < 4 * np.sqrt(2 / 9 / 500)


def test_mig_is_the_gap_of_histograms():
    codes = SCALED @ TURN + 0.1 * RANDOM
    gaps = []
    for v in TABLE.T:
        values = np.arange(v.max() + 2) - 0.5
        known = []
        for z in codes.T:
            p = np.histogram2d(z, v, (np.linspace(z.min(), z.max(), 11), values))[0] / len(v)
            outer = p.sum(1, keepdims=True) * p.sum(0)
            known.append(np.sum(p[p > 0] * np.log(p[p > 0] / outer[p > 0])))
        best = sorted(known)
        gaps.append((best[-1] - best[-2]) / np.log(len(values) - 1))
    assert mig(codes, TABLE, bins=10) == pytest.approx(np.mean(gaps), rel=1e-9)


def test_sap_of_continuous_factors_is_the_gap_of_explained_variances():
    factors = SCALED + 0.5 * RANDOM
    codes = factors @ TURN
    gaps = []
    for v in factors.T:
        explained = [LinearRegression().fit(z[:, None], v).score(z[:, None], v) for z in codes.T]
        gaps.append(np.diff(sorted(explained))[-1])
    assert sap(codes, factors) == pytest.approx(np.mean(gaps), rel=1e-9)


def test_sap_of_two_classes_is_the_accuracy_of_the_middle_less_chance():
    rng = np.random.default_rng(1)
    v = np.arange(4000) % 2
    codes = np.stack([v + rng.normal(size=4000), rng.normal(size=4000)], 1)
    # Phi(1/2) by the threshold 1/2, and 1/2 by noise
    assert abs(sap(codes, v[:, None]) - (0.691462 - 0.5)) < 4 * np.sqrt(0.5 / 2000)


def test_dci_of_known_importances():
    assert _disentanglement_and_completeness(np.eye(3)) == (1, 1)
    assert np.allclose(_disentanglement_and_completeness(np.ones((3, 3)) / 3), 0)
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    mixed = np.array([[0.75, 0.25], [0.25, 0.75]])
    assert np.allclose(_disentanglement_and_completeness(mixed), 1 - entropy)
    # A latent for both factors weighs twice: (1 * 0 + 1 * ...) / 2
    shared = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert np.allclose(_disentanglement_and_completeness(shared), (0, 1))


def test_collapsed_latents_do_not_vote():
    rng = np.random.default_rng(2)
    noise = 1e-3 * rng.normal(size=(len(TABLE), 2))  # would win by chance, or not at all
    codes = np.hstack([SCALED, noise])
    assert factor_vae_score(codes, TABLE, votes=200, least_variance=0.05) == 1
    assert factor_vae_score(noise, TABLE, votes=200, least_variance=0.05) < 0.6


def test_all_scores_by_name_and_seed():
    codes = SCALED @ TURN
    found = disentanglement(codes, TABLE, seed=3)
    assert found == disentanglement(codes, TABLE, seed=3)
    assert set(found) == {
        *("mig", "sap", "beta_vae", "factor_vae"),
        *(f"dci_{part}" for part in ("disentanglement", "completeness", "informativeness")),
    }
    assert found["mig"] == mig(codes, TABLE)


WRONG = {
    "lengths": (RANDOM[:5], TABLE, r"Each code must have its factors\. Received: 5 and 1200"),
    "one axis": (RANDOM[:, 0], TABLE, r"`codes` must have two axes\. Received: shape \(1200,\)"),
    "NaN": (np.where(RANDOM > 3, np.nan, RANDOM), TABLE, "`codes` must be finite"),
    "constant": (RANDOM, TABLE * (1, 0, 1), "Each factor must vary.* 0 alone in factor 1"),
    "continuous": (RANDOM, TABLE + 0.5, "Factors must be whole numbers.*np.digitize"),
    "all different": (RANDOM, np.arange(1200)[:, None], "1200 values among 1200 examples"),
    "words": (RANDOM, TABLE.astype(str), "`factors` must be numbers.*np.unique"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_has_no_score_is_refused(name):
    codes, factors, message = WRONG[name]
    scores = [mig, beta_vae_score, factor_vae_score]
    scores += [dci, sap] if name not in ("continuous", "all different") else []
    for score in scores:
        with pytest.raises(DataError, match=message) as refused:
            score(codes, factors)
        assert "\n" not in str(refused.value)
