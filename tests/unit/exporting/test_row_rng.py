"""The row generator: its words by another implementation, and its quality by statistics.

Every check is a p-value. The battery refuses a generator if the smallest of its m p-values is
below ALPHA / m (Bonferroni); PCG64 must pass it and a bare LCG must not, so that it is known to
tell good from bad.
"""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vae_tf.formats.litert import files as litert
from vae_tf.formats.runtimes import cpp_loader, saved_model
from vae_tf.signatures import row_rng
from vae_tf.signatures.endpoint import Endpoint, Input

ALPHA = 1e-3
EXTREMES = np.array([0, 1, -1, 2**31 - 1, -(2**31), 12345, -12345], np.int32)
GOLDEN = [2066609, 48239, 15926593, 2720513, 12083063, 15929283, 15808589]


class Ours:
    def uniforms(self, seeds, n):
        return row_rng.uniforms(tf.constant(seeds), n).numpy()

    def normals(self, seeds, n):
        return row_rng.normals(tf.constant(seeds), n).numpy()


class Reference:
    """NumPy's PCG64, in 23 bits; it has no use for seeds."""

    def __init__(self):
        self.rng = np.random.Generator(np.random.PCG64(1))

    def uniforms(self, seeds, n):
        return (self.rng.integers(1 << 23, size=(len(seeds), n)) + 0.5) * 2.0**-23

    def normals(self, seeds, n):
        return self.rng.standard_normal((len(seeds), n))


class BareLCG:
    """x <- a x + c from x = seed (Numerical Recipes' constants), its upper 23 bits unmixed."""

    def uniforms(self, seeds, n):
        x, draws = seeds.astype(np.uint32), []
        for _ in range(n):
            x = x * np.uint32(1664525) + np.uint32(1013904223)
            draws.append(x >> np.uint32(9))
        return (np.stack(draws, 1) + 0.5) * 2.0**-23

    def normals(self, seeds, n):
        return stats.norm.ppf(self.uniforms(seeds, n))


def two_sided(z):
    return 2 * stats.norm.sf(np.abs(z))


def correlation(a, b):
    """p-value of no correlation; r sqrt(n) is N(0, 1) for n in the hundred thousands."""
    return two_sided(np.corrcoef(a.ravel(), b.ravel())[0, 1] * np.sqrt(a.size))


def chi_square(counts):
    return stats.chisquare(counts.ravel()).pvalue


def bits_of(uniforms):
    """[..., 23] of 0 and 1, the highest first."""
    words = np.floor(uniforms * 2.0**23).astype(np.int64)
    return (words[..., None] >> np.arange(22, -1, -1)) & 1


def seed_rows():
    """Name -> 1024 neighbouring seeds, over the whole range and across its seams."""
    steps = np.arange(-512, 512)
    starts = {"zero": 0, "max": 2**31 - 1, "middle": 2**30, "negative": -1_234_567_890}
    rows = {name: (start + steps).astype(np.int64) for name, start in starts.items()}
    rows["powers"] = (np.arange(1024) << 21) - 2**31
    return {n: ((r + 2**31) % 2**32 - 2**31).astype(np.int32) for n, r in rows.items()}


def distribution_checks(generator):
    seeds = np.arange(-500, 500, dtype=np.int32) * 4001
    x = generator.normals(seeds, 1000).astype(np.float64).ravel()
    n = x.size
    yield "mean", two_sided(x.mean() * np.sqrt(n))
    yield "variance", two_sided((x.var() - 1) * np.sqrt(n / 2))
    yield "skewness", two_sided(stats.skew(x) * np.sqrt(n / 6))
    yield "kurtosis", two_sided(stats.kurtosis(x) * np.sqrt(n / 24))
    yield "normal KS", stats.kstest(x, "norm").pvalue
    far = (np.abs(x) > 4).sum()
    yield "beyond 4", stats.binomtest(int(far), n, 2 * stats.norm.sf(4)).pvalue
    u = generator.uniforms(seeds, 1000).astype(np.float64)
    yield "uniform KS", stats.kstest(u.ravel(), "uniform").pvalue
    for bins in (10, 256, 4096):
        yield f"{bins} bins", chi_square(np.histogram(u, bins, (0, 1))[0])


