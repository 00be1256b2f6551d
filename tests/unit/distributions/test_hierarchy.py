"""Hierarchies of latents against a linear-Gaussian model that can be solved, and Monte Carlo."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow_probability import distributions as tfd

from vae_tf import VAE, likelihoods, log_likelihood
from vae_tf.callbacks import CollapseMonitor
from vae_tf.distributions import (
    BottomUp,
    Conditional,
    DiagonalNormal,
    FullNormal,
    Hierarchy,
    InverseAutoregressive,
    JointPosterior,
    Ladder,
    LearnedNormal,
    MixtureOfNormals,
    StandardNormal,
    VampPrior,
)
from vae_tf.errors import ConfigError
from vae_tf.evaluation import measure_collapse
from vae_tf.networks import conditional_prior_network, mlp_decoder, mlp_encoder
from vae_tf.objectives import ELBO, FreeBits, groups_of, kl_parts

# z_0 ~ N(0, 1), z_g = A[g] z_g-1 + B[g] + S[g] e_g, x = C z + D + NOISE e
A, B, S = (None, 0.8, -1.3), (None, 0.3, -0.2), (None, 0.6, 0.9)
C = np.array([[0.7, -0.4], [0.0, 1.1], [0.9, 0.5]])  # [3 groups of one latent, 2 numbers of x]
LOWEST = C * [[0], [0], [1]]  # x depends on the lowest group alone
D, NOISE = np.array([0.2, -0.1]), 0.7


def linear(inputs, outputs):
    """Returns a network whose outputs are sums of matrices by inputs, and of constants.

    Args:
        inputs: {name: size}.
        outputs: {name: ({input: matrix [size, n]}, constant [n])}.
    """
    tensors = {name: keras.Input((size,), name=name) for name, size in inputs.items()}
    joined = list(tensors.values())
    h = keras.layers.Concatenate()(joined) if len(joined) > 1 else joined[0]
    layers, weights = {}, {}
    for name, (matrices, constant) in outputs.items():
        n = len(constant)
        rows = [np.broadcast_to(matrices.get(i, 0.0), (size, n)) for i, size in inputs.items()]
        layers[name] = keras.layers.Dense(n, name=f"{name}_layer")
        weights[name] = [np.concatenate(rows), np.array(constant)]
    model = keras.Model(tensors, {name: layer(h) for name, layer in layers.items()})
    for name, layer in layers.items():
        layer.set_weights(weights[name])
    return model


def chain():
    """Returns the prior of the linear model."""
    networks = []
    for g, inputs in ((1, {"z": 1}), (2, {"z": 1, "state": 1})):
        outputs = {"loc": ({"z": [[A[g]]]}, [B[g]]), "log_scale": ({}, [np.log(S[g])])}
        # All draws above
        outputs["state"] = ({"state": [[1.0, 0.0]], "z": [[0.0, 1.0][-g:]]}, [0.0] * g)
        networks.append(linear(inputs, outputs))
    return Hierarchy(StandardNormal(1), networks)


def joint(c=C):
    """Returns mean and covariance of (z, x) of the linear model."""
    mean, maps = [0.0], [np.array([1.0, 0, 0])]
    for g in (1, 2):
        mean.append(A[g] * mean[-1] + B[g])
        maps.append(A[g] * maps[-1] + S[g] * np.eye(3)[g])
    z, maps = np.array(mean), np.stack(maps)
    cov_z = maps @ maps.T
    cov = np.block([[cov_z, cov_z @ c], [c.T @ cov_z, c.T @ cov_z @ c + NOISE**2 * np.eye(2)]])
    return np.concatenate([z, z @ c + D]), cov


def conditional(targets, given, c=C):
    """Returns slope [given, targets], constant and scale of p(targets|given), of one target."""
    mean, cov = joint(c)
    slope = np.linalg.solve(cov[np.ix_(given, given)], cov[np.ix_(given, targets)])
    constant = mean[targets] - mean[given] @ slope
    variance = cov[np.ix_(targets, targets)] - cov[np.ix_(targets, given)] @ slope
    return slope, constant, np.sqrt(np.diag(variance))


def ladder(off=0.0):
    """Returns the true posterior down the ladder, and its encoder; `off` moves it away."""
    shapes, networks = {"x": 2}, []
    slope, constant, scale = conditional([0], [3, 4])
    outputs = {"group_0_z_mean": ({"x": slope}, constant + off)}
    outputs["group_0_z_log_var"] = ({}, 2 * np.log(scale) + off)
    for g in (1, 2):
        slope, constant, scale = conditional([g], [*range(g), 3, 4])
        outputs[f"group_{g}_features"] = ({"x": np.eye(2)}, [0.0, 0.0])
        slope[g - 1] -= A[g]
        shift = {"state": slope[:g], "features": slope[g:]}
        ratio = np.log(scale / S[g]) - off
        says = {"shift": (shift, constant - B[g] + off), "log_ratio": ({}, ratio)}
        networks.append(linear({"features": 2, "state": g}, says))
    return linear(shapes, outputs), Ladder(networks)


def upwards():
    """Returns the true posterior from the bottom up where x depends on the lowest group alone."""
    slope, constant, scale = conditional([2], [3, 4], LOWEST)
    outputs = {
        "group_2_z_mean": ({"x": slope}, constant),
        "group_2_z_log_var": ({}, 2 * np.log(scale)),
    }
    networks = []
    for g, given in ((1, [2, 3, 4]), (0, [1, 3, 4])):
        slope, constant, scale = conditional([g], given, LOWEST)
        outputs[f"group_{g}_features"] = ({"x": np.eye(2)}, [0.0, 0.0])
        mean = ({"z": slope[:1], "features": slope[1:]}, constant)
        says = {"z_mean": mean, "z_log_var": ({}, 2 * np.log(scale))}
        networks.append(linear({"z": 1, "features": 2}, says))
    return linear({"x": 2}, outputs), BottomUp(networks)


def model(encoder, posterior, **more):
    decoder = linear({"z": 3}, {"loc": ({"z": LOWEST if posterior.upwards else C}, D)})
    likelihood = likelihoods.Gaussian(NOISE)
    return VAE(encoder, decoder, prior=chain(), posterior=posterior, likelihood=likelihood, **more)


def data(n=8, seed=0):
    mean, cov = joint()
    draws = np.random.default_rng(seed).multivariate_normal(mean, cov, n)
    return draws.astype("float32")


def log_marginal(x, c=C):
    mean, cov = joint(c)
    return stats.multivariate_normal(mean[3:], cov[3:, 3:]).logpdf(x)


def assert_meets(draws, value, errors=4.5):
    error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    np.testing.assert_array_less(np.abs(draws.mean(0) - value), errors * error + 1e-5)


# --- the linear-Gaussian oracle


def test_density_and_draws_of_the_prior_are_those_of_the_joint_normal():
    prior, (mean, cov) = chain(), joint()
    z = data()[:, :3]
    exact = stats.multivariate_normal(mean[:3], cov[:3, :3])
    np.testing.assert_allclose(prior.distribution().log_prob(z), exact.logpdf(z), rtol=1e-5)
    n = 40_000
    noise = tf.random.stateless_normal([n, 3], [0, 1])
    for draws in (
        prior.distribution().sample(n, seed=[1, 2]).numpy(),
        prior.from_noise(noise, tf.zeros([n])).numpy(),
    ):
        assert_meets(draws, mean[:3])
        centred = draws - mean[:3]
        assert_meets(centred[:, :, None] * centred[:, None], cov[:3, :3])


@pytest.mark.parametrize("make", [ladder, upwards])
def test_at_the_true_posterior_every_draw_knows_log_p_of_x(make):
    vae, x = model(*make()), data()[:, 3:]
    estimate = log_likelihood(vae, x, num_samples=3)
    exact = log_marginal(x, LOWEST if make is upwards else C)
    np.testing.assert_allclose(estimate.per_example, exact, atol=2e-5)
    np.testing.assert_allclose(estimate.monte_carlo_variance, 0, atol=1e-6)


def test_away_from_it_importance_sampling_and_the_bound_are_right():
    vae, x = model(*ladder(off=0.3)), data(200)[:, 3:]
    estimate = log_likelihood(vae, x, num_samples=2000)
    error = estimate.monte_carlo_stderr
    assert abs(estimate.mean - log_marginal(x).mean()) < 4.5 * error + 1e-4
    terms = vae(x, seed=[0, 1])
    gap = np.mean(log_marginal(x) + terms.nll + terms.kl)
    assert gap > 0.05


def test_kl_of_each_group_is_what_draws_say():
    encoder, posterior = ladder(off=0.3)
    vae, x, n = model(encoder, posterior), data(1)[:, 3:], 40_000
    qz, pz = vae.encode(x), vae.parts.p()
    z = qz.sample(n, seed=[0, 1])
    latents = groups_of(qz, pz, z)
    for group in latents:
        exact = tfd.kl_divergence(group.q, group.p).numpy()
        draws = (group.q.log_prob(group.z) - group.p.log_prob(group.z)).numpy()
        assert_meets(np.float64(draws - exact), 0.0)
    parts = kl_parts(latents, "group").numpy()
    total = (qz.log_prob(z) - pz.log_prob(z)).numpy()
    assert_meets(np.float64(total), parts.sum(-1))
    dimensions = kl_parts(latents, "dimension").numpy()
    np.testing.assert_allclose(dimensions, parts, rtol=1e-5)


def test_upwards_the_kl_is_estimated_where_the_prior_follows_the_draw():
    vae, x, n = model(*upwards()), data(1)[:, 3:], 40_000
    qz, pz = vae.encode(x), vae.parts.p()
    z = qz.sample(n, seed=[0, 1])
    latents = groups_of(qz, pz, z)
    assert [group.apart for group in latents] == [True, False, False]
    parts = kl_parts(latents, "group").numpy().sum()
    total = np.float64((qz.log_prob(z) - pz.log_prob(z)).numpy())
    assert abs(total.mean() - parts) < 4.5 * total.std() / np.sqrt(n) + 4e-3
    with pytest.raises(ConfigError, match="A closed form of the KL must exist"):
        model(*upwards(), objective=ELBO(closed_form=True))


@pytest.mark.slow
def test_gradients_are_those_of_differences():
    """By weights of prior, posterior and encoder, at the same draws: all ways share them."""
    encoder, posterior = ladder(off=0.2)
    vae, x, seed = model(encoder, posterior), data()[:, 3:], tf.constant([0, 1])

    def loss():
        terms = vae(x, seed=seed)
        return tf.reduce_mean(terms.nll + terms.kl_term)

    with tf.GradientTape() as tape:
        value = loss()
    variables = vae.trainable_variables
    for v, slope in zip(variables, tape.gradient(value, [v.value for v in variables]), strict=True):
        start, slope = v.numpy(), np.array(slope)
        direction = np.random.default_rng(0).normal(size=start.shape)
        ends = []
        for step in (1e-2, -1e-2):
            v.assign(start + step * direction)
            ends.append(float(loss()))
        v.assign(start)
        np.testing.assert_allclose(
            np.sum(slope * direction), (ends[0] - ends[1]) / 2e-2, rtol=2e-2, atol=2e-3
        )


def test_terms_at_draws_cost_no_second_run_of_the_networks():
    encoder, posterior = ladder()
    vae = model(encoder, posterior)
    qz, pz = vae.encode(data()[:, 3:]), vae.parts.p()
    z = qz.sample(2, seed=[0, 1])
    kept = groups_of(qz, pz, z)
    assert kept[1].p is qz.levels(z)[1].prior
    assert kept[1].q is qz.levels(z)[1].own
    for group, anew in zip(kept, groups_of(qz, pz, tf.identity(z)), strict=True):
        for d, other in ((group.q, anew.q), (group.p, anew.p)):
            np.testing.assert_allclose(d.log_prob(group.z), other.log_prob(group.z), rtol=1e-5)


@pytest.mark.parametrize("known", [True, False], ids=["eager", "sizes unknown"])
def test_one_z_meets_the_posterior_of_every_example(known):
    vae, x = model(*ladder(off=0.2)), data()[:, 3:]
    z = np.random.default_rng(0).normal(size=(3, 1, 3)).astype("float32")
    spec = [tf.TensorSpec([None, 2]), tf.TensorSpec([None, 1, 3])]

    def met(x, z):
        return vae.parts.q(vae.door.parse(x).tensors()).log_prob(z)

    together = (met if known else tf.function(met, input_signature=spec))(tf.constant(x), z)
    assert together.shape == (3, 8)
    for n in range(8):
        alone = met(tf.constant(x[n : n + 1]), z)
        np.testing.assert_allclose(together[:, n], alone[:, 0], rtol=1e-5)
    one = vae.encode(x).log_prob(z[0, 0])
    np.testing.assert_allclose(one, together[0], rtol=1e-5)


def test_collapse_is_told_of_the_group_that_only_follows_the_draws_above():
    encoder, posterior = ladder()
    vae = model(encoder, posterior)
    for rung in posterior.networks[1:]:
        rung.set_weights([np.zeros(w.shape) for w in rung.get_weights()])  # q is p
    x = data(300)[:, 3:]
    result = measure_collapse(vae, x)
    assert result.group_sizes == (1, 1, 1)
    assert result.active_by_group == [1, 1, 0]
    assert np.var(vae.posterior.point(vae.encoder({"x": x}))[:, 2]) > 0.01
    np.testing.assert_allclose(result.kl, result.kl_by_group, rtol=1e-5)
    assert result.kl_by_group[2] == pytest.approx(0, abs=1e-6)
    monitor = CollapseMonitor(x)
    vae.compile(keras.optimizers.SGD(1e-12))
    with pytest.warns(UserWarning, match=r"group 2 holds \S+ nats, 0 of 1 latents active"):
        history = vae.fit(x, epochs=1, verbose=0, callbacks=[monitor]).history
    assert history["kl_group_2"][0] == pytest.approx(0, abs=1e-6)


# --- one group


def flat(grouped, top, kind):
    posterior = Ladder(first=kind()) if grouped else kind()
    prior = Hierarchy(top()) if grouped else top()
    encoder = mlp_encoder((6,), 3, (16,), outputs=posterior.parameter_shapes(3))
    decoder = mlp_decoder(3, {"logits": (6,)}, (16,))
    vae = VAE(encoder, decoder, prior=prior, posterior=posterior)
    vae.compile("adam")
    return vae


@pytest.mark.slow_but(1)
@pytest.mark.parametrize(
    ("top", "kind"),
    [
        (lambda: StandardNormal(3), DiagonalNormal),
        (lambda: MixtureOfNormals(3, 4), FullNormal),
        (lambda: StandardNormal(3), lambda: InverseAutoregressive(3, 2, 2, (4,))),
    ],
    ids=["normal", "mixture", "flow"],
)
def test_one_group_is_a_flat_model_to_the_last_bit(top, kind):
    x = (np.random.default_rng(0).random((64, 6)) > 0.5).astype("float32")
    results = []
    for grouped in (False, True):
        vae = flat(grouped, top, kind)
        history = vae.fit(x, epochs=2, batch_size=16, verbose=0, shuffle=False).history
        results.append(
            [
                *history.values(),
                *vae.evaluate(x, verbose=0, return_dict=True).values(),
                log_likelihood(vae, x, num_samples=5).per_example,
                vae.sample(4, seed=0),
                vae.reconstruct(x),
                vae.encode(x).sample(2, seed=[0, 1]),
                *(w.numpy() for w in vae.weights),
            ]
        )
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


# --- other tops, and other posteriors of a hierarchy


def network(size=2, above=3, state=None, out_state=4):
    inputs = {"z": keras.Input((above,), name="z")}
    if state:
        inputs["state"] = keras.Input((state,), name="state")
    joined = list(inputs.values())
    h = keras.layers.Concatenate()(joined) if state else joined[0]
    h = keras.layers.Dense(out_state, "tanh")(h)
    outputs = {name: keras.layers.Dense(size)(h) for name in ("loc", "log_scale")}
    return keras.Model(inputs, {**outputs, "state": h})


def rung(size=2, features=(5,), state=4):
    taken = {"features": keras.Input(features, name="features")}
    taken["state"] = keras.Input((state,), name="state")
    h = keras.layers.Concatenate()([keras.layers.Flatten()(t) for t in taken.values()])
    return keras.Model(taken, {n: keras.layers.Dense(size)(h) for n in ("shift", "log_ratio")})


def test_groups_that_are_independent_have_a_closed_form_too():
    """A JointPosterior infers all groups bottom-up, from x alone."""
    prior, n = Hierarchy(LearnedNormal(3), [network()]), 20_000
    posterior = JointPosterior([FullNormal(), DiagonalNormal()], (3, 2))
    rng = np.random.default_rng(0)
    params = {
        k: rng.normal(size=(2, *s)).astype("float32")
        for k, s in posterior.parameter_shapes(5).items()
    }
    qz, pz = posterior.distribution(params), prior.distribution()
    z = qz.sample(n, seed=[0, 1])
    latents = groups_of(qz, pz, z)
    assert [group.depends for group in latents] == [False, True]
    exact = kl_parts(latents, "group", closed_form=True).numpy().sum(-1)
    assert_meets(np.float64((qz.log_prob(z) - pz.log_prob(z)).numpy()), exact)


@pytest.mark.slow
@pytest.mark.parametrize("top", ["vamp", "conditional"])
def test_tops_that_are_made_of_q_or_of_a_condition(top, tmp_path):
    x = (np.random.default_rng(0).random((40, 6)) > 0.5).astype("float32")
    condition = 3 if top == "conditional" else None
    first = (
        VampPrior(3, (6,), 4) if condition is None else Conditional(conditional_prior_network(3, 3))
    )
    prior, posterior = Hierarchy(first, [network()]), Ladder([rung()])
    shapes = posterior.parameter_shapes(5)
    encoder = mlp_encoder((6,), 5, (8,), outputs=shapes, condition=condition)
    decoder = mlp_decoder(5, {"logits": (6,)}, (8,), condition=condition)
    vae = VAE(encoder, decoder, prior=prior, posterior=posterior, kl_control=FreeBits(0.1, "group"))
    vae.compile("adam")
    fields = (x,) if condition is None else (x, np.arange(40) % 3)
    vae.fit(*fields, epochs=1, verbose=0)
    given = fields[0] if condition is None else fields
    assert vae.check(given, print_fn=None).ok
    vae.save(tmp_path / "m.keras")
    copy = keras.models.load_model(tmp_path / "m.keras")
    one, other = (log_likelihood(m, given, num_samples=4).per_example for m in (vae, copy))
    np.testing.assert_array_equal(one, other)
    drawn = {} if condition is None else {"condition": [0, 1, 2]}
    assert vae.sample(3, seed=0, **drawn).shape == (3, 6)


def test_survives_serialization_and_json():
    for part in (
        Hierarchy(MixtureOfNormals(3, 2), [network(), network(1, 2, state=4)]),
        Ladder([rung(), rung(1)], first=FullNormal()),
        BottomUp([], name="q"),
    ):
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(part)))
        copy = keras.saving.deserialize_keras_object(config)
        assert json.dumps(copy.get_config()) == json.dumps(part.get_config())
        assert [w.shape for w in copy.variables] == [w.shape for w in part.variables]


def test_refusals():
    def vae(prior, posterior, latent_dim=5):
        shapes = posterior.parameter_shapes(latent_dim)
        encoder = mlp_encoder((6,), latent_dim, (4,), outputs=shapes)
        decoder = mlp_decoder(latent_dim, {"logits": (6,)}, (4,))
        return VAE(encoder, decoder, prior=prior, posterior=posterior)

    two = Hierarchy(StandardNormal(3), [network()])
    with pytest.raises(ConfigError, match="`top` must be an instance of Prior"):
        Hierarchy(DiagonalNormal(), [network()])
    with pytest.raises(ConfigError, match="group 2's input z takes 3 numbers"):
        Hierarchy(StandardNormal(3), [network(), network()])
    with pytest.raises(ConfigError, match="group 1's input state takes 4 numbers"):
        Hierarchy(StandardNormal(3), [network(state=4)])
    with pytest.raises(ConfigError, match="group 1 must be named z"):
        Hierarchy(StandardNormal(3), [rung()])
    with pytest.raises(ConfigError, match="group 1 must put out loc, log_scale"):
        Hierarchy(StandardNormal(3), [mlp_decoder(3, {"loc": (2,)}, ())])
    with pytest.raises(ConfigError, match="must give loc and log_scale one shape"):
        Hierarchy(StandardNormal(3), [mlp_decoder(3, {"loc": (2,), "log_scale": (1,)}, ())])
    with pytest.raises(ConfigError, match="must have inputs among features, state, z"):
        Ladder([linear({"features": 1, "w": 1}, {n: ({}, [0.0]) for n in Ladder.given})])
    with pytest.raises(ConfigError, match="A Ladder of 2 groups needs a Hierarchy of as many"):
        vae(StandardNormal(5), Ladder([rung()]))
    with pytest.raises(ConfigError, match="A Ladder of 1 groups needs a Hierarchy of as many"):
        vae(two, Ladder())
    with pytest.raises(ConfigError, match=r"must have the prior's groups \(3, 2\)"):
        vae(two, Ladder([rung(1)]))
    with pytest.raises(ConfigError, match="input state takes 7 numbers"):
        vae(two, Ladder([rung(state=7)]))
    with pytest.raises(ConfigError, match="must have more latents than the 2 of further groups"):
        Ladder([rung()]).parameter_shapes(2)
    alone = Ladder([rung()])
    params = {k: tf.zeros([1, *shape]) for k, shape in alone.parameter_shapes(5).items()}
    with pytest.raises(ConfigError, match="A Ladder needs its model's prior"):
        alone.point(params)
    made = vae(two, Ladder([rung()]))
    with pytest.raises(ConfigError, match="A Ladder belongs to one prior"):
        made.replace(prior=Hierarchy(StandardNormal(3), [network()]))
    with pytest.raises(ConfigError, match="needs the network outputs"):
        made.posterior.distribution({"z_mean": tf.zeros([1, 3])})
    lowest = linear({"z": 2}, {n: ({}, [0.0] * 3) for n in BottomUp.given})
    vamp = Hierarchy(VampPrior(3, (6,), 2), [network()])
    upwards_model = vae(vamp, BottomUp([lowest]))
    with pytest.raises(ConfigError, match="The top of the prior needs its group"):
        upwards_model.parts.p()
