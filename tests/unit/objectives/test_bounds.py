"""Values of the bounds, against an exactly solvable model and quadrature."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.objectives import (
    ELBO,
    IWAE,
    VIMCO,
    DReG,
    LeaveOneOut,
    Renyi,
    ScoreFunction,
    StickingTheLanding,
    log_mean_exp,
)
from vae_tf.objectives.gradients import with_gradient_of

from .toy import (
    NOISE,
    X,
    assert_meets,
    elbo,
    exact_posterior,
    expected,
    importance_weighted,
    inference,
    log_marginal,
    parameters,
    replicas,
)

EVERY = [
    ELBO(),
    ELBO(3, closed_form=False),
    StickingTheLanding(2),
    IWAE(1),
    IWAE(7),
    DReG(7),
    Renyi(7, 0.5),
    Renyi(7, 3.0),
    ScoreFunction(),
    ScoreFunction(3, LeaveOneOut()),
    VIMCO(4),
]


def name(objective):
    return f"{type(objective).__name__}({objective.num_samples})"


def estimates(objective, theta, size, **kwargs):
    """Per-example -(nll + kl_term), float64."""
    terms = objective.estimate(inference(replicas(theta, size), **kwargs))
    return -(terms.nll + terms.kl_term).numpy().astype(float), terms


def elbo_in_closed_form(theta, beta=1.0):
    """E_q[log N(x; w z, NOISE^2)] - beta KL(N(a, e^b) || N(m, e^2t)), on paper."""
    a, b, w = theta["a"], theta["b"], theta["w"]
    m, t = theta.get("m", 0.0 * a), theta.get("t", 0.0 * a)
    x, variance = X[: len(a)], NOISE**2
    fit = -0.5 * ((x - w * a) ** 2 + w**2 * np.exp(b)) / variance
    fit -= 0.5 * np.log(2 * np.pi * variance)
    kl = t - b / 2 + 0.5 * (np.exp(b) + (a - m) ** 2) / np.exp(2 * t) - 0.5
    return np.sum(fit - beta * kl)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("prior", ["standard", "normal"])
def test_the_oracle_meets_paper(dims, prior):
    theta = parameters(dims, prior)
    for beta in (1.0, 0.3):
        paper = elbo_in_closed_form(theta, beta)
        np.testing.assert_allclose(expected(theta, beta=beta), paper, rtol=1e-12)
    if prior == "standard":
        # More draws, a tighter bound, never above the evidence
        values = [expected(theta, importance_weighted, draws=k, nodes=22) for k in (1, 2)]
        assert values[0] < values[1] < log_marginal(theta)
        exact = exact_posterior(dims)
        np.testing.assert_allclose(elbo_in_closed_form(exact), log_marginal(exact), rtol=1e-12)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize(
    "objective",
    [ELBO(), ELBO(4), ELBO(3, False), StickingTheLanding(), StickingTheLanding(3), ScoreFunction()],
    ids=name,
)
def test_estimates_of_the_elbo(objective, beta, dims):
    theta = parameters(dims)
    draws, terms = estimates(objective, theta, 50_000, beta=beta)
    assert_meets(draws, elbo_in_closed_form(theta, beta))
    kl = elbo_in_closed_form(theta, 0.0) - elbo_in_closed_form(theta, 1.0)
    assert_meets(terms.kl.numpy().astype(float), kl)
    assert_meets(terms.nll.numpy().astype(float), -elbo_in_closed_form(theta, 0.0))
    assert terms.bound is None
    assert terms.z.shape == (objective.num_samples, 50_000, dims)


def test_a_demanded_closed_form_has_no_variance():
    terms = ELBO(closed_form=True).estimate(inference(replicas(parameters(2), 9)))
    assert np.ptp(terms.kl) == 0
    noisy = ELBO(closed_form=False).estimate(inference(replicas(parameters(2), 9)))
    assert np.ptp(noisy.kl) > 0.1


@pytest.mark.parametrize("prior", ["normal", "mixture"])
@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize(
    ("objective", "kwargs"),
    [
        (IWAE(1), {}),
        (IWAE(2), {}),
        (DReG(2), {}),
        (VIMCO(2), {}),
        (Renyi(2, 0.0), {}),
        (Renyi(2, 0.5), {"alpha": 0.5}),
        (Renyi(2, 2.0), {"alpha": 2.0}),
        (Renyi(1, 0.5), {"alpha": 0.5}),
    ],
    ids=lambda value: name(value) if hasattr(value, "num_samples") else str(value),
)
def test_bounds_of_a_fixed_number_of_draws(objective, kwargs, beta, prior):
    theta = parameters(1, prior)
    k = objective.num_samples
    draws, terms = estimates(objective, theta, 50_000, beta=beta)
    assert_meets(draws, expected(theta, importance_weighted, k, beta=beta, **kwargs))
    # reported at beta = 1, whatever beta is
    bound = expected(theta, importance_weighted, k, **kwargs)
    assert_meets(terms.bound.numpy().astype(float), bound)
    assert_meets(-(terms.nll + terms.kl).numpy().astype(float), expected(theta, elbo))


def test_bounds_in_two_dimensions():
    theta = parameters(2, "mixture")
    for objective, alpha in [(IWAE(2), 0.0), (DReG(2), 0.0), (VIMCO(2), 0.0), (Renyi(2, 0.5), 0.5)]:
        draws, _ = estimates(objective, theta, 50_000)
        assert_meets(draws, expected(theta, importance_weighted, 2, alpha=alpha))


@pytest.mark.parametrize("dims", [1, 2])
def test_iwae_rises_with_k_to_the_evidence(dims):
    theta = parameters(dims, "standard")
    evidence = log_marginal(theta)
    means, errors = [], []
    for k, size in ((1, 40_000), (5, 20_000), (50, 10_000), (1000, 2000)):
        draws, _ = estimates(IWAE(k), theta, size)
        means.append(draws.mean())
        errors.append(draws.std() / np.sqrt(size))
    gains, errors = np.diff(means), np.array(errors)
    assert (gains > 3 * np.hypot(errors[1:], errors[:-1])).all()
    # L_K = log p(x) - Var(w) / (2 K p(x)^2) + O(1/K^2)
    second = expected(theta, lambda p, r: np.exp(2 * (p + r - evidence))[0])
    assert means[-1] == pytest.approx(evidence - (second - 1) / 2000, abs=4.5 * errors[-1])
    assert abs(means[-1] - evidence) < 0.01


def test_renyi_between_its_limits():
    theta = parameters(1, "standard")
    at_0, at_half, at_2 = (estimates(Renyi(6, a), theta, 999)[0] for a in (0.0, 0.5, 2.0))
    iwae = estimates(IWAE(6), theta, 999)[0]
    near_1, mean = (
        estimates(Renyi(6, 0.999), theta, 999)[0],
        estimates(ELBO(6, False), theta, 999)[0],
    )
    np.testing.assert_allclose(at_0, iwae, rtol=1e-6)
    # (1/s) log mean exp(s u) = mean u + s var(u) / 2 + ..., s = 1e-3; float32 loses 1e-7 / s
    np.testing.assert_allclose(near_1, mean, atol=0.02)
    assert np.abs(near_1 - mean).mean() < 2e-3
    for lower, higher in ((at_2, near_1), (near_1, at_half), (at_half, at_0)):
        assert (lower < higher + 1e-3).all()  # a power mean rises with its order, draw for draw


def test_renyi_of_many_draws_is_the_integral():
    """K -> infinity: log E_q[w^(1 - alpha)] / (1 - alpha) (Li and Turner 2016, equation 10)."""
    theta, k, size = parameters(1, "standard"), 1000, 2000
    for alpha in (0.3, 0.7):
        moments = [
            expected(theta, lambda p, r, n=n, o=1 - alpha: np.exp(n * o * (p + r))[0])
            for n in (1, 2)
        ]
        limit = np.log(moments[0]) / (1 - alpha)
        bias = (moments[1] / moments[0] ** 2 - 1) / (2 * k * (1 - alpha))
        assert_meets(estimates(Renyi(k, alpha), theta, size)[0], limit - bias)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("objective", EVERY, ids=name)
def test_every_bound_is_the_evidence_where_q_is_the_posterior(objective, dims):
    theta = exact_posterior(dims)
    terms = objective.estimate(inference(replicas(theta, 500)))
    evidence = log_marginal(theta)
    closed = getattr(objective, "closed_form", False) is None or isinstance(
        objective, ScoreFunction
    )
    if not closed:  # log w is log p(x) for every draw; a KL in closed form leaves noise in nll
        np.testing.assert_allclose(-(terms.nll + terms.kl_term), evidence, atol=1e-5)
        np.testing.assert_allclose(-(terms.nll + terms.kl), evidence, atol=1e-5)
    else:
        assert_meets(-(terms.nll + terms.kl_term).numpy().astype(float), evidence)
    if terms.bound is not None:
        np.testing.assert_allclose(terms.bound, evidence, atol=1e-5)


def test_sharp_posteriors_do_not_spoil_the_value():
    """The slope of log q is 1 / scale, but the value owes nothing to it."""
    theta = {**parameters(1, "standard"), "a": np.array([3.0]), "b": np.array([-16.0])}
    paper = elbo_in_closed_form(theta)
    for objective in (StickingTheLanding(), DReG(1)):
        draws, _ = estimates(objective, theta, 4000)
        assert_meets(draws, paper)
        exact, _ = estimates(ELBO(1, False), theta, 4000)
        np.testing.assert_allclose(draws, exact, rtol=1e-6)


def test_a_value_keeps_every_digit_under_another_gradient():
    value, surrogate = tf.constant([0.1, -3.0]), tf.constant([1e8, -1e8])
    np.testing.assert_array_equal(with_gradient_of(value, surrogate), value)


def test_log_mean_exp_at_the_edges():
    log_w = np.array([[-1000.0, 800.0, -np.inf], [-1001.0, 0.0, 0.0]], "float32")
    expected_ = [-1000 + np.log((1 + np.exp(-1)) / 2), 800 - np.log(2), -np.log(2)]
    np.testing.assert_allclose(log_mean_exp(tf.constant(log_w)), expected_, rtol=1e-6)
