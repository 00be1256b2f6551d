"""Sequences of two tokens, enumerated: likelihoods, draws, continuations, gradients, padding."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import SequenceVAE, language_model, likelihoods, log_likelihood, networks
from vae_tf.errors import ConfigError, DataError

T, K = 3, 3  # steps; the end and two tokens
MAKERS = {
    "gru": (networks.gru_encoder, networks.gru_decoder),
    "causal": (networks.causal_encoder, networks.causal_decoder),
}


def all_sequences():
    """Every sequence there is, [15, T], and its mask: up to the end, or of T tokens."""
    found = []
    for tokens in itertools.product(range(K), repeat=T):
        ends = [i for i, token in enumerate(tokens) if token == 0]
        length = ends[0] + 1 if ends else T
        found.append((tokens[:length] + (0,) * (T - length), length))
    found = sorted(set(found))
    x = np.array([tokens for tokens, _ in found], "float32")
    lengths = np.array([length for _, length in found])
    return {"x": x, "mask": (np.arange(T) < lengths[:, None]).astype("float32")}


EVERY = all_sequences()


def networks_of(kind, length=T, word_dropout=0.0):
    make_encoder, make_decoder = MAKERS[kind]
    likelihood = likelihoods.Categorical(K)
    shared = {"tokens": K, "embedding": 4}
    encoder = make_encoder((length,), 1, (6,), **shared)
    outputs = likelihood.parameter_shapes((length,))
    decoder = make_decoder(
        1, outputs, (6, 5), event_shape=(length,), word_dropout=word_dropout, **shared
    )
    rng = np.random.default_rng(5)
    # A decoder far from uniform, and a q(z|x) wide enough that few draws carry no sum alone
    for network, scale in ((encoder, 0.2), (decoder, 0.8)):
        for weight in network.trainable_variables:
            weight.assign(rng.normal(0, scale, weight.shape))
    return encoder, decoder, likelihood


@pytest.fixture(scope="module", params=[pytest.param("gru", marks=pytest.mark.slow), "causal"])
def vae(request):
    encoder, decoder, likelihood = networks_of(request.param)
    return SequenceVAE(encoder, decoder, likelihood=likelihood, end=0)


def exact(vae, data):
    """p(x) of some sequences by Gauss-Hermite quadrature over z, [N]."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    z = np.repeat(nodes[:, None, None], len(data["x"]), 1).astype("float32")
    batch = vae.door.parse(data).tensors()
    px = np.exp(vae.parts.log_px(tf.constant(z), batch).numpy().astype("float64"))
    return (weights / weights.sum()) @ px


def test_there_are_fifteen_sequences_and_their_probabilities_add_up_to_one(vae):
    assert len(EVERY["x"]) == 15
    np.testing.assert_allclose(exact(vae, EVERY).sum(), 1, atol=1e-5)


def test_the_likelihood_is_the_finite_sum(vae):
    found = log_likelihood(vae, EVERY, 2000)
    error = np.log(exact(vae, EVERY)) - found.per_example
    assert np.all(np.abs(error) < 5 * np.sqrt(found.monte_carlo_variance) + 1e-5)
    assert found.monte_carlo_stderr < 0.05


def test_draws_have_the_exact_probabilities(vae):
    p, number = exact(vae, EVERY), 4000
    places = {tuple(row): i for i, row in enumerate(EVERY["x"])}
    drawn = vae.sample(number, seed=1).numpy()
    counts = np.bincount([places[tuple(row)] for row in drawn], minlength=15)
    error = np.sqrt(p * (1 - p) / number)
    assert np.all(np.abs(counts / number - p) < 4.5 * error)
    assert np.array_equal(drawn, vae.sample(number, seed=1))
    assert not np.array_equal(drawn, vae.sample(number, seed=2))


