"""Conditional models against a linear Gaussian one, of which everything is known.

x = W z + V c + sigma e with c one of K classes; z ~ N(0, I), or N(m_c, diag(s_c^2)) where the prior
is conditional. So p(x|c) = N(V c + W m_c, W diag(s_c^2) W^T + sigma^2 I) and, as the columns of W
are orthogonal, p(z|x, c) is a diagonal Gaussian (Tipping and Bishop 1999, equations 7 to 9).
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import vae_tf
from vae_tf import networks
from vae_tf.errors import ConfigError, DataError
from vae_tf.objectives import ELBO

D, L, K, SIGMA, N = 5, 2, 3, 0.6, 60
RNG = np.random.default_rng(0)
W = np.linalg.qr(RNG.normal(size=(D, L)))[0] * np.array([1.5, 0.7])
V = RNG.normal(size=(K, D))
M = RNG.normal(size=(K, L))
S = np.exp(0.5 * RNG.normal(size=(K, L)))
C = RNG.integers(0, K, N)
ONE_HOT = np.eye(K, dtype="float32")[C]


def data_of(m, s):
    z = m[C] + s[C] * RNG.normal(size=(N, L))
    return (z @ W.T + V[C] + SIGMA * RNG.normal(size=(N, D))).astype("float32")


def exact(x, m, s):
    """Returns log p(x|c) of each example."""
    return np.array(
        [
            stats.multivariate_normal.logpdf(
                row, V[c] + W @ m[c], W @ np.diag(s[c] ** 2) @ W.T + SIGMA**2 * np.eye(D)
            )
            for row, c in zip(x, C, strict=True)
        ]
    )


def linear(units, bias=False):
    return keras.layers.Dense(units, use_bias=bias)


def model(m, s, shift=0.0, **kwargs):
    """The VAE whose posterior is the true one, or shifted; its prior is of each class (m, s)."""
    precision = np.sum(W**2, 0) / SIGMA**2 + s**-2  # [K, L]
    x, c = keras.Input((D,), name="x"), keras.Input((K,), name="condition")
    of_x, of_c, gain, log_var = (linear(L) for _ in range(4))
    z_mean = keras.layers.Multiply()([keras.layers.Add()([of_x(x), of_c(c)]), gain(c)])
    encoder = keras.Model([x, c], {"z_mean": z_mean, "z_log_var": log_var(c)})
    of_x.set_weights([W / SIGMA**2])
    of_c.set_weights([(m + shift) * s**-2 - V @ W / SIGMA**2])
    gain.set_weights([1 / precision])
    log_var.set_weights([-np.log(precision)])
    z, c = keras.Input((L,), name="z"), keras.Input((K,), name="condition")
    of_z, of_c = linear(D), linear(D)
    decoder = keras.Model([z, c], {"loc": keras.layers.Add()([of_z(z), of_c(c)])})
    of_z.set_weights([W.T])
    of_c.set_weights([V])
    if np.any(m) or np.any(s != 1):
        network = networks.conditional_prior_network(K, L, hidden=())
        for layer, values in (("loc", m), ("log_scale", np.log(s))):
            named = next(h for h in network.layers if h.name.startswith(layer) and h.weights)
            named.set_weights([values, np.zeros(L)])
        kwargs["prior"] = vae_tf.priors.Conditional(network)
    vae = vae_tf.VAE(encoder, decoder, likelihood=vae_tf.likelihoods.Gaussian(SIGMA), **kwargs)
    vae.compile(keras.optimizers.Adam(0.01), run_eagerly=True)  # tracing would take longer
    return vae


PRIORS = {"normal": (np.zeros((K, L)), np.ones((K, L))), "conditional": (M, S)}
X = {name: data_of(*prior) for name, prior in PRIORS.items()}


@pytest.fixture(scope="module", params=PRIORS)
def case(request):
    """A model at the true posterior, its data and log p(x|c)."""
    name = request.param
    vae = model(*PRIORS[name], objective=ELBO(closed_form=False))
    return vae, X[name], exact(X[name], *PRIORS[name])


@pytest.fixture(scope="module")
def trained():
    """A small conditional model of digits' size after some steps, and its data."""
    return small()


