"""Numbers by position: Philox's own test vectors, and the normals against their distribution."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vae_tf import noise

SEED = tf.constant([7, -3])


def philox(counter, key):
    """Philox-4x32-10 (Salmon et al. 2011, section 3.4): counters [N, 4] and a key of 2 words."""
    x = [column.astype(np.uint64) for column in np.asarray(counter).T]
    k = [int(word) for word in key]
    for _ in range(10):
        a, b = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        high, low = (lambda p: p >> np.uint64(32)), (lambda p: p & np.uint64(0xFFFFFFFF))
        x = [high(b) ^ x[1] ^ np.uint64(k[0]), low(b), high(a) ^ x[3] ^ np.uint64(k[1]), low(a)]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return np.stack(x, 1).astype(np.uint32)


def test_the_oracle_has_the_published_vectors():
    """Random123's kat_vectors."""
    ones, pi = 2**32 - 1, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    zeros = philox([[0] * 4], [0] * 2)[0].tolist()
    assert zeros == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    full = philox([[ones] * 4], [ones] * 2)[0].tolist()
    assert full == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    digits = philox([pi], [0xA4093822, 0x299F31D0])[0].tolist()
    assert digits == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@pytest.mark.parametrize("first", [0, 2**32 - 3, 2**40 + 5])
@pytest.mark.parametrize("width", [1, 4, 10])
def test_words_are_philox_at_counters_of_their_own(first, width):
    key = np.array([7, -3], np.int32).view(np.uint32)
    steps = -(-width // 4)
    for kind in (noise.NORMALS, noise.UNIFORMS, noise.SEEDS):
        start = [first * steps + i for i in range(5 * steps)]
        counters = [[place % 2**32, place >> 32, kind, 0] for place in start]
        words = noise._words(SEED, kind, tf.constant(first, tf.int64), 5, width)
        expected = philox(counters, key).view(np.int32).reshape(5, 4 * steps)
        np.testing.assert_array_equal(words, expected)


def test_a_row_is_the_same_in_any_batch_and_under_xla():
    kinds = {
        "normals": lambda first, count: noise.normals(SEED, first, count, 5),
        "uniforms": lambda first, count: noise.uniforms(SEED, first, count, 5),
        "seeds": lambda first, count: noise.seeds(SEED, first, count),
    }
    for name, kind in kinds.items():
        whole = kind(90, 40).numpy()
        parts = np.concatenate([kind(90, 1), kind(91, 25), kind(116, 14)])
        by_xla = tf.function(kind, jit_compile=True)(tf.constant(90, tf.int64), 40)
        # Eigen computes the last few numbers of a tensor in another way than the first
        tolerance = {"rtol": 0, "atol": 2e-6 if name == "normals" else 0}
        np.testing.assert_allclose(parts, whole, **tolerance)
        np.testing.assert_allclose(by_xla, whole, **tolerance)


def test_the_smallest_and_the_largest_words(monkeypatch):
    extremes = [0, -1, 2**31 - 1, -(2**31)]
    pairs = np.array([[a, b] for a in extremes for b in extremes], np.int32)
    rows = np.repeat(pairs, 2, 1)  # [a, a, b, b]: two radii, two angles
    monkeypatch.setattr(noise, "_words", lambda *args: tf.constant(rows))
    x = noise.normals(SEED, 0, 16, 4).numpy()
    assert np.isfinite(x).all()
    assert np.abs(x).max() == pytest.approx(np.sqrt(64 * np.log(2)), rel=1e-5)
    u = noise.uniforms(SEED, 0, 16, 4).numpy()
    assert 0 < u.min() < 2**-22
    assert 1 > u.max() > 1 - 2**-22


def p_values():
    """Name -> p-value, where the numbers are what they should be."""
    rows, width = 40_000, 25
    x = noise.normals(SEED, 10**9, rows, width).numpy().astype("float64")
    u = noise.uniforms(SEED, 10**9, rows, width).numpy().astype("float64")
    n = x.size

    def normal(z):
        return 2 * stats.norm.sf(np.abs(z))

    def correlation(a, b):
        return normal(np.corrcoef(a.ravel(), b.ravel())[0, 1] * np.sqrt(a.size))

    yield "mean", normal(x.mean() * np.sqrt(n))
    yield "variance", normal((x.var() - 1) * np.sqrt(n / 2))
    yield "skewness", normal(stats.skew(x.ravel()) * np.sqrt(n / 6))
    yield "kurtosis", normal(stats.kurtosis(x.ravel()) * np.sqrt(n / 24))
    yield "normal", stats.kstest(x.ravel(), "norm").pvalue
    yield "uniform", stats.kstest(u.ravel(), "uniform").pvalue
    far = int((np.abs(x) > 4).sum())
    yield "beyond 4", stats.binomtest(far, n, 2 * stats.norm.sf(4)).pvalue
    for place in range(width):
        yield f"column {place}", stats.kstest(x[:, place], "norm").pvalue
    others = {
        "seed": noise.normals(tf.constant([7, -2]), 10**9, rows, width),
        "first word": noise.normals(tf.constant([8, -3]), 10**9, rows, width),
        "uniforms": u,
    }
    for name, other in others.items():
        yield name, correlation(x, np.asarray(other))
    for lag in (1, 2, 7):
        for power in (1, 2):
            y = x**power
            yield f"rows {lag} apart, power {power}", correlation(y[lag:], y[:-lag])
            yield f"columns {lag} apart, power {power}", correlation(y[:, lag:], y[:, :-lag])
    # A radius serves a cosine and a sine, 14 columns apart: squares would show it
    half = 14
    for power in (1, 2):
        y = x**power
        yield f"halves, power {power}", correlation(y[:, half:], y[:, : width - half])
    yield "sums over a row", stats.kstest(x.sum(1) / np.sqrt(width), "norm").pvalue


def test_distribution_and_independence():
    p = dict(p_values())
    assert {name: value for name, value in p.items() if not value > 1e-3 / len(p)} == {}


def test_no_rows():
    assert noise.normals(SEED, 5, 0, 3).shape == (0, 3)
    assert noise.seeds(SEED, 5, 0).shape == (0, 2)