def test_a_temperature_divides_the_logits(vae):
    z, number = tf.zeros([4000, 1]), 4000
    logits = vae.parts.decoded(z[:1], vae.door.parse({"x": EVERY["x"][:1]}).tensors())["logits"]
    for temperature in (0.3, 2.0):
        first = tf.nn.softmax(logits[0, :K] / temperature).numpy()
        drawn = vae.draw(z, temperature=temperature, seed=3).numpy()[:, 0]
        share = np.bincount(drawn.astype(int), minlength=K) / number
        assert np.all(np.abs(share - first) < 4.5 * np.sqrt(first * (1 - first) / number) + 1e-9)
    assert np.all(vae.draw(z[:5], temperature=0.0).numpy()[:, 0] == np.argmax(logits[0, :K]))


@pytest.mark.parametrize("start", [(1,), (2, 1), ()])
def test_continuations_are_ranked_by_their_exact_probabilities(vae, start):
    x, mask = np.zeros((1, T), "float32"), np.zeros((1, T), "float32")
    x[0, : len(start)], mask[0, : len(start)] = start, 1
    found = vae.continuations({"x": x, "mask": mask}, 20, candidates=400, num_samples=4000)
    begins = (EVERY["x"][:, : len(start)] == start).all(1)
    p = exact(vae, EVERY) * begins
    p /= p.sum()
    places = {tuple(row): i for i, row in enumerate(EVERY["x"])}
    ranked = [places[tuple(row)] for row in found.x]
    assert np.all(np.diff(found.log_prob) <= 0)
    assert all(begins[i] for i in ranked)
    assert p[ranked].sum() > 0.95
    np.testing.assert_allclose(np.exp(found.log_prob), p[ranked], rtol=0.25, atol=0.01)


