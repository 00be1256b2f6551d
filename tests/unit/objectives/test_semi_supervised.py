"""Semi-supervised models: a discrete one and a linear-Gaussian one whose likelihoods are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import vae_tf
from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError, DataError
from vae_tf.objectives import ELBO, SemiSupervised

K, D, L = 3, 4, 2
PROBS = [0.5, 0.3, 0.2]
RNG = np.random.default_rng(0)
MEANS = RNG.normal(size=(K, D))  # of x given the class, where z = 0
LOADINGS = RNG.normal(size=(L, D))
SCALE = 0.8


def classifier(classes=K, seed=5, event_shape=(D,)):
    x = keras.Input(event_shape, name="x")
    start = keras.initializers.RandomNormal(stddev=0.5, seed=seed)
    h = keras.layers.Flatten()(x)
    return keras.Model(x, keras.layers.Dense(classes, kernel_initializer=start)(h))


def linear_gaussian(exact=True, **kwargs):
    """Returns x|y, z ~ N(m_y + A'z, s^2 I), and as q(z|x, y) the posterior or another normal."""
    x, y = keras.Input((D,), name="x"), keras.Input((K,), name="condition")
    z, given = keras.Input((L,), name="z"), keras.Input((K,), name="condition")
    means, loadings = (keras.layers.Dense(D, use_bias=False) for _ in range(2))
    decoder = keras.Model(
        {"z": z, "condition": given}, {"loc": keras.layers.Add()([means(given), loadings(z)])}
    )
    of_x, of_y = (keras.layers.Dense(L, use_bias=False) for _ in range(2))
    log_var = keras.layers.Dense(L, kernel_initializer="zeros")
    mean = keras.layers.Add()([of_x(x), of_y(y)])
    encoder = keras.Model({"x": x, "condition": y}, {"z_mean": mean, "z_log_var": log_var(x)})
    means.kernel.assign(MEANS)
    loadings.kernel.assign(LOADINGS)
    # p(z|x, y) = N(V A (x - m_y) / s^2, V), V = (I + A A' / s^2)^-1; q is a product over z
    precision = np.eye(L) + LOADINGS @ LOADINGS.T / SCALE**2
    gain = np.linalg.solve(precision, LOADINGS) / SCALE**2
    of_x.kernel.assign(gain.T if exact else 0.5 * gain.T)
    of_y.kernel.assign(-MEANS @ gain.T)
    log_var.bias.assign(-np.log(np.diag(precision)))
    objective = kwargs.pop("objective", None) or SemiSupervised(
        classifier(), class_probs=PROBS, classifier_weight=2.0
    )
    likelihood = vae_tf.likelihoods.Gaussian(SCALE)
    return vae_tf.VAE(encoder, decoder, likelihood=likelihood, objective=objective, **kwargs)


def log_joint(x):
    """Returns log p(x, y), [N, K]."""
    covariance = LOADINGS.T @ LOADINGS + SCALE**2 * np.eye(D)
    given = [multivariate_normal(mean, covariance).logpdf(x) for mean in MEANS]
    return np.stack(given, 1) + np.log(PROBS)


@pytest.fixture(scope="module")
def data():
    y = RNG.choice(K, size=40, p=PROBS)
    x = MEANS[y] + RNG.normal(size=(40, L)) @ LOADINGS + SCALE * RNG.normal(size=(40, D))
    return x.astype("float32"), y


def elbo_given_class(x):
    """Returns L(x, y) [N, K] in closed form, of the q(z|x, y) of `linear_gaussian(exact=False)`."""
    precision = np.eye(L) + LOADINGS @ LOADINGS.T / SCALE**2
    gain = np.linalg.solve(precision, LOADINGS) / SCALE**2
    variance = 1 / np.diag(precision)
    bounds = []
    for mean in MEANS:
        m = 0.5 * x @ gain.T - mean @ gain.T  # [N, L]
        rest = x - mean - m @ LOADINGS
        squares = np.sum(rest**2, 1) + np.sum(variance[:, None] * LOADINGS**2)
        log_px = -0.5 * squares / SCALE**2 - D * np.log(SCALE * np.sqrt(2 * np.pi))
        kl = 0.5 * np.sum(variance + m**2 - 1 - np.log(variance), 1)
        bounds.append(log_px - kl)
    return np.stack(bounds, 1)


def mean_terms(vae, batch, draws=400):
    """Returns nll, kl and kl_term as means over seeds, and the standard errors of nll."""
    call = tf.function(lambda seed: vae(batch, seed=seed)[:3])
    found = np.array([call(tf.constant([3, i])) for i in range(draws)])
    return found.mean(0), found[:, 0].std(0) / np.sqrt(draws)


def test_the_bounds_are_those_of_the_closed_form(data):
    x, y = data
    vae = linear_gaussian(exact=False)
    label = np.where(np.arange(len(y)) % 2 == 0, y, -1)
    (nll, kl, kl_term), error = mean_terms(vae, {"x": x, "label": label})
    q = vae.classify(x).numpy().astype("float64")
    np.testing.assert_allclose(q.sum(1), 1, rtol=1e-6)
    of_class = elbo_given_class(x) + np.log(PROBS)
    unknown = np.sum(q * (of_class - np.log(q)), 1)
    known = of_class[np.arange(len(y)), y]
    expected = np.where(label < 0, unknown, known)
    assert np.all(np.abs(nll + kl + expected) < 5 * error + 1e-4)
    of_classifier = np.where(label < 0, 0.0, -2.0 * np.log(q[np.arange(len(y)), y]))
    np.testing.assert_allclose(kl_term - kl, of_classifier, rtol=1e-4, atol=1e-4)
    # They are bounds: on log p(x), and on log p(x, y)
    joint = log_joint(x)
    assert np.all(unknown <= logsumexp(joint, 1))
    assert np.all(known <= joint[range(len(y)), y])


def test_the_bound_is_tight_at_the_true_posterior(data):
    """With q(z|x, y) = p(z|x, y) and q(y|x) = p(y|x) the bound is log p(x), whatever the draw."""
    x, _ = data
    loadings = np.linalg.qr(LOADINGS.T)[0].T  # orthogonal ones: p(z|x, y) is a product over z
    vae = linear_gaussian()
    precision = 1 + 1 / SCALE**2
    gain = loadings / SCALE**2 / precision
    means, of_z = (layer for layer in vae.decoder.layers if isinstance(layer, keras.layers.Dense))
    if means.kernel.shape[0] != K:
        means, of_z = of_z, means
    of_z.kernel.assign(loadings)
    for layer in vae.encoder.layers:
        if isinstance(layer, keras.layers.Dense) and layer.use_bias:
            layer.bias.assign(np.full(L, -np.log(precision)))
        elif isinstance(layer, keras.layers.Dense):
            layer.kernel.assign(gain.T if layer.kernel.shape[0] == D else -MEANS @ gain.T)
    covariance = loadings.T @ loadings + SCALE**2 * np.eye(D)
    inverse = np.linalg.inv(covariance)
    # log p(y|x) is linear in x: all classes have one covariance
    dense = vae.objective.classifier.layers[-1]
    dense.kernel.assign(inverse @ MEANS.T)
    dense.bias.assign(np.log(PROBS) - 0.5 * np.einsum("ki,ij,kj->k", MEANS, inverse, MEANS))
    joint = np.stack([multivariate_normal(m, covariance).logpdf(x) for m in MEANS], 1)
    joint += np.log(PROBS)
    log_px = logsumexp(joint, 1)
    np.testing.assert_allclose(vae.classify(x), np.exp(joint - log_px[:, None]), atol=1e-5)
    (nll, kl, _), error = mean_terms(vae, {"x": x})
    assert np.all(np.abs(nll + kl + log_px) < 5 * error + 1e-4)
    found = vae_tf.log_likelihood(vae, x, 3)
    np.testing.assert_allclose(found.per_example, log_px, atol=1e-4)  # no variance at all
    np.testing.assert_allclose(found.monte_carlo_variance, 0, atol=1e-6)


def test_log_likelihood_sums_over_the_classes(data):
    x, y = data
    vae, joint = linear_gaussian(), log_joint(x)
    precision = np.eye(L) + LOADINGS @ LOADINGS.T / SCALE**2
    for layer in vae.encoder.layers:  # a wide q, whose weights are bounded
        if isinstance(layer, keras.layers.Dense) and layer.use_bias:
            layer.bias.assign(np.log(2 * np.diag(np.linalg.inv(precision))))
    marginal = vae_tf.log_likelihood(vae, x, 4000)
    error = np.sqrt(marginal.monte_carlo_variance)
    off = (marginal.per_example - logsumexp(joint, 1)) / error
    assert np.all(np.abs(off) < 5)
    assert 0.5 < np.std(off) < 1.6  # the errors are what they are said to be
    label = np.where(np.arange(len(y)) < 20, y, -1)
    some = vae_tf.log_likelihood(vae, (x, label), 4000)
    own = joint[np.arange(len(y)), y]
    error = np.sqrt(some.monte_carlo_variance)
    assert np.all(np.abs(some.per_example - own)[:20] < 5 * error[:20])
    np.testing.assert_array_equal(some.per_example[20:], marginal.per_example[20:])
    given = vae_tf.log_likelihood(vae, {"x": x, "condition": y}, 4000)
    error = np.sqrt(given.monte_carlo_variance)
    assert np.all(np.abs(given.per_example - (own - np.log(PROBS)[y])) < 5 * error)
    alone = vae_tf.log_likelihood(vae, x, 4000, batch_size=7)
    np.testing.assert_allclose(alone.per_example, marginal.per_example, rtol=1e-5)


def test_enumeration_of_a_discrete_model():
    """Binary data, and a decoder that does not look at z: log p(x) is a finite sum."""
    odds = np.log([[0.9, 0.2, 0.7], [0.3, 0.6, 0.1]]) - np.log1p(
        -np.array([[0.9, 0.2, 0.7], [0.3, 0.6, 0.1]])
    )
    z, given = keras.Input((1,), name="z"), keras.Input((2,), name="condition")
    rows = keras.layers.Dense(3, use_bias=False)
    decoder = keras.Model({"z": z, "condition": given}, {"logits": rows(given)})
    rows.kernel.assign(odds)
    x = keras.Input((3,), name="x")
    heads = [keras.layers.Dense(1, kernel_initializer="zeros") for _ in range(2)]
    encoder = keras.Model(x, {n: h(x) for n, h in zip(("z_mean", "z_log_var"), heads, strict=True)})
    objective = SemiSupervised(classifier(2, event_shape=(3,)), class_probs=[0.4, 0.6])
    vae = vae_tf.VAE(encoder, decoder, objective=objective)
    every = np.array([[i >> j & 1 for j in range(3)] for i in range(8)], "float32")
    probs = 1 / (1 + np.exp(-odds))
    joint = np.log([0.4, 0.6]) + every @ np.log(probs).T + (1 - every) @ np.log1p(-probs).T
    log_px = logsumexp(joint, 1)
    assert np.exp(log_px).sum() == pytest.approx(1)
    np.testing.assert_allclose(vae_tf.log_likelihood(vae, every, 2).per_example, log_px, atol=1e-5)
    terms, q = vae(every), vae.classify(every).numpy()
    # log p(x) - bound = KL(q(y|x) || p(y|x))
    gap = np.sum(q * (np.log(q) - joint + log_px[:, None]), 1)
    np.testing.assert_allclose(log_px + terms.nll + terms.kl, gap, atol=1e-5)


def test_all_labels_known_is_a_conditional_model_and_a_classifier(data):
    x, y = data
    vae = linear_gaussian(exact=False)
    plain = linear_gaussian(exact=False, objective=ELBO())
    (nll, kl, kl_term), error = mean_terms(vae, {"x": x, "label": y}, 200)
    (other, plain_kl, _), other_error = mean_terms(plain, {"x": x, "condition": y}, 200)
    np.testing.assert_allclose(kl, plain_kl - np.log(PROBS)[y], rtol=1e-4)
    assert np.all(np.abs(nll - other) < 5 * np.hypot(error, other_error) + 1e-4)
    of_classifier = keras.losses.sparse_categorical_crossentropy(y, vae.classify(x))
    np.testing.assert_allclose(kl_term - kl, 2 * of_classifier, rtol=1e-3, atol=1e-4)


def test_the_gradient_is_that_of_differences(data):
    x, y = data
    label = np.where(np.arange(len(y)) % 3 == 0, y, -1)
    vae = linear_gaussian(exact=False)
    batch, seed = Batch(x, label=label).tensors(), tf.constant([1, 2])

    def loss():
        terms = vae(batch, seed=seed)
        return tf.reduce_mean(terms.nll + terms.kl_term)

    with tf.GradientTape() as tape:
        value = loss()
    variables = vae.trainable_variables
    assert len(variables) == 8  # two of the classifier among them
    rng = np.random.default_rng(1)
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        start, step = variable.numpy(), rng.normal(size=variable.shape).astype("float32")
        slopes = []
        for side in (1, -1):
            variable.assign(start + side * 3e-3 * step)
            slopes.append(float(loss()))
        variable.assign(start)
        along = float(tf.reduce_sum(gradient * step))
        assert (slopes[0] - slopes[1]) / 6e-3 == pytest.approx(along, rel=0.02, abs=0.01)


def test_the_numbers_of_the_classes_do_not_matter(data):
    x, y = data
    order = np.array([2, 0, 1])  # class k becomes order[k]
    vae, other = (
        linear_gaussian(),
        linear_gaussian(
            objective=SemiSupervised(
                classifier(), class_probs=np.array(PROBS)[np.argsort(order)], classifier_weight=2.0
            )
        ),
    )
    back = np.argsort(order)
    for model in (other.encoder, other.decoder):
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dense) and layer.kernel.shape[0] == K:
                layer.kernel.assign(layer.kernel.numpy()[back])
    last = other.objective.classifier.layers[-1]
    last.kernel.assign(last.kernel.numpy()[:, back])
    label = np.where(np.arange(len(y)) % 2 == 0, y, -1)
    moved = np.where(label < 0, -1, order[label])
    first, error = mean_terms(vae, {"x": x, "label": label}, 300)
    second, other_error = mean_terms(other, {"x": x, "label": moved}, 300)
    off = np.abs(first.sum(0) - second.sum(0))
    assert np.all(off < 10 * np.hypot(error, other_error) + 1e-3)
    np.testing.assert_allclose(vae.classify(x).numpy()[:, back], other.classify(x), rtol=1e-5)
    found = [vae_tf.log_likelihood(m, x, 3) for m in (vae, other)]
    assert found[0].mean == pytest.approx(found[1].mean, abs=0.05)


