"""KL controls against their formulas, the KL's parts against closed forms, and refusals."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import vae_tf
from vae_tf.errors import ConfigError
from vae_tf.objectives import (
    DIPVAE2,
    ELBO,
    IWAE,
    VIMCO,
    Capacity,
    Constant,
    DReG,
    FactorVAE,
    FreeBits,
    GroupBalance,
    LeaveOneOut,
    LinearWarmup,
    Renyi,
    ScoreFunction,
    StickingTheLanding,
    TotalCorrelation,
    groups_of,
    kl_divergence,
    kl_parts,
)

from ..models.conftest import LATENT_DIM, make
from .toy import assert_meets, inference, normal, parameters, replicas

RNG = np.random.default_rng(0)
PARTS = RNG.gamma(2.0, 0.3, size=(6, 4)).astype("float32")  # [B, P], means near 0.6
WEIGHTS = np.array([1, 0, 2, 0.5, 1, 0], "float32")


def term_and_gradient(control, parts=PARTS, **kwargs):
    """The weighted mean over the batch of the control's term, and its gradient by the parts."""
    given = inference(replicas(parameters(), len(parts)), **kwargs)
    weight = given.batch.weight
    with tf.GradientTape() as tape:
        parts = tf.constant(parts)
        tape.watch(parts)
        term = control(parts, given)
        assert term.shape == parts.shape[:1]
        weight = tf.ones_like(term) if weight is None else weight
        mean = tf.reduce_sum(term * weight) / tf.reduce_sum(weight)
    return float(mean), tape.gradient(mean, parts).numpy()


def at(step):
    return {"now": lambda schedule: schedule(tf.constant(float(step)))}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("per", ["dimension", "group"])
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_free_bits_are_the_formula(weights, per, beta):
    w = np.ones(6) if weights is None else weights
    w = w / w.sum()
    means = w @ PARTS.astype(float)
    nats = np.sort(means)[1] + 0.01  # two parts below, two above
    given = {"beta": beta, "sample_weight": None if weights is None else tf.constant(weights)}
    term, gradient = term_and_gradient(FreeBits(nats, per), **given)
    assert term == pytest.approx(beta * np.maximum(nats, means).sum(), rel=1e-5)
    np.testing.assert_allclose(gradient, beta * w[:, None] * (means > nats), rtol=1e-5)