def small(prior=None, eager=True):
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder((D,), L, (8,), condition=K)
    likelihood = vae_tf.likelihoods.Gaussian(SIGMA)
    decoder = networks.mlp_decoder(L, likelihood.parameter_shapes((D,)), (8,), condition=K)
    vae = vae_tf.VAE(encoder, decoder, prior=prior, likelihood=likelihood)
    vae.compile(keras.optimizers.Adam(0.01), run_eagerly=eager, jit_compile=False)
    return vae


# The bound


def test_the_bound_is_the_likelihood_at_the_true_posterior(case):
    vae, x, truth = case
    terms = vae((x, C))
    np.testing.assert_allclose(-(terms.nll + terms.kl), truth, rtol=2e-5, atol=2e-4)
    batch = vae.door.parse((x, C)).tensors()
    z = vae.parts.q(batch).sample(3, seed=[0, 1])
    log_w = vae.parts.log_weights(z, batch)
    np.testing.assert_allclose(log_w, np.tile(truth, (3, 1)), rtol=2e-5, atol=2e-4)
    logs = vae.evaluate(x, C, batch_size=N, return_dict=True, verbose=0)
    assert logs["elbo"] == pytest.approx(truth.mean(), rel=1e-5)


def test_the_wrong_class_is_less_likely(case):
    vae, x, truth = case
    terms = vae((x, (C + 1) % K))
    assert np.mean(-(terms.nll + terms.kl)) < truth.mean() - 1


@pytest.mark.parametrize("name", PRIORS)
def test_importance_sampling_meets_it_from_another_posterior(name):
    vae, x = model(*PRIORS[name], shift=0.3), X[name]
    truth, samples = exact(x, *PRIORS[name]), 2000
    found = vae_tf.log_likelihood(vae, (x, C), samples)
    assert 0 < found.monte_carlo_stderr < 0.01
    assert abs(found.mean - truth.mean()) < 5 * found.monte_carlo_stderr
    stream = tf.data.Dataset.from_tensor_slices((x, C)).batch(23)
    again = vae_tf.log_likelihood(vae, stream, samples)
    np.testing.assert_allclose(again.per_example, found.per_example, rtol=1e-5)


# Forms of data


def as_generator(x, c, size):
    for start in range(0, N, size):
        yield x[start : start + size], c[start : start + size]


class Batches(keras.utils.PyDataset):
    def __init__(self):
        super().__init__()

    def __len__(self):
        return N // 20

    def __getitem__(self, i):
        rows = slice(20 * i, 20 * i + 20)
        return {"x": X["normal"][rows], "condition": C[rows]}


FORMS = {
    "x, y": lambda x, c: ((x, c), {}),
    "pair": lambda x, c: (((x, c),), {}),
    "dict": lambda x, c: (({"x": x, "condition": c},), {}),
    "dict and y": lambda x, c: (({"x": x}, c), {}),
    "one-hot": lambda x, c: ((x, np.eye(K, dtype="float32")[c]), {}),
    "weights": lambda x, c: ((x, c), {"sample_weight": np.ones(N)}),
    "dataset": lambda x, c: ((tf.data.Dataset.from_tensor_slices((x, c)).batch(20),), {}),
    "dataset of dicts": lambda x, c: (
        (tf.data.Dataset.from_tensor_slices({"x": x, "condition": c}).batch(20),),
        {},
    ),
    "generator": lambda x, c: ((as_generator(x, c, 20),), {"steps_per_epoch": 3}),
    "PyDataset": lambda x, c: ((Batches(),), {}),
}


@pytest.fixture(scope="module")
def learner():
    """A model, and what puts it back to where it was."""
    vae = small()
    start = [v.numpy() for v in vae.variables]
    vae.optimizer.build(vae.trainable_variables)
    optimizer = [v.numpy() for v in vae.optimizer.variables]

    def reset():
        for variable, value in zip(vae.variables, start, strict=True):
            variable.assign(value)
        for variable, value in zip(vae.optimizer.variables, optimizer, strict=True):
            variable.assign(value)

    return vae, reset