def test_an_evaluation_does_not_depend_on_the_batches(data):
    x, y = data
    vae = linear_gaussian(exact=False)
    vae.compile()
    found = [vae.evaluate(x, y, batch_size=n, verbose=0, return_dict=True) for n in (7, 40)]
    for name, value in found[0].items():
        assert value == pytest.approx(found[1][name], rel=1e-5), name


@pytest.mark.slow
def test_it_learns_classes_from_few_labels(data):
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 600)
    x = np.where(y[:, None] == 1, 2.0, -2.0) + rng.normal(size=(600, 2))
    x[:, 1] = 4 * rng.normal(size=600)  # says nothing
    label = np.full(600, -1)
    label[:4] = y[:4] = [0, 1, 0, 1]
    x[:4, 0] = [-2, 2, -2.5, 2.5]
    encoder = vae_tf.networks.mlp_encoder((2,), 1, (16,), condition=2)
    likelihood = vae_tf.likelihoods.GaussianLearnedScale()
    outputs = likelihood.parameter_shapes((2,))
    decoder = vae_tf.networks.mlp_decoder(1, outputs, (16,), condition=2)
    objective = SemiSupervised(classifier(2, event_shape=(2,)), classifier_weight=10.0)
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood, objective=objective)
    vae.compile(keras.optimizers.Adam(1e-2))
    history = vae.fit(x, label, epochs=20, batch_size=50, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert np.mean(np.argmax(vae.classify(x), 1) == y) > 0.95
    assert vae.sample(5, seed=0).shape == (5, 2)
    np.testing.assert_array_equal(vae.sample(5, seed=0), vae.sample(5, seed=0))
    assert vae.sample(2, seed=0, condition=[0, 1]).shape == (2, 2)
    guessed = np.argmax(vae.classify(x), 1)
    for ask in (vae.reconstruct, lambda data: vae.encode(data).mean()):
        np.testing.assert_allclose(
            ask(x), ask({"x": x, "condition": guessed}), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(ask((x, y)), ask({"x": x, "condition": y}), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vae.predict(x, verbose=0), vae.reconstruct(x), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_is_said_in_one_sentence(data):
    x, y = data
    vae = linear_gaussian()
    vae.compile()
    with pytest.raises(DataError, match="Labels must be whole numbers from 0 to 2, or -1"):
        vae.fit(x, np.full(len(y), 3))
    with pytest.raises(DataError, match="Labels must be whole numbers from 0 to 2, or -1"):
        vae.evaluate(x, np.full(len(y), -2))
    for nothing in (None, np.full(len(y), -1)):
        with pytest.raises(DataError, match="needs labelled examples"):
            vae.fit(x, nothing)
    with pytest.raises(DataError, match="one whole number an example"):
        vae.fit(x, np.eye(3)[y])
    stream = tf.data.Dataset.from_tensor_slices((x, np.full(len(y), 3))).batch(8)
    with pytest.raises(DataError, match="whole numbers from 0 to 2, or -1 where unknown"):
        vae.fit(stream, shuffle=False, verbose=0)
    with pytest.raises(ConfigError, match="one of its 2 classes"):
        linear_gaussian(objective=SemiSupervised(classifier(2)))
    z = keras.Input((L,))
    with pytest.raises(ConfigError, match="must put out logits"):
        SemiSupervised(keras.Model(z, keras.layers.Dense(1)(z)))
    with pytest.raises(ConfigError, match="3 numbers above 0"):
        SemiSupervised(classifier(), class_probs=[0.5, 0.5])
    with pytest.raises(ConfigError, match="must have a classifier"):
        linear_gaussian(objective=ELBO()).classify(x)


@pytest.mark.slow
def test_it_is_saved_with_its_classifier(data, tmp_path):
    x, y = data
    vae = linear_gaussian(exact=False)
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(x, y, epochs=1, verbose=0)
    vae.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(vae.classify(x), loaded.classify(x))
    own, again = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (vae, loaded))
    assert own == again
    loaded.fit(x, y, epochs=1, verbose=0)
    vae.fit(x, y, epochs=1, verbose=0)