def test_gradients_are_those_of_differences(vae):
    batch, seed = vae.door.parse(EVERY).tensors(), tf.constant([0, 1])

    def loss():
        terms = vae(batch, seed=seed)
        return tf.reduce_mean(terms.nll + terms.kl)

    with tf.GradientTape() as tape:
        value = loss()
    variables = vae.trainable_variables
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(value, variables)]
    start = [v.numpy() for v in variables]
    rng = np.random.default_rng(0)
    for _ in range(3):
        way = [rng.normal(size=v.shape).astype("float32") for v in variables]
        moved = []
        for step in (1e-2, -1e-2):
            for v, at, direction in zip(variables, start, way, strict=True):
                v.assign(at + step * direction)
            moved.append(float(loss()))
        for v, at in zip(variables, start, strict=True):
            v.assign(at)
        slope = sum(float(tf.reduce_sum(g * w)) for g, w in zip(gradients, way, strict=True))
        np.testing.assert_allclose((moved[0] - moved[1]) / 2e-2, slope, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("kind", list(MAKERS))
def test_padding_changes_no_number(kind):
    short, long = (
        SequenceVAE(*networks[:2], likelihood=networks[2], end=0)
        for networks in (networks_of(kind), networks_of(kind, length=T + 4))
    )
    padded = {name: np.pad(values, ((0, 0), (0, 4))) for name, values in EVERY.items()}
    junk = {**padded, "x": np.where(padded["mask"] > 0, padded["x"], 2.0)}
    seed = tf.constant([0, 1])
    terms = [m(data, seed=seed) for m, data in ((short, EVERY), (long, padded), (long, junk))]
    for other in terms[1:]:
        np.testing.assert_allclose(other.nll, terms[0].nll, rtol=1e-5)
        np.testing.assert_allclose(other.kl, terms[0].kl, rtol=1e-5)
    # The networks themselves, whatever stands in the padding
    raw = [long.encoder({name: tf.constant(v) for name, v in d.items()}) for d in (padded, junk)]
    np.testing.assert_allclose(raw[0]["z_mean"], raw[1]["z_mean"], rtol=1e-6)
    first = [log_likelihood(m, d, 50).per_example for m, d in ((short, EVERY), (long, padded))]
    np.testing.assert_allclose(*first, rtol=1e-5)


@pytest.mark.parametrize("kind", list(MAKERS))
def test_word_dropout_hides_the_past_in_training_alone(kind):
    _, decoder, _ = networks_of(kind, word_dropout=1.0)
    x, z = tf.constant(EVERY["x"]), tf.ones([15, 1])
    calm = decoder({"x": x, "z": z})["logits"].numpy()
    busy = decoder({"x": x, "z": z}, training=True)["logits"].numpy()
    assert np.ptp(calm, 0).max() > 0.1  # sequences differ
    np.testing.assert_allclose(busy, np.tile(busy[:1], (15, 1)), atol=1e-6)
    _, plain, _ = networks_of(kind)
    np.testing.assert_allclose(plain({"x": x, "z": z})["logits"], calm)


def test_a_language_model_is_a_vae_without_a_latent(vae, tmp_path):
    model = language_model(vae.decoder, vae.likelihood, end=0)
    p = np.exp(log_likelihood(model, EVERY, 1).per_example)
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
    zeros = tf.zeros([1, 15, 1])
    batch = vae.door.parse(EVERY).tensors()
    np.testing.assert_allclose(np.log(p), vae.parts.log_px(zeros, batch)[0], rtol=1e-5)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(EVERY, verbose=0)
    report = model.evaluate(EVERY, verbose=0, return_dict=True)
    assert report["kl"] == 0
    np.testing.assert_allclose(report["nll"], -np.mean(np.log(p)), rtol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate(EVERY, verbose=0, return_dict=True) == report
    assert again.sample(3, seed=0).shape == (3, T)


def test_a_model_is_saved_with_its_end_and_answers_the_audit(vae, tmp_path):
    vae.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again, SequenceVAE)
    assert again.end == vae.replace(beta=0.5).end == 0
    assert np.array_equal(again.sample(5, seed=0), vae.sample(5, seed=0))
    report = vae.check(EVERY, print_fn=None)
    assert report.ok, report
    assert report["past"].status == "ok"


def test_a_decoder_that_sees_what_it_predicts_fails_the_audit():
    encoder, _, likelihood = networks_of("causal")
    z, x = keras.Input((1,), name="z"), keras.Input((T,), name="x")
    h = keras.layers.Embedding(K, 4)(keras.ops.cast(x, "int32"))
    h = keras.layers.Concatenate()([h, keras.layers.RepeatVector(T)(z)])
    logits = keras.layers.Reshape((T * K,))(keras.layers.Dense(K)(h))
    cheat = SequenceVAE(encoder, keras.Model([z, x], {"logits": logits}), likelihood=likelihood)
    failed = cheat.check(EVERY, print_fn=None)["past"]
    assert failed.status == "failed"
    assert "Shift the decoder's x" in failed.fix


def test_reconstructions_and_paths_are_sequences(vae):
    assert vae.reconstruct(EVERY).shape == (15, T)
    a, b = ({name: v[rows] for name, v in EVERY.items()} for rows in (slice(2), slice(2, 4)))
    path = vae.interpolate(a, b, 4)
    assert path.shape == (2, 4, T)
    assert np.array_equal(path[:, 0], vae.reconstruct(a))
    assert np.array_equal(path[:, -1], vae.reconstruct(b))
    assert vae.interpolate(EVERY["x"][0], EVERY["x"][1], 3).shape == (3, T)


def test_beginnings_that_cannot_be_continued(vae):
    x = EVERY["x"][:1]
    for mask, message in (
        ([[1, 0, 1]], "must be the first steps. Received: a mask with gaps"),
        ([[1, 1, 1]], "must leave steps to draw"),
        (None, "one example with a mask. Received: no mask"),
    ):
        fields = {"x": x} if mask is None else {"x": x, "mask": np.array(mask, "float32")}
        with pytest.raises(DataError, match=message):
            vae.continuations(fields)
    with pytest.raises(ConfigError, match="`temperature` must be a finite number"):
        vae.sample(1, temperature=-1.0)


def test_tokens_beyond_256_survive_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        decoder = networks.gru_decoder(
            1, {"logits": (4 * 400,)}, (4,), event_shape=(4,), tokens=400, embedding=8
        )
    finally:
        keras.config.set_dtype_policy("float32")
    logits = [
        decoder({"x": tf.constant([[token] * 4], tf.float32), "z": tf.zeros([1, 1])})["logits"]
        for token in (256.0, 257.0)  # neighbours that bfloat16 does not tell apart
    ]
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