def neighbour_checks(generator):
    for name, seeds in seed_rows().items():
        n = 512
        u = generator.uniforms(seeds, n).astype(np.float64)
        x = generator.normals(seeds, n).astype(np.float64)
        for lag in (1, 2, 3, 16, 64, 256):
            for kind, y in (("u", u), ("x", x), ("x^2", x**2)):
                yield f"{name} {kind} seeds {lag} apart", correlation(y[lag:], y[:-lag])
                yield f"{name} {kind} draws {lag} apart", correlation(y[:, lag:], y[:, :-lag])
        for where, a, b in (("seeds", u[1:], u[:-1]), ("draws", u[:, 1:], u[:, :-1])):
            # Pairs that do not overlap, or the counts would not be independent
            a, b = (a[::2], b[::2]) if where == "seeds" else (a[:, ::2], b[:, ::2])
            square = np.histogram2d(a.ravel(), b.ravel(), 32, ((0, 1), (0, 1)))[0]
            yield f"{name} pairs of {where}", chi_square(square)
        yield f"{name} sums over draws", stats.kstest(x.sum(1) / np.sqrt(n), "norm").pvalue
        yield f"{name} sums over seeds", stats.kstest(x.sum(0) / np.sqrt(1024), "norm").pvalue
        yield f"{name} normals and uniforms", correlation(u, x)
        yield f"{name} both at lag 1", correlation(u[:, 1:], x[:, :-1])


def bit_checks(generator):
    seeds = np.arange(-2000, 2000, dtype=np.int32)
    bits = bits_of(generator.uniforms(seeds, 64))
    n = bits[..., 0].size
    for place, ones in enumerate(bits.sum((0, 1))):
        yield f"balance of bit {place}", two_sided((ones - n / 2) / np.sqrt(n / 4))
    for place in range(32):
        flipped = seeds ^ np.int32(np.uint32(1 << place).view(np.int32))
        before, after = (bits_of(generator.uniforms(s, 8)) for s in (seeds, flipped))
        # A row and its partner may both be among `seeds`: count each such pair once
        once = ~np.isin(flipped, seeds) | (seeds < flipped)
        flips = (before != after)[once].sum((0, 1))
        n = once.sum() * 8
        z = (flips - n / 2) / np.sqrt(n / 4)
        yield f"avalanche of seed bit {place}", stats.chi2.sf((z**2).sum(), len(z))
    neighbours = (bits[:, 1::2] != bits[:, ::2]).sum((0, 1))
    z = (neighbours - n_pairs(bits) / 2) / np.sqrt(n_pairs(bits) / 4)
    yield "avalanche of the counter", stats.chi2.sf((z**2).sum(), len(z))


def n_pairs(bits):
    return bits.shape[0] * bits.shape[1] // 2


CHECKS = [distribution_checks, neighbour_checks, bit_checks]


def failures(generator, checks):
    """Name -> p-value of the checks that refuse `generator`."""
    p = dict(checks(generator))
    return {name: value for name, value in p.items() if not value > ALPHA / len(p)}


