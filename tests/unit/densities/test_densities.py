"""Explicit densities against scipy, scikit-learn and quadrature."""

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.decomposition import PCA

import vae_tf
from vae_tf.densities import Density, GaussianMixture, Heights, Houses, Normal, ProbabilisticPCA
from vae_tf.errors import VAEError


def data(n=400, shape=(3, 2), seed=0):
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    mixing = rng.normal(size=(size, size))
    return (rng.normal(size=(n, size)) @ mixing + rng.normal(size=size)).reshape(n, *shape)


def test_a_normal_is_scipys_of_the_same_moments():
    x, other = data(), data(50, seed=1)
    rows = x.reshape(len(x), -1)
    reference = stats.multivariate_normal(rows.mean(0), np.cov(rows, rowvar=False, bias=True))
    normal = Normal(x)
    wanted = reference.logpdf(other.reshape(50, -1))
    np.testing.assert_allclose(normal.log_prob(other), wanted, rtol=1e-9)
    assert normal.num_parameters == 6 + 21


def test_draws_of_a_normal_have_its_moments():
    normal = Normal(data())
    drawn = normal.sample(40_000, seed=3).reshape(40_000, -1)
    away = (drawn - normal.mean) @ np.linalg.inv(np.linalg.cholesky(normal.covariance)).T
    # Sums of squares and of products of standard normals, five standard errors
    assert np.abs(away.mean(0)).max() < 5 / np.sqrt(40_000)
    assert np.abs(np.cov(away, rowvar=False) - np.eye(6)).max() < 5 * np.sqrt(2 / 40_000)
    np.testing.assert_array_equal(normal.sample(5, seed=3), normal.sample(5, seed=3))


@pytest.mark.parametrize("latent_dim", [1, 3, 5])
def test_probabilistic_pca_is_scikit_learns(latent_dim):
    x = data().reshape(-1, 6)
    own, reference = ProbabilisticPCA(x, latent_dim), PCA(latent_dim).fit(x)
    unbiased = len(x) / (len(x) - 1)  # scikit-learn divides by N - 1
    np.testing.assert_allclose(own.covariance * unbiased, reference.get_covariance(), rtol=1e-9)
    density = stats.multivariate_normal(x.mean(0), own.covariance)
    np.testing.assert_allclose(own.log_prob(x), density.logpdf(x), rtol=1e-9)


def test_no_linear_model_of_as_many_latents_is_likelier_than_probabilistic_pca():
    x = data().reshape(-1, 6)
    best, rng = ProbabilisticPCA(x, 2), np.random.default_rng(5)
    for _ in range(20):
        weights = best.weights + 0.1 * rng.normal(size=best.weights.shape)
        covariance = weights @ weights.T + best.variance * rng.uniform(0.8, 1.2) * np.eye(6)
        other = stats.multivariate_normal(x.mean(0), covariance).logpdf(x).mean()
        assert other < best.log_prob(x).mean()


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_a_mixture_is_the_sum_of_its_components(covariance):
    x = np.concatenate([data(200, (2,)), 9 + data(200, (2,), seed=1)])
    mixture = GaussianMixture(x, 2, covariance)
    found = mixture.mixture
    parts = [
        w * stats.multivariate_normal(m, c if covariance == "full" else np.diag(c)).pdf(x)
        for w, m, c in zip(found.weights_, found.means_, found.covariances_, strict=True)
    ]
    np.testing.assert_allclose(mixture.log_prob(x), np.log(sum(parts)), rtol=1e-7)
    # weights - 1, means, covariances
    assert mixture.num_parameters == 1 + 4 + (6 if covariance == "full" else 4)


def test_the_number_of_components_is_that_of_the_data():
    x = np.concatenate([data(400, (2,), seed=s) * 0.1 + 20 * s for s in range(3)])
    order = np.random.default_rng(0).permutation(len(x))
    fitted, held_out = x[order[:900]], x[order[900:]]
    chosen = GaussianMixture.chosen(fitted, held_out, (1, 3))
    assert chosen.components == 3


def test_heights_integrate_to_one_and_are_as_drawn():
    truth = Heights()
    total, _ = integrate.quad(lambda h: np.exp(truth.log_prob([[h]])[0]), 100, 250)
    assert total == pytest.approx(1, abs=1e-9)
    below, _ = integrate.quad(lambda h: np.exp(truth.log_prob([[h]])[0]), 100, 165)
    share = np.mean(truth.sample(20_000, seed=1) < 165)
    assert abs(share - below) < 4 * np.sqrt(below * (1 - below) / 20_000)


def test_houses_integrate_to_one_and_are_as_drawn():
    truth = Houses()
    area, price = np.linspace(1.5, 7.5, 600), np.linspace(1.0, 13.0, 1200)
    grid = np.stack(np.meshgrid(area, price, indexing="ij"), -1).reshape(-1, 2)
    # Of the logarithms, whose density has the Jacobian area x price
    density = np.exp(truth.log_prob(np.exp(grid)) + grid.sum(1)).reshape(600, 1200)
    assert integrate.trapezoid(integrate.trapezoid(density, price), area) == pytest.approx(
        1,
        abs=1e-5,  # the tails that the grid leaves out
    )
    drawn = np.log(truth.sample(20_000, seed=1))
    cell = (grid[:, 0] < np.log(100)) & (grid[:, 1] > np.log(300))
    inside = np.where(cell.reshape(density.shape), density, 0)
    share = integrate.trapezoid(integrate.trapezoid(inside, price), area)
    found = np.mean((drawn[:, 0] < np.log(100)) & (drawn[:, 1] > np.log(300)))
    # Four standard errors, and what the edges of the grid's cells may hold
    assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / 20_000) + 0.003
    assert truth.log_prob([[-1.0, 5.0]])[0] == -np.inf


class Uniform(Density):
    """On the unit cube."""

    def log_prob(self, x):
        return np.zeros(len(x))

    def sample(self, num_samples, seed=0):
        return np.random.default_rng(seed).uniform(size=(num_samples, 2, 2, 1))


def test_evaluation_takes_a_density():
    x = np.round(Uniform().sample(30) * 255) / 255
    bits = vae_tf.bits_per_dimension(Uniform(), x, levels=256)
    assert (bits.value, bits.stderr, bits.monte_carlo_stderr) == (8.0, 0.0, 0.0)
    found = vae_tf.log_likelihood(Normal(data()), data(60, seed=2))
    np.testing.assert_array_equal(found.per_example, Normal(data()).log_prob(data(60, seed=2)))
    assert found.monte_carlo_stderr == 0


def test_bits_of_a_density_do_not_depend_on_the_seed_beyond_their_noise():
    images = vae_tf.data.load("digits").test.array()
    normal = Normal(vae_tf.data.dequantize(vae_tf.data.load("digits").train.array()).numpy())
    first, second = (
        vae_tf.bits_per_dimension(normal, images, levels=256, seed=seed) for seed in (0, 1)
    )
    assert first.value != second.value
    assert abs(first.value - second.value) < 5 * first.stderr


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Normal(np.ones((10, 3))), "singular"),
        (lambda: Normal(np.ones(10)), "examples [N, ...]"),
        (lambda: Normal([[1.0, np.nan]] * 3), "not finite"),
        (lambda: ProbabilisticPCA(data(), 6), "below 6"),
        (lambda: GaussianMixture(data(3), 5), "5 components need"),
        (lambda: Normal(data()).log_prob(data(3, (2, 3))), "examples [N, 3, 2]"),
        (lambda: vae_tf.bits_per_dimension(Normal(data()), data()), "Pass levels=256"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(make, words):
    with pytest.raises(VAEError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