def losses(learner, form):
    vae, reset = learner
    reset()
    arguments, options = FORMS[form](X["normal"], C)
    streams = form in ("generator", "PyDataset") or form.startswith("dataset")
    options = options if streams else {**options, "batch_size": 20}
    vae.fit(*arguments, epochs=1, verbose=0, shuffle=False, **options)
    weights = [v.numpy() for v in vae.trainable_variables]
    return vae.history.history["loss"][0], weights


@pytest.fixture(scope="module")
def reference(learner):
    return losses(learner, "x, y")


@pytest.mark.slow_but(4)
@pytest.mark.parametrize("form", [form for form in FORMS if form != "x, y"])
def test_every_form_trains_alike(learner, reference, form):
    loss, weights = losses(learner, form)
    assert loss == pytest.approx(reference[0], rel=1e-6)
    for got, expected in zip(weights, reference[1], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


def test_one_graph_takes_classes_and_vectors():
    vae = small(eager=False)
    x, settings = X["normal"], {"batch_size": 20, "verbose": 0}
    expected = vae.evaluate(x, C, **settings)
    assert vae.evaluate(x, ONE_HOT, **settings) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(DataError, match="same number of axes at every call"):
        vae.evaluate(x, C[:, None], **settings)


def test_classes_are_one_hot_vectors_to_the_last_bit(trained):
    x = X["normal"]
    for given in (C, C[:, None], C.astype("int64"), C.astype("uint8"), C.astype("float32")):
        terms, others = (trained((x, c), seed=[0, 1]) for c in (given, ONE_HOT))
        for name in ("nll", "kl", "z"):
            assert np.array_equal(getattr(terms, name), getattr(others, name))
    a, b = (trained.sample(N, seed=3, condition=c) for c in (C, ONE_HOT))
    assert np.array_equal(a, b)
    a, b = (trained.reconstruct((x, c)) for c in (C, ONE_HOT))
    assert np.array_equal(a, b)


# Networks of all kinds


def test_a_condition_may_be_a_dict_of_tensors():
    condition = {"kind": K, "position": (2,)}
    given = {"kind": C, "position": RNG.normal(size=(N, 2)).astype("float32")}
    likelihood = vae_tf.likelihoods.Gaussian(SIGMA)
    vae = vae_tf.VAE(
        networks.mlp_encoder((D,), L, (8,), condition=condition),
        networks.mlp_decoder(L, likelihood.parameter_shapes((D,)), (8,), condition=condition),
        prior=vae_tf.priors.Conditional(networks.conditional_prior_network(condition, L)),
        likelihood=likelihood,
    )
    vae.compile(run_eagerly=True)
    x = X["normal"]
    data = {"x": x, "condition": given}
    terms = vae(data, seed=[0, 1])
    flipped = {**given, "position": -given["position"]}
    assert not np.allclose(vae({"x": x, "condition": flipped}, seed=[0, 1]).nll, terms.nll)
    vae.fit(x, given, batch_size=20, epochs=1, verbose=0)
    assert vae.sample(N, condition=given).shape == (N, D)
    assert vae.reconstruct(data, shown=flipped).shape == (N, D)
    few = keras.tree.map_structure(lambda values: values[:2], given)
    assert vae.interpolate(x[:2], x[2:4], 3, condition=few).shape == (2, 3, D)
    with pytest.raises(DataError, match="position"):
        vae.sample(N, condition={"kind": C})


@keras.saving.register_keras_serializable(package="tests")
class Encoder(keras.Model):
    """An encoder of a user's own, that names what it takes in `call`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mean, self.log_var, self.kinds = (
            keras.layers.Dense(L),
            keras.layers.Dense(L),
            keras.layers.Embedding(K, D),
        )

    def build_from_config(self, config):
        self(tf.zeros([1, D]), tf.zeros([1]))

    def call(self, x, condition):
        h = x + self.kinds(tf.cast(condition, tf.int32))
        return {"z_mean": self.mean(h), "z_log_var": self.log_var(h)}


def test_a_subclass_gets_the_condition_as_it_came(tmp_path):
    likelihood = vae_tf.likelihoods.Gaussian(SIGMA)
    decoder = networks.mlp_decoder(L, likelihood.parameter_shapes((D,)), (8,), condition=K)
    vae = vae_tf.VAE(Encoder(), decoder, likelihood=likelihood)
    vae.compile("adam", run_eagerly=True)
    x = X["normal"]
    vae.fit(x, C, batch_size=20, epochs=1, verbose=0)
    kinds, other = vae.encode((x, C)).mean(), vae.encode((x, (C + 1) % K)).mean()
    assert not np.allclose(kinds, other)
    h = x + vae.encoder.kinds(C)
    np.testing.assert_allclose(kinds, vae.encoder.mean(h), rtol=1e-5, atol=1e-6)
    vae.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.encode((x, C)).mean(), kinds, rtol=1e-6)


@pytest.mark.slow
def test_a_decoder_may_see_the_data_before_each_element():
    # x_i | z, x_{i-1}: exact for an autoregressive chain, whatever z does
    rng = np.random.default_rng(1)
    x = np.zeros((400, D), "float32")
    x[:, 0] = rng.normal(size=400)
    for i in range(1, D):
        x[:, i] = 0.9 * x[:, i - 1] + 0.3 * rng.normal(size=400)
    given, z = keras.Input((D,), name="x"), keras.Input((L,), name="z")
    before = keras.layers.ZeroPadding1D((1, 0))(keras.layers.Reshape((D, 1))(given))
    before = keras.layers.Reshape((D,))(keras.layers.Cropping1D((0, 1))(before))
    loc = keras.layers.Add()([linear(D)(z), keras.layers.Multiply()([before, linear(D, True)(z)])])
    vae = vae_tf.VAE(
        networks.mlp_encoder((D,), L, (8,)),
        keras.Model([z, given], {"loc": loc}),
        likelihood=vae_tf.likelihoods.Gaussian(0.3),
    )
    vae.compile(keras.optimizers.Adam(0.1), run_eagerly=True)
    start = vae.evaluate(x, return_dict=True, verbose=0)["elbo"]
    vae.fit(x, batch_size=200, epochs=20, verbose=0)
    end = vae.evaluate(x, return_dict=True, verbose=0)["elbo"]
    # Independent elements of this scale reach no more than their own marginals
    independent = sum(stats.norm.logpdf(x[:, i], 0, x[:, i].std()).mean() for i in range(D))
    assert start < independent < end
    changed = x.copy()
    changed[:, -1] += 1  # nothing before the last element sees it
    codes = vae.encode(x).mean()
    a, b = (vae.parts.decoded(codes, vae.door.parse(v).tensors()) for v in (x, changed))
    np.testing.assert_array_equal(a["loc"], b["loc"])


def test_an_encoder_takes_the_mask():
    x, mask = keras.Input((D,), name="x"), keras.Input((D,), name="mask")
    h = keras.layers.Concatenate()([x, mask])
    heads = {name: keras.layers.Dense(L, name=name)(h) for name in ("z_mean", "z_log_var")}
    likelihood = vae_tf.likelihoods.Gaussian(SIGMA)
    decoder = networks.mlp_decoder(L, likelihood.parameter_shapes((D,)), (8,))
    vae = vae_tf.VAE(keras.Model([x, mask], heads), decoder, likelihood=likelihood)
    vae.compile(run_eagerly=True)
    values = X["normal"].copy()
    seen = RNG.random(values.shape) > 0.3
    given = np.where(seen, values, np.nan).astype("float32")  # whatever lies under the mask
    data = {"x": given, "mask": seen.astype("float32")}
    vae.fit(data, batch_size=20, epochs=1, verbose=0)
    terms, others = vae(data, seed=[0, 1]), vae({**data, "x": values}, seed=[0, 1])
    np.testing.assert_allclose(terms.nll, others.nll, rtol=1e-6)
    px = vae.decode(terms.z[0])
    by_hand = stats.norm.logpdf(values, px.mean(), SIGMA)
    np.testing.assert_allclose(-terms.nll, np.where(seen, by_hand, 0).sum(1), rtol=1e-4)


@pytest.mark.parametrize("order", [("z_mean", "z_log_var"), ("z_log_var", "z_mean")])
def test_outputs_in_a_list_go_by_their_layers_names(order):
    x = keras.Input((D,), name="x")
    layers = {name: keras.layers.Dense(L, name=name) for name in ("z_mean", "z_log_var")}
    encoder = keras.Model(x, [layers[name](x) for name in order])
    likelihood = vae_tf.likelihoods.Gaussian(SIGMA)
    decoder = networks.mlp_decoder(L, likelihood.parameter_shapes((D,)), (8,))
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    values = X["normal"]
    qz = vae.encode(values)
    np.testing.assert_allclose(qz.mean(), layers["z_mean"](values), rtol=1e-5, atol=1e-6)
    log_var = layers["z_log_var"](values)
    np.testing.assert_allclose(2 * np.log(qz.stddev()), log_var, rtol=1e-4, atol=1e-5)


# Life of a model


def test_saved_and_loaded_it_goes_on_as_it_would_have(tmp_path):
    prior = vae_tf.priors.Conditional(networks.conditional_prior_network(K, L))
    x, settings = X["conditional"], {"batch_size": 20, "shuffle": False, "verbose": 0}
    vae = small(prior)
    vae.fit(x, C, epochs=2, **settings)
    vae.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (vae, loaded):
        one.fit(x, C, epochs=2, **settings)
    assert vae.history.history["loss"] == loaded.history.history["loss"]
    for a, b in zip(vae.trainable_variables, loaded.trainable_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert np.array_equal(*(one.sample(K, 0, condition=range(K)) for one in (vae, loaded)))


def test_replace_shares_the_networks(case):
    vae, x, _ = case
    other = vae.replace(prior=vae_tf.priors.StandardNormal(L))
    assert other.parts.conditional
    assert other.encoder is vae.encoder
    terms = other((x, C))
    mean, std = (getattr(vae.encode((x, C)), name)().numpy() for name in ("mean", "stddev"))
    kl = 0.5 * np.sum(mean**2 + std**2 - 1 - 2 * np.log(std), 1)
    spread = np.sqrt(L)  # of log q - log p at one draw, about
    assert abs(np.mean(terms.kl) - kl.mean()) < 5 * spread * (1 + std.max()) / np.sqrt(N)


# Out of a model


def test_samples_are_of_the_class_that_was_asked_for(case):
    vae, _, _ = case
    m, s = (M, S) if vae.prior.conditional else PRIORS["normal"]
    count = 4000
    for c in range(K):
        drawn = vae.sample(count, seed=c, condition=np.full(count, c)).numpy()
        mean, cov = V[c] + W @ m[c], W @ np.diag(s[c] ** 2) @ W.T  # of E[x|z, c]
        error = np.sqrt(np.diag(cov) / count)
        assert np.all(np.abs(drawn.mean(0) - mean) < 5 * error + 1e-5)
        assert np.all(np.abs(np.cov(drawn.T) - cov) < 5 * np.max(cov) * np.sqrt(2 / count))


def test_another_label_keeps_the_style(case):
    vae, x, _ = case
    shown = (C + 1) % K
    swapped = vae.reconstruct((x, C), shown=shown)
    z = vae.encode((x, C)).mean().numpy()  # of x under its own label
    np.testing.assert_allclose(swapped, z @ W.T + V[shown], rtol=1e-4, atol=1e-4)
    own = vae.reconstruct(x, condition=C)
    np.testing.assert_allclose(own, z @ W.T + V[C], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(swapped - own, V[shown] - V[C], rtol=1e-3, atol=1e-4)
    stream = tf.data.Dataset.from_tensor_slices((x, C)).batch(N)
    np.testing.assert_allclose(vae.reconstruct(stream, shown=shown), swapped, rtol=1e-5)


def test_a_stream_of_batches_is_swapped_row_by_row(case):
    vae, x, _ = case
    shown = (C + 1) % K
    stream = tf.data.Dataset.from_tensor_slices((x, C)).batch(7)
    whole = vae.reconstruct((x, C), shown=shown)
    np.testing.assert_allclose(vae.reconstruct(stream, shown=shown), whole, rtol=1e-5, atol=1e-6)


def test_a_path_stays_under_its_condition(case):
    vae, x, _ = case
    path = vae.interpolate(x[:3], x[3:6], 5, condition=[0, 1, 2]).numpy()
    ends = [vae.encode(rows, condition=np.arange(3)).mean().numpy() for rows in (x[:3], x[3:6])]
    t = np.linspace(0, 1, 5)[:, None]
    for c in range(3):
        z = (1 - t) * ends[0][c] + t * ends[1][c]
        np.testing.assert_allclose(path[c], z @ W.T + V[c], rtol=1e-3, atol=1e-4)
    single = vae.interpolate(x[1], x[4], 5, condition=[1])
    np.testing.assert_allclose(single, path[1], rtol=1e-4, atol=1e-5)


def test_predict_reconstructs_under_the_own_label(case):
    vae, x, _ = case
    stream = tf.data.Dataset.from_tensor_slices((x, C)).batch(20)
    whole = vae.reconstruct((x, C))
    got = vae.predict({"x": x, "condition": C}, batch_size=20, verbose=0)
    np.testing.assert_allclose(got, whole, rtol=1e-5, atol=1e-6)
    pairs = stream.map(lambda a, c: {"x": a, "condition": c})
    np.testing.assert_allclose(vae.predict(pairs, verbose=0), whole, rtol=1e-5, atol=1e-6)


# The prior


def prior_of_classes():
    return model(M, S).prior


def test_the_kl_in_closed_form_is_what_draws_say():
    vae, x, draws = model(M, S), X["conditional"], 4000
    batch = vae.door.parse((x, C)).tensors()
    qz, pz = vae.parts.q(batch), vae.parts.p(batch)
    z = qz.sample(draws, seed=[0, 1])
    gaps = (qz.log_prob(z) - pz.log_prob(z)).numpy().astype("float64")
    error = gaps.std(0, ddof=1) / np.sqrt(draws)
    kl = vae((x, C)).kl.numpy()
    assert np.all(np.abs(kl - gaps.mean(0)) < 5 * error + 1e-4)
    mean, std = qz.mean().numpy(), qz.stddev().numpy()
    ratio = (std / S[C]) ** 2
    by_hand = 0.5 * np.sum(ratio + ((mean - M[C]) / S[C]) ** 2 - 1 - np.log(ratio), 1)
    np.testing.assert_allclose(kl, by_hand, rtol=1e-4, atol=1e-5)


def test_noise_becomes_draws_of_the_prior():
    prior, count = prior_of_classes(), 20_000
    for c in range(K):
        noise = np.random.default_rng(c).normal(size=(count, L)).astype("float32")
        condition = np.full(count, c)
        z = prior.from_noise(tf.constant(noise), None, condition).numpy()
        np.testing.assert_allclose(z, M[c] + S[c] * noise, rtol=1e-4, atol=1e-5)
        drawn = prior.distribution(condition).sample(seed=[c, 0]).numpy()
        for values in (z, drawn):
            assert np.all(np.abs(values.mean(0) - M[c]) < 5 * S[c] / np.sqrt(count))
            assert np.all(np.abs(values.std(0) / S[c] - 1) < 5 / np.sqrt(2 * count))


# What cannot be

MISTAKES = {
    "no condition": (lambda vae, x: vae.fit(x), "must have a condition"),
    "sampled without": (lambda vae, x: vae.sample(3), "needs a condition"),
    "encoded without": (lambda vae, x: vae.encode(x), "must have a condition"),
    "decoded without": (lambda vae, x: vae.decode(np.zeros((2, L))), "needs a condition"),
    "scored without": (lambda vae, x: vae_tf.log_likelihood(vae, x, 2), "must have a condition"),
    "unknown class": (lambda vae, x: vae.fit(x, C + 1), "from 0 to 2"),
    "negative class": (lambda vae, x: vae.sample(2, condition=[0, -1]), "from 0 to 2"),
    "half a class": (lambda vae, x: vae.sample(1, condition=[0.5]), "from 0 to 2"),
    "nobody's class": (lambda vae, x: vae.reconstruct((x, C), shown=C + K), "from 0 to 2"),
    "too few": (lambda vae, x: vae.fit(x, C[:-1]), "one length"),
    "too few for draws": (lambda vae, x: vae.sample(4, condition=[0, 1]), "4 entries"),
    "one for many": (lambda vae, x: vae.sample(4, condition=1), "4 entries"),
    "words": (lambda vae, x: vae.fit(x, np.array(["a", "b"] * (N // 2))), "numbers of classes"),
    "words for draws": (lambda vae, x: vae.sample(1, condition=["seven"]), "numbers of classes"),
    "another width": (lambda vae, x: vae.fit(x, np.zeros((N, K + 1), "float32")), "condition"),
    "a dict for one": (lambda vae, x: vae.sample(1, condition={"a": [0]}), "one tensor"),
    "not numbers": (lambda vae, x: vae.sample(1, condition=[None]), "numbers"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_one_sentence(trained, mistake):
    call, words = MISTAKES[mistake]
    with pytest.raises((DataError, ConfigError), match=words) as caught:
        call(trained, X["normal"])
    assert "\n" not in str(caught.value)


STREAMS = {
    "unknown class": ((X["normal"], C + 1), "from 0 to 2.*batch 1 of epoch 1"),
    "another width": ((X["normal"], np.zeros((N, K + 1), "float32")), r"must be \[B, 3\]"),
    "words": ((X["normal"], np.array(["a", "b"] * (N // 2))), "numbers of classes"),
    "no condition": (X["normal"], "must have a condition"),
}


@pytest.mark.parametrize("mistake", STREAMS)
def test_mistakes_in_streams_are_told_too(trained, mistake):
    elements, words = STREAMS[mistake]
    stream = tf.data.Dataset.from_tensor_slices(elements).batch(20)
    with pytest.raises(DataError, match=words) as caught:
        trained.fit(stream, epochs=1, shuffle=False, verbose=0)
    assert "\n" not in str(caught.value)
    if mistake != "no condition":
        with pytest.raises(DataError, match="must hold all fields"):
            trained.encode(stream, condition=C)


@pytest.fixture(scope="module")
def unconditional():
    likelihood = vae_tf.likelihoods.Gaussian(SIGMA)
    decoder = networks.mlp_decoder(L, likelihood.parameter_shapes((D,)), (8,))
    vae = vae_tf.VAE(networks.mlp_encoder((D,), L, (8,)), decoder, likelihood=likelihood)
    vae.compile(run_eagerly=True)
    return vae


def test_a_condition_nobody_takes_is_refused(unconditional):
    x = X["normal"]
    calls = [
        lambda: unconditional.fit({"x": x, "condition": C}),
        lambda: unconditional.sample(2, condition=[0, 1]),
        lambda: unconditional.decode(np.zeros((2, L)), condition=[0, 1]),
        lambda: unconditional.encode(x, condition=C),
        lambda: unconditional.reconstruct(x, shown=C),
    ]
    for call in calls:
        with pytest.raises(DataError, match="takes no condition"):
            call()
    unconditional.fit(x, C, epochs=1, verbose=0)  # y is what it is in Keras: not used


# What looks at models


def test_the_audit_has_nothing_to_say():
    prior = vae_tf.priors.Conditional(networks.conditional_prior_network(K, L))
    report = small(prior).check((X["conditional"], C), print_fn=None)
    assert [f.name for f in report.findings if f.status != "ok"] == []


def test_monitors_watch_it(tmp_path):
    vae, x = small(), X["normal"]
    monitor = vae_tf.callbacks.CollapseMonitor((x, C))
    callbacks = [
        monitor,
        vae_tf.callbacks.EarlyStopping(patience=3),
        vae_tf.callbacks.ModelCheckpoint(tmp_path / "best.keras"),
    ]
    settings = {"batch_size": 20, "epochs": 2, "verbose": 0}
    vae.fit(x, C, validation_data=(x, C), callbacks=callbacks, **settings)
    assert len(monitor.results) == 2
    assert keras.models.load_model(tmp_path / "best.keras").parts.conditional
