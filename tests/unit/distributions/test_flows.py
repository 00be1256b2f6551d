"""Autoregressive networks and the flows made of them, against Jacobians and quadrature."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vae_tf import VAE
from vae_tf.distributions import InverseAutoregressive, MaskedAutoregressive, RealNVP
from vae_tf.distributions.flows import MAX_LOG_SCALE, Conditioner
from vae_tf.errors import ConfigError
from vae_tf.networks import mlp_decoder, mlp_encoder
from vae_tf.objectives import ELBO, IWAE, DReG, StickingTheLanding

FLOWS = pytest.mark.parametrize("kind", [RealNVP, MaskedAutoregressive])


def randomize(part, seed=0, scale=0.6):
    """Puts random numbers into all weights, the last layers' zeros included."""
    rng = np.random.default_rng(seed)
    for weight in part.variables:
        weight.assign(scale * rng.normal(size=weight.shape))
    return part


def jacobian(function, z):
    """Returns d function(z) / dz for rows z [B, L] of independent examples, [B, out, L]."""
    z = tf.constant(z, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        y = function(z)
    return tape.batch_jacobian(y, z, experimental_use_pfor=False).numpy()


def slope(function, z, step):
    """Returns the same by central differences."""
    columns = []
    for j in range(z.shape[1]):
        e = step * np.eye(z.shape[1])[j]
        ahead, behind = (np.float64(function(np.float32(z + s * e))) for s in (1, -1))
        columns.append((ahead - behind) / (2 * step))
    return np.stack(columns, -1)


# --- the network


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize(
    ("size", "hidden"),
    [(2, (8,)), (5, (32,)), (5, (3,)), (5, (2, 2)), (4, (16, 3, 16)), (3, ()), (7, (9, 8, 7))],
)
def test_outputs_depend_on_inputs_before_them_alone(size, hidden, context):
    net = Conditioner(size, size, hidden, autoregressive=True, context=context)
    randomize(net)
    z = np.random.default_rng(1).normal(size=(6, size))
    c = np.random.default_rng(2).normal(size=(6, 3)).astype("float32") if context else None
    for index in (0, 1):
        j = jacobian(lambda z, i=index: net.shift_and_log_scale(z, c)[i], z)
        depends = (j != 0).any(0)
        assert not depends[np.triu_indices(size)].any()
        assert depends[1:, 0].all()  # all but the first on the first
        assert depends[-1].any()
        if min(hidden, default=size) >= size:  # wide enough for every degree: on all before
            assert depends[np.tril_indices(size, -1)].all()


def test_narrow_networks_let_the_last_output_see_every_input():
    net = randomize(Conditioner(6, 6, (3,), autoregressive=True))
    j = jacobian(lambda z: net.shift_and_log_scale(z)[0], np.ones((1, 6)))[0]
    assert (j[-1, :-1] != 0).all()


@pytest.mark.parametrize(
    ("size", "hidden"), [(1, (4,)), (2, (8,)), (5, (6, 6)), (5, (2,)), (3, ())]
)
def test_the_context_reaches_all_outputs(size, hidden):
    net = randomize(Conditioner(size, size, hidden, autoregressive=True, context=2))
    z, c = np.zeros((5, size), "float32"), np.random.default_rng(1).normal(size=(5, 2))
    for index in (0, 1):
        j = jacobian(lambda c, i=index: net.shift_and_log_scale(z, c)[i], c)
        assert (j != 0).all()


def test_a_single_latent_is_not_conditioned_on_itself():
    net = randomize(Conditioner(1, 1, (4,), autoregressive=True))
    assert (jacobian(lambda z: net.shift_and_log_scale(z)[0], np.ones((3, 1))) == 0).all()


@pytest.mark.parametrize("hidden", [(), (4,), (4, 4)])
def test_a_step_starts_as_the_identity_whatever_the_context(hidden):
    net = Conditioner(3, 3, hidden, autoregressive=True, context=2)
    z, c = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    for part in net.shift_and_log_scale(z, c[:, :2]):
        np.testing.assert_array_equal(part, np.zeros((5, 3)))


def test_one_vector_is_a_batch_of_it():
    net = randomize(Conditioner(3, 3, (4, 4), autoregressive=True, context=2))
    z, c = np.float32([1.0, 2.0, 3.0]), np.random.default_rng(0).normal(size=(5, 2))
    c = np.float32(c)
    rows = net.shift_and_log_scale(tf.tile(z[None], [5, 1]), c)
    for got, expected in zip(net.shift_and_log_scale(tf.constant(z), c), rows, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("value", [-1e30, 1e30])
def test_scales_are_bounded_and_gradients_finite_at_extremes(value):
    net = randomize(Conditioner(3, 3, (4,), autoregressive=True, context=2))
    z, c = tf.fill([2, 3], value), tf.Variable(tf.fill([2, 2], value))
    with tf.GradientTape() as tape:
        shift, log_scale = net.shift_and_log_scale(z, c)
        total = tf.reduce_sum(shift + log_scale)
    assert (np.abs(log_scale) <= MAX_LOG_SCALE).all()
    assert np.isfinite(shift).all()
    assert np.isfinite(tape.gradient(total, c)).all()


@pytest.mark.parametrize("hidden", [(0,), (4, -1), (2.5,)])
def test_widths_must_be_counts(hidden):
    with pytest.raises(ConfigError, match="`hidden` must be a whole number"):
        RealNVP(2, hidden=hidden)


# --- the priors


@FLOWS
@pytest.mark.parametrize("size", [2, 3, 5])
def test_starts_as_the_standard_normal(kind, size):
    z = np.random.default_rng(0).normal(size=(9, size)).astype("float32")
    pz = kind(size, layers=3, hidden=(6,)).distribution()
    np.testing.assert_allclose(pz.log_prob(z), stats.norm.logpdf(z).sum(-1), rtol=1e-5)


@pytest.mark.slow_but(2)
@FLOWS
@pytest.mark.parametrize("size", [2, 5])
def test_change_of_variables(kind, size):
    prior = randomize(kind(size, layers=3, hidden=(6,)))
    flow = prior.bijector()
    u = np.random.default_rng(1).normal(size=(8, size))
    z = flow.forward(np.float32(u))
    np.testing.assert_allclose(flow.inverse(tf.identity(z)), u, rtol=1e-3, atol=1e-4)
    # log p(z) = log N(u) - log |det dz/du|, the Jacobian by automatic differentiation of z(u)
    log_det = np.linalg.slogdet(np.float64(jacobian(flow.forward, u)))[1]
    expected = stats.norm.logpdf(u).sum(-1) - log_det
    got = prior.distribution().log_prob(tf.identity(z))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=2e-3)
    by_differences = slope(flow.forward, u, 1e-2)
    log_det = np.linalg.slogdet(by_differences)[1]
    np.testing.assert_allclose(got, stats.norm.logpdf(u).sum(-1) - log_det, atol=0.02)
    assert np.abs(log_det).max() > 0.1  # the random weights do something


@FLOWS
def test_density_integrates_to_one(kind):
    prior = randomize(kind(2, layers=2, hidden=(4,)), scale=0.4)
    axis = np.linspace(-14, 14, 561)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).astype("float32")
    density = np.exp(np.float64(prior.distribution().log_prob(grid).numpy()))
    assert np.trapezoid(np.trapezoid(density, axis), axis) == pytest.approx(1, abs=2e-3)