def test_no_free_bits_is_the_kl():
    term, gradient = term_and_gradient(FreeBits(0.0))
    assert term == pytest.approx(PARTS.sum(-1).mean(), rel=1e-6)
    np.testing.assert_allclose(gradient, 1 / 6, rtol=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize(("step", "capacity"), [(0, 0.0), (50, 2.0), (200, 4.0)])
def test_capacity_is_the_formula(weights, step, capacity):
    control = Capacity(LinearWarmup(100, 4.0), gamma=30.0)
    w = np.ones(6) if weights is None else weights
    w = w / w.sum()
    mean = w @ PARTS.sum(-1)
    given = {"sample_weight": None if weights is None else tf.constant(weights), **at(step)}
    term, gradient = term_and_gradient(control, **given)
    assert term == pytest.approx(30 * abs(mean - capacity), rel=1e-5)
    np.testing.assert_allclose(
        gradient, 30 * np.sign(mean - capacity) * w[:, None] * np.ones(4), rtol=1e-5
    )


@pytest.mark.slow
def test_capacity_follows_the_model_s_clock():
    x = (np.random.default_rng(0).random((40, 4, 3, 1)) > 0.5).astype("float32")
    vae = make(kl_control=Capacity(LinearWarmup(4, 8.0), gamma=3.0))
    for capacity in (0.0, 4.0, 8.0, 8.0):
        assert vae.warming_up == (capacity < 8)
        logs = vae.evaluate(x, batch_size=40, return_dict=True, verbose=0)
        expected = logs["nll"] + 3 * abs(logs["kl"] - capacity)
        assert logs["loss"] == pytest.approx(expected, rel=1e-5)
        with pytest.warns(match="this run ends") if capacity < 4 else contextlib.nullcontext():
            vae.fit(x, batch_size=20, verbose=0)  # two steps


def test_group_balance_is_the_formula():
    control = GroupBalance(LinearWarmup(10))
    means = PARTS.mean(0)
    weights = means / means.mean()
    term, gradient = term_and_gradient(control, **at(9), beta=0.4)
    assert term == pytest.approx(0.4 * weights @ means, rel=1e-5)
    np.testing.assert_allclose(gradient, 0.4 * weights / 6 * np.ones((6, 1)), rtol=1e-5)
    assert gradient.sum() == pytest.approx(0.4 * 4, rel=1e-5)  # weights of mean 1
    for step in (10, 11, 1000):
        _, gradient = term_and_gradient(control, **at(step), beta=0.4)
        np.testing.assert_allclose(gradient, 0.4 / 6, rtol=1e-6)
    w = WEIGHTS / WEIGHTS.sum()
    means = w @ PARTS
    term, _ = term_and_gradient(control, sample_weight=tf.constant(WEIGHTS), **at(1))
    assert term == pytest.approx(means / means.mean() @ means, rel=1e-5)


@pytest.mark.parametrize("means", [[0.0, 0.0], [-0.3, 0.3], [-0.5, -0.2], [-0.1, 5.0]], ids=str)
def test_group_balance_never_rewards_a_kl(means):
    """Estimates of a KL near 0 are negative at times: a negative weight would let it explode."""
    parts = np.tile(np.array(means, "float32"), (3, 1))
    _, gradient = term_and_gradient(GroupBalance(LinearWarmup(10)), parts, **at(1))
    assert (gradient > 0).all()
    assert gradient.sum() == pytest.approx(2, rel=1e-5)


def test_group_balance_in_epochs():
    control = GroupBalance(LinearWarmup(epochs=3))
    assert control.schedules[0].in_epochs
    assert control._share.in_epochs
    assert control._share.length == 3


# Parts of the KL


def gaussian_kl(theta, dims=slice(None)):
    """KL(N(a, e^b) || N(m, e^2t)) for each dimension, on paper."""
    a, b, m, t = (theta[name][..., dims] for name in "abmt")
    return t - b / 2 + 0.5 * (np.exp(b) + (a - m) ** 2) / np.exp(2 * t) - 0.5


@pytest.mark.parametrize("objective", [ELBO(2, False), StickingTheLanding(2)], ids=lambda o: o.name)
@pytest.mark.parametrize("level", ["total", "group", "dimension"])
def test_estimated_parts_meet_the_closed_form(level, objective):
    """FreeBits(0) sees the parts; a control that keeps them shows them."""
    theta = parameters(2)
    seen = {}

    def control(parts, given):
        seen["parts"] = parts
        return tf.reduce_sum(parts, -1)

    given = inference(replicas(theta, 50_000), kl_control=control, level=level)
    terms = objective.estimate(given)
    parts = seen["parts"].numpy().astype(float)
    exact = gaussian_kl(theta)
    assert_meets(parts, exact if level == "dimension" else exact.sum(keepdims=True))
    np.testing.assert_allclose(terms.kl, parts.sum(-1), rtol=1e-4, atol=1e-5)
    closed = kl_parts(given.groups(terms.z), level)
    np.testing.assert_allclose(
        closed[0], exact if level == "dimension" else [exact.sum()], rtol=1e-5
    )


class Plain(tfd.Distribution):
    """A distribution that is no CompositeTensor, as one of a user's own."""

    def __init__(self, inside):
        self.inside = inside
        kind = inside.reparameterization_type
        super().__init__(tf.float32, kind, validate_args=False, allow_nan_stats=True)

    def _batch_shape(self):
        return self.inside.batch_shape

    def _event_shape(self):
        return self.inside.event_shape

    def _event_shape_tensor(self):
        return self.inside.event_shape_tensor()

    def _sample_n(self, n, seed=None):
        return self.inside.sample(n, seed=seed)

    def _log_prob(self, z):
        return self.inside.log_prob(z)


def blocks(theta, sizes=(1, 2), wrap=lambda q: q):
    """q and p as joint distributions of independent groups of dimensions."""
    q, p, start = [], [], 0
    for size in sizes:
        part = slice(start, start + size)
        a, b, m, t = (tf.constant(theta[name][..., part], tf.float32) for name in "abmt")
        q.append(wrap(normal(a, tf.exp(b / 2))))
        p.append(normal(m, tf.exp(t)))
        start += size
    return tfd.Blockwise(q), tfd.Blockwise(p)


def three_dimensions(size):
    draw = np.random.default_rng(1).normal(size=(4, 3)) * 0.4
    return {
        name: np.broadcast_to(value, (size, 3)) if name in "ab" else value
        for name, value in zip("abmt", draw, strict=True)
    }


def test_parts_of_joint_distributions():
    theta = three_dimensions(7)
    qz, pz = blocks(theta)
    z = qz.sample(2, seed=[1, 2])
    exact = gaussian_kl(theta)
    groups = np.stack([exact[:, 0], exact[:, 1:].sum(-1)], -1)
    np.testing.assert_allclose(
        kl_parts(groups_of(qz, pz, z), "group"), groups, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        kl_parts(groups_of(qz, pz, z))[:, 0], exact.sum(-1), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("wrap", [lambda q: q, Plain], ids=["TFP", "plain"])
def test_estimated_parts_of_joint_distributions(wrap):
    theta = three_dimensions(30_000)
    qz, pz = blocks(theta, wrap=wrap)
    exact = gaussian_kl(theta)[0]
    groups = np.array([exact[0], exact[1:].sum()])
    z = qz.sample(2, seed=[1, 2])
    for closed_form in (False, None) if wrap is Plain else (False,):
        parts = kl_parts(groups_of(qz, pz, z), "group", closed_form).numpy().astype(float)
        assert_meets(parts, groups)
        total = kl_parts(groups_of(qz, pz, z), "total", closed_form).numpy().astype(float)
        np.testing.assert_allclose(parts.sum(-1, keepdims=True), total, atol=1e-4)


def test_an_entropy_leaves_less_variance():
    given = inference(replicas(parameters(1, "mixture"), 20_000))
    z = given.draw(1)
    without, with_entropy = (kl_parts(given.groups(z), "total", c) for c in (False, None))
    assert np.std(with_entropy) < np.std(without)
    difference = (with_entropy - without).numpy().astype(float)
    assert_meets(difference, 0.0)


def test_a_closed_form_that_is_demanded_must_exist():
    given = inference(replicas(parameters(1, "mixture"), 3))
    for call in (
        lambda: ELBO(closed_form=True).estimate(given),
        lambda: kl_divergence(given.qz, given.pz, given.draw(1), closed_form=True),
        lambda: kl_divergence(given.qz, given.pz, None),
    ):
        with pytest.raises(ConfigError, match=r"closed form of the KL must exist.*Drop"):
            call()


# In a model


class TwoGroups(vae_tf.priors.StandardNormal):
    """N(0, I) as a joint distribution of groups."""

    factorized = False
    sizes = (1, 1)

    @property
    def group_sizes(self):
        return self.sizes

    def distribution(self):
        return tfd.Blockwise([normal(tf.zeros([n]), tf.ones([n])) for n in self.sizes])


class TwoGroupsOfPosterior(vae_tf.posteriors.DiagonalNormal):
    factorized = False
    sizes = (1, 1)

    def group_sizes(self, latent_dim):
        return self.sizes

    def distribution(self, params):
        whole = super().distribution(params).distribution
        split = (tf.split(part, self.sizes, -1) for part in (whole.loc, whole.scale))
        return tfd.Blockwise([normal(*pair) for pair in zip(*split, strict=True)])


def joint(**kwargs):
    return make(prior=TwoGroups(LATENT_DIM), posterior=TwoGroupsOfPosterior(), **kwargs)


def image(size=24):
    return (np.random.default_rng(0).random((size, 4, 3, 1)) > 0.5).astype("float32")


def test_free_bits_for_groups_are_those_for_dimensions_if_each_is_one():
    x, seed = image(), tf.constant([1, 2])
    losses = []
    for vae in (joint(kl_control=FreeBits(0.4, "group")), make(kl_control=FreeBits(0.4))):
        terms = vae(x, seed=seed)
        losses.append(float(vae.losses[0]))
        heads = vae.encoder(x)
        mean, log_var = (heads[n].numpy().astype(float) for n in ("z_mean", "z_log_var"))
        kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var)
        np.testing.assert_allclose(terms.kl, kl.sum(-1), rtol=1e-5)
        expected = np.maximum(0.4, kl.mean(0)).sum()
        assert losses[-1] == pytest.approx(expected, rel=1e-5)
    assert kl.mean(0).min() < 0.4


def test_group_balance_in_a_model():
    x = image()
    vae = joint(kl_control=GroupBalance(LinearWarmup(4)), beta=LinearWarmup(4))
    history = vae.fit(x, batch_size=12, epochs=3, verbose=0).history
    logs = {name: values[-1] for name, values in history.items()}
    assert logs["loss"] == pytest.approx(logs["nll"] + logs["kl"], rel=1e-5)  # the warm-up is over


REFUSED = {
    "IWAE": (lambda: make(objective=IWAE(3), kl_control=FreeBits(0.1)), r"ELBO\(num_samples=3\)"),
    "DReG": (lambda: make(objective=DReG(), kl_control=FreeBits(0.1)), "Use objective=ELBO"),
    "Renyi": (lambda: make(objective=Renyi(), kl_control=Capacity(3.0)), "Use objective=ELBO"),
    "VIMCO": (lambda: make(objective=VIMCO(), kl_control=Capacity(3.0)), "Use objective=ELBO"),
    "mixture per dimension": (
        lambda: make(prior=vae_tf.priors.MixtureOfNormals(LATENT_DIM, 3), kl_control=FreeBits(0.1)),
        r"MixtureOfNormals.*FreeBits\(nats, per='group'\)",
    ),
    "joint per dimension": (lambda: joint(kl_control=FreeBits(0.1)), "per='group'"),
    "capacity and beta": (
        lambda: make(kl_control=Capacity(3.0), beta=2.0),
        "weight of its own.*Leave beta at 1",
    ),
    "capacity and warm-up": (
        lambda: make(kl_control=Capacity(3.0), beta=LinearWarmup(5)),
        "Leave beta at 1",
    ),
    "VIMCO(1)": (lambda: VIMCO(1), r"num_samples=2 or more.*ELBO and ScoreFunction"),
    "one draw left out": (
        lambda: ScoreFunction(1, LeaveOneOut()),
        r"LeaveOneOut needs 2 draws.*num_samples=2, or baseline=RunningMean",
    ),
    "total correlation": (
        lambda: joint(penalties=[TotalCorrelation(1.0, 50)]),
        "product over dimensions.*DiagonalNormal, or MaximumMeanDiscrepancy",
    ),
    "DIP": (lambda: joint(penalties=[DIPVAE2(1.0)]), "MaximumMeanDiscrepancy"),
    "groups of one only": (
        lambda: make(prior=TwoGroups(LATENT_DIM), kl_control=FreeBits(0.1, "group")),
        "Make both of the same groups",
    ),
    "Renyi of order 1": (lambda: Renyi(alpha=1), "Use ELBO"),
    "balance without an end": (lambda: GroupBalance(Constant(1.0)), "warmup=LinearWarmup"),
    "per": (lambda: FreeBits(0.1, "latent"), "per='dimension' or per='group'"),
    "nats": (lambda: FreeBits(-1), "`nats`"),
    "gamma": (lambda: Capacity(1.0, gamma=0), "`gamma`"),
    "capacity": (lambda: Capacity(-1.0), "`capacity`"),
    "no control": (lambda: make(kl_control="free bits"), "`kl_control` must be an instance of"),
    "a class": (lambda: make(kl_control=FreeBits), "`kl_control` must be an instance of"),
    "no objective": (lambda: make(objective="iwae"), "`objective` must be an instance of"),
    "objective's class": (lambda: make(objective=IWAE), "`objective` must be an instance of"),
    "no penalty": (lambda: make(penalties=["tc"]), "`penalties` must be an instance of"),
    "no list": (lambda: make(penalties=DIPVAE2(1.0)), r"`penalties` must be.*penalties=\["),
    "another latent_dim": (
        lambda: make(penalties=[FactorVAE(1.0, 3)]),
        "FactorVAE needs the prior's latent_dim=2. Received: 3",
    ),
    "no baseline": (lambda: ScoreFunction(1, "mean"), "`baseline` must be an instance of"),
    "no beta": (lambda: make(beta="warm-up"), "`beta` must be a finite number"),
    "draws": (lambda: ELBO(0), "`num_samples` must be a whole number of at least 1"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_work_is_refused_with_what_can(kind):
    build, message = REFUSED[kind]
    with pytest.raises(ConfigError, match=message):
        build()


def test_a_model_refuses_a_closed_form_that_does_not_exist():
    make(objective=ELBO(closed_form=True), prior=vae_tf.priors.LearnedNormal(LATENT_DIM))
    mixture = vae_tf.priors.MixtureOfNormals(LATENT_DIM, 3)
    with pytest.raises(ConfigError, match=r"closed form of the KL must exist.*Drop"):
        make(objective=ELBO(closed_form=True), prior=mixture)


def test_a_score_function_with_a_control_needs_a_closed_form():
    vae = make(
        prior=vae_tf.priors.MixtureOfNormals(LATENT_DIM, 3),
        objective=ScoreFunction(),
        kl_control=Capacity(1.0),
    )
    with pytest.raises(ConfigError, match=r"Capacity needs a KL in closed form.*Drop the control"):
        vae(image(), seed=tf.constant([0, 0]))


def test_capacity_at_a_constant_beta_of_1_is_welcome():
    assert make(kl_control=Capacity(3.0), beta=Constant(1.0)).kl_control.gamma == 1000