@pytest.mark.parametrize("checks", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("generator", [Ours, Reference])
def test_quality(generator, checks):
    assert failures(generator(), checks) == {}


@pytest.mark.parametrize("checks", [neighbour_checks, bit_checks], ids=lambda c: c.__name__)
def test_the_battery_refuses_a_bad_generator(checks):
    assert len(failures(BareLCG(), checks)) > 10


def test_the_battery_refuses_a_wrong_distribution():
    class Wrong(Reference):
        def normals(self, seeds, n):
            return 1.015 * super().normals(seeds, n)

        def uniforms(self, seeds, n):
            return super().uniforms(seeds, n) ** 1.01

    assert {"variance", "normal KS", "uniform KS", "256 bins"} <= set(
        failures(Wrong(), distribution_checks)
    )


def by_numpy(seeds, stream, n):
    """The words of the module's docstring in unsigned arithmetic."""

    def mix(x):
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
        return x ^ (x >> np.uint32(16))

    s = seeds.view(np.uint32)[:, None]
    counter = np.arange(n, dtype=np.uint32) * np.uint32(3) + np.uint32(stream)
    return mix(mix(mix(s ^ np.uint32(0x9E3779B9)) ^ mix(counter)) + mix(s ^ np.uint32(0x3C6EF372)))


def test_words_are_those_of_unsigned_arithmetic():
    seeds = np.r_[EXTREMES, np.random.default_rng(0).integers(-(2**31), 2**31, 5000)]
    seeds = seeds.astype(np.int32)
    for stream in row_rng.STREAMS:
        words = row_rng._words(tf.constant(seeds), stream, 40).numpy().view(np.uint32)
        np.testing.assert_array_equal(words, by_numpy(seeds, stream, 40))
    u = row_rng.uniforms(tf.constant(seeds), 40).numpy()
    np.testing.assert_array_equal(u, ((by_numpy(seeds, 2, 40) >> np.uint32(9)) + 0.5) * 2.0**-23)


def test_words_are_kept():
    """Clients keep seeds: what a seed gives may not change between versions."""
    u = row_rng.uniforms(tf.constant(EXTREMES), 1).numpy()[:, 0]
    np.testing.assert_array_equal((u * 2**24).astype(int), GOLDEN)


def test_other_runtimes_draw_the_same(tmp_path):
    def draw(seed):
        return {"u": row_rng.uniforms(seed, 8), "x": row_rng.normals(seed, 20)}

    seeds = np.r_[EXTREMES, np.random.default_rng(1).integers(-(2**31), 2**31, 20_000)]
    batch = {"seed": seeds.astype(np.int32)}
    inputs = (Input("seed", "int32"),)
    saved_model.write([Endpoint("draw", "d", inputs, frozenset(), draw)], tmp_path)
    content = litert.convert(tmp_path, ["draw"])
    (by_litert,) = litert.run(content, "draw", [batch])
    ((by_server,),) = cpp_loader.run([cpp_loader.Call(tmp_path, "draw", [batch])])
    want = {name: value.numpy() for name, value in draw(tf.constant(batch["seed"])).items()}
    for outputs in (by_litert, by_server):
        np.testing.assert_array_equal(outputs["u"], want["u"])
        np.testing.assert_allclose(outputs["x"], want["x"], rtol=0, atol=2e-6)


def test_ends_of_the_range(monkeypatch):
    words = np.array([[0, -1, 511, -512, 2**31 - 1, -(2**31)]], np.int32)
    monkeypatch.setattr(row_rng, "_words", lambda seed, stream, n: tf.constant(words))
    u = row_rng.uniforms(tf.constant([0]), 6).numpy()[0]
    half = 2.0**-24
    np.testing.assert_array_equal(u, [half, 1 - half, half, 1 - half, 0.5 - half, 0.5 + half])
    # The radius of the smallest draw, times a cosine
    x = row_rng.normals(tf.constant([0]), 6).numpy()
    assert np.isfinite(x).all()
    assert np.abs(x).max() == pytest.approx(np.sqrt(48 * np.log(2)), rel=1e-5)


def test_a_row_depends_on_its_seed_alone():
    seeds = np.r_[EXTREMES, np.arange(30)].astype(np.int32)
    for n in (1, 2, 3, 33):
        for draw in (row_rng.normals, row_rng.uniforms):
            whole = draw(tf.constant(seeds), n).numpy()
            assert whole.shape == (len(seeds), n)
            for i, seed in enumerate(seeds):
                np.testing.assert_array_equal(draw(tf.constant([seed]), n).numpy()[0], whole[i])
            more = draw(tf.constant(seeds), n + 5).numpy()
            np.testing.assert_array_equal(more[:, :n], whole)


def test_no_rows_and_no_draws():
    for draw in (row_rng.normals, row_rng.uniforms):
        assert draw(tf.zeros([0], tf.int32), 3).shape == (0, 3)
        assert draw(tf.constant([1, 2]), 0).shape == (2, 0)


def test_rows_do_not_repeat():
    """No two of a million neighbouring seeds share their first two draws of 23 bits."""
    u = row_rng.uniforms(tf.range(-500_000, 500_000), 2).numpy()
    keys = np.floor(u.astype(np.float64) * 2**23) @ [2.0**23, 1.0]
    # 46 bits, 5e11 pairs: 0.007 expected
    assert len(np.unique(keys)) == len(keys)