@FLOWS
@pytest.mark.parametrize("size", [2, 5])
def test_from_noise_is_the_flow(kind, size):
    prior = randomize(kind(size, layers=3, hidden=(6,)))
    rng = np.random.default_rng(2)
    normal, uniform = np.float32(rng.normal(size=(7, size))), np.float32(rng.random(7))
    got = prior.from_noise(tf.constant(normal), tf.constant(uniform))
    np.testing.assert_allclose(got, prior.bijector().forward(normal), rtol=1e-4, atol=1e-5)


@FLOWS
def test_draws_from_noise_have_the_moments_of_samples(kind):
    prior, n = randomize(kind(3, layers=2, hidden=(6,)), scale=0.4), 20_000
    normal = tf.random.stateless_normal([n, 3], [3, 4])
    one = prior.from_noise(normal, tf.zeros([n])).numpy()
    other = prior.distribution().sample(n, seed=[5, 6]).numpy()
    for power in (1, 2):
        a, b = one**power, other**power
        error = np.sqrt((a.var(0) + b.var(0)) / n)
        assert (np.abs(a.mean(0) - b.mean(0)) < 4.5 * error).all()


@pytest.mark.slow
@FLOWS
def test_every_weight_learns_and_compiled_graphs_say_the_same(kind):
    prior = randomize(kind(3, layers=2, hidden=(6,)))
    z = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(prior.distribution().log_prob(z))
    gradients = tape.gradient(loss, prior.trainable_variables)
    assert len(gradients) == 2 * 4
    assert all(np.any(gradient != 0) for gradient in gradients)

    @tf.function(jit_compile=True)
    def graph(z):
        pz = prior.distribution()
        return pz.log_prob(z), pz.sample(4, seed=[0, 1])

    log_prob, draws = graph(z)
    np.testing.assert_allclose(log_prob, prior.distribution().log_prob(z), rtol=1e-4, atol=1e-4)
    assert draws.shape == (4, 3)
    assert np.isfinite(draws).all()


