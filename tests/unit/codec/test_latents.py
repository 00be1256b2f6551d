import numpy as np
import pytest
from scipy import stats

from vae_tf.codec.latents import Grid, Mixture


@pytest.fixture(scope="module")
def grid():
    return Grid.around(np.array([0.0, 5.0], "float32"), np.array([1.0, 0.1], "float32"), 12)


def test_bins_hold_their_points_and_cover_all(grid):
    assert grid.size == 4096
    assert np.all(np.diff(grid.edges) > 0)
    assert np.all((grid.points > grid.edges[:, :-1]) & (grid.points < grid.edges[:, 1:]))
    np.testing.assert_array_equal(grid.edges[:, [0, -1]], [[-np.inf, np.inf]] * 2)


def test_bins_are_narrow_where_the_prior_is(grid):
    width = np.diff(grid.edges[:, 1:-1])
    inside = np.abs(grid.edges[0, 1:-2]) < 2
    assert width[0, inside].max() < 0.005
    np.testing.assert_allclose(width[1], width[0] / 10, rtol=1e-4)


def test_mass_of_a_normal(grid):
    loc, scale = np.array([[0.3, 5.2], [-9.0, 4.0]]), np.array([[0.05, 0.2], [2.0, 1e-4]])
    mass = grid.normal(loc, scale)
    low, high = np.array([[100, 4000], [0, 0]]), np.array([[2500, 4096], [1, 4096]])
    edges = np.stack([grid.edges[[0, 1], low], grid.edges[[0, 1], high]])
    cdf = stats.norm.cdf((edges - loc) / scale)
    np.testing.assert_allclose(mass(low, high), cdf[1] - cdf[0], atol=1e-14)


def test_tails_keep_their_digits(grid):
    """Of both, to 30 standard deviations; a difference of distribution functions has none."""
    mass = grid.normal(np.zeros((1, 2)), np.full((1, 2), 0.1))
    low = np.full((1, 2), 4000)
    a, b = grid.edges[0, 4000] / 0.1, grid.edges[0, 4001] / 0.1
    expected = stats.norm.sf(a) - stats.norm.sf(b)
    assert 0 < expected < 1e-100
    np.testing.assert_allclose(mass(low, low + 1)[0, 0], expected, rtol=1e-10)
    np.testing.assert_allclose(mass(95 + 0 * low, 96 + 0 * low)[0, 0], expected, rtol=1e-6)


def test_mixture():
    prior = Mixture(np.array([0.2, 0.8]), np.array([[0.0], [1.0]]), np.array([[1.0], [0.5]]))
    grid = Grid.around(np.zeros(1), np.ones(1), 4)
    component = prior.component(2)
    zero = np.zeros((2, 1), "int64")
    np.testing.assert_allclose(component(zero, zero + 1), [[0.2], [0.2]])
    mass = prior.latents(grid, np.array([[0], [1]]))
    edge = grid.edges[0, 9]
    expected = stats.norm.cdf(edge, [[0.0], [1.0]], [[1.0], [0.5]])
    np.testing.assert_allclose(mass(zero, zero + 9), expected)