@FLOWS
def test_one_latent_is_refused(kind):
    with pytest.raises(ConfigError, match="needs two latents at least"):
        kind(1)


# --- the posterior


def posterior(size=3, context=2, seed=0, **kwargs):
    q = InverseAutoregressive(size, context, **{"layers": 2, "hidden": (6,), **kwargs})
    return randomize(q, seed)


def params(size=3, context=2, batch=4, seed=1):
    rng = np.random.default_rng(seed)
    widths = {"z_mean": size, "z_log_var": size, "context": context}
    return {k: np.float32(rng.normal(size=(batch, n))) for k, n in widths.items()}


@pytest.mark.parametrize("draws", [[], [3]])
def test_the_density_of_draws_is_the_density_of_the_same_numbers(draws):
    qz = posterior().distribution(params())
    z = qz.sample(draws, seed=[0, 1])
    assert z.shape == (*draws, 4, 3)
    np.testing.assert_allclose(qz.log_prob(z), qz.log_prob(tf.identity(z)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_posteriors_change_of_variables(size):
    q, p = posterior(size), params(size)
    _, flow = q._base_and_bijector(p)
    std = np.exp(0.5 * np.float64(p["z_log_var"]))
    u = p["z_mean"] + std * np.random.default_rng(2).normal(size=(4, size))
    z = flow.forward(np.float32(u))
    log_det = np.linalg.slogdet(np.float64(jacobian(flow.forward, u)))[1]
    expected = stats.norm.logpdf(u, p["z_mean"], std).sum(-1) - log_det
    got = q.distribution(p).log_prob(tf.identity(z))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(flow.inverse(tf.identity(z)), u, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_starts_as_the_diagonal_normal_latent_by_latent(layers):
    p, q = params(), InverseAutoregressive(3, 2, layers, hidden=(6,))
    z = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    expected = stats.norm.logpdf(z, p["z_mean"], np.exp(p["z_log_var"] / 2)).sum(-1)
    np.testing.assert_allclose(q.distribution(p).log_prob(z), expected, rtol=1e-4)
    np.testing.assert_allclose(q.point(p), p["z_mean"], rtol=1e-6)


def test_gradients_by_z_are_those_of_finite_differences():
    q, p = posterior(), params()
    qz = q.distribution(p)
    z = np.random.default_rng(3).normal(size=(4, 3))
    with tf.GradientTape() as tape:
        x = tf.constant(z, tf.float32)
        tape.watch(x)
        log_prob = qz.log_prob(tf.identity(x))
    numeric = slope(lambda z: qz.log_prob(z).numpy()[:, None], z, 1e-2)[:, 0]
    scale = np.abs(numeric).max()
    np.testing.assert_allclose(tape.gradient(log_prob, x), numeric, atol=5e-3 * scale)


def test_draws_and_their_density_take_no_loop():
    q, p = posterior(), params()

    def sample_and_density(z_mean, z_log_var, context):
        qz = q.distribution([z_mean, z_log_var, context])
        z = qz.sample(3, seed=[0, 1])
        return z, qz.log_prob(z)

    def loops(function):
        graph = tf.function(function).get_concrete_function(*p.values()).graph
        return [op for op in graph.get_operations() if "While" in op.type]

    assert not loops(sample_and_density)
    assert loops(lambda *a: q.distribution(a).log_prob(tf.zeros([4, 3])))  # the test can tell


def test_the_point_is_where_the_mean_goes():
    q, p = posterior(), params()
    tight = {**p, "z_log_var": np.full((4, 3), -20.0, "float32")}
    draws = q.distribution(tight).sample(seed=[0, 1])
    np.testing.assert_allclose(q.point(p), draws, atol=5e-3)
    got = q.statistics(p)
    np.testing.assert_array_equal(got["z_mean"], q.point(p))
    np.testing.assert_array_equal(got["base_mean"], p["z_mean"])


@pytest.mark.slow_but(2)
@pytest.mark.parametrize(
    ("shape", "compiled"), [((3,), False), ((1, 3), False), ((5, 1, 3), False), ((5, 1, 3), True)]
)
def test_one_z_for_the_whole_batch(shape, compiled):
    q, p = posterior(), params()
    z = np.random.default_rng(4).normal(size=shape).astype("float32")
    log_prob = tf.function(lambda z, *a: q.distribution(a).log_prob(z), jit_compile=compiled)
    full = np.broadcast_to(z, np.broadcast_shapes(shape, (4, 3)))
    expected = q.distribution(p).log_prob(full)
    np.testing.assert_allclose(log_prob(z, *p.values()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("value", [-1e30, 1e30])
def test_extreme_outputs_stay_finite(dtype, value):
    q = posterior()
    p = {
        "z_mean": tf.zeros([2, 3], dtype),
        "z_log_var": tf.fill([2, 3], tf.cast(value, dtype)),
        "context": tf.fill([2, 2], tf.cast(value, dtype)),
    }
    qz = q.distribution(p)
    z = qz.sample(4, seed=[0, 1])
    assert z.dtype == tf.float32
    assert np.isfinite(z).all()
    assert np.isfinite(qz.log_prob(z)).all()
    assert all(np.isfinite(part).all() for part in q.statistics(p).values())


def small_vae(objective, seed=0):
    q = posterior(2, 2, hidden=(5,))
    encoder = mlp_encoder((4,), 2, (5,), outputs=q.parameter_shapes(2), seed=3)
    decoder = mlp_decoder(2, {"logits": (4,)}, (5,), seed=4)
    vae = VAE(encoder, decoder, posterior=q, objective=objective, seed=seed)
    vae.compile("adam", run_eagerly=True)
    return vae


X = (np.random.default_rng(0).random((16, 4)) > 0.5).astype("float32")


@pytest.mark.parametrize("objective", [ELBO(), IWAE(3), DReG(3), StickingTheLanding()])
def test_trains_with_every_gradient(objective):
    vae = small_vae(objective)
    before = [w.numpy() for w in vae.posterior.variables]
    logs = vae.fit(X, epochs=1, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    for old, new in zip(before, vae.posterior.variables, strict=True):
        assert np.any(old != new)


def gradients(objective, n):
    """Returns gradients by the weights of q at `n` seeds, [n, weights]."""
    vae = small_vae(objective)
    weights = vae.encoder.trainable_variables + vae.posterior.trainable_variables

    @tf.function
    def gradient(seed):
        with tf.GradientTape() as tape:
            terms = vae(X, seed=seed)
            loss = tf.reduce_mean(terms.nll + terms.kl_term)
        parts = tape.gradient(loss, weights)
        return tf.concat([tf.reshape(part, [-1]) for part in parts], 0)

    return np.stack([np.float64(gradient(tf.constant([7, i]))) for i in range(n)])


@pytest.mark.slow
def test_sticking_the_landing_has_the_elbos_mean_gradient():
    # The one takes the cached density of a draw, the other its gradient at a copy of it. At the
    # same draws they differ by the score, whose mean is 0 (Roeder et al. 2017).
    n = 200
    elbo, stl = gradients(ELBO(closed_form=False), n), gradients(StickingTheLanding(), n)
    score = elbo - stl
    assert np.abs(score).max() > 0.01
    assert (np.abs(score.mean(0)) < 4.5 * score.std(0) / np.sqrt(n) + 1e-5).all()


def test_other_sizes_are_refused():
    encoder = mlp_encoder(
        (4,), 3, (5,), outputs={"z_mean": (3,), "z_log_var": (3,), "context": (2,)}
    )
    decoder = mlp_decoder(3, {"logits": (4,)}, (5,))
    with pytest.raises(ConfigError, match="The model must have latent_dim=2"):
        VAE(encoder, decoder, posterior=InverseAutoregressive(2, 2))
    with pytest.raises(ConfigError, match="needs the network outputs"):
        InverseAutoregressive(2, 2).distribution([tf.zeros([1, 2])] * 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RealNVP(3, 2, (4, 3), seed=2),
        lambda: MaskedAutoregressive(3, 2, [4]),
        lambda: InverseAutoregressive(3, 2, 2, (4,), seed=1),
    ],
)
def test_survives_serialization(make):
    part = make()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))
    assert copy.get_config() == part.get_config()
    for a, b in zip(part.variables, copy.variables, strict=True):
        np.testing.assert_array_equal(a, b)  # the same seed


def test_half_precision_policies_leave_the_flows_alone(set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    assert all(w.dtype == "float32" for w in posterior().variables)
    pz = randomize(MaskedAutoregressive(2, 2, (4,))).distribution()
    assert pz.log_prob(pz.sample(3, seed=[0, 1])).dtype == tf.float32
