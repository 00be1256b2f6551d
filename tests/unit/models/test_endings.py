"""Networks whose outputs are not what they are called: noticed at once, or by the audit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import VAE
from vae_tf.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Gaussian,
    GaussianPixelScale,
    Mixed,
    NegativeBinomial,
    Poisson,
    StandardNormal,
)
from vae_tf.errors import ConfigError
from vae_tf.models.endings import ending_of
from vae_tf.networks import mlp_decoder, mlp_encoder

L = keras.layers
X = np.random.default_rng(0).integers(0, 2, (64, 12)).astype("float32")


def hidden():
    z = keras.Input((2,))
    return z, L.Dense(8, "relu")(z)


def endings():
    """Pairs of a tensor and the activation it comes out of."""
    z, h = hidden()
    inner = keras.Model(z, {"a": L.Dense(3)(h), "b": L.Dense(3, "tanh")(h)})(z)
    line = keras.Sequential([keras.Input((8,)), L.Dense(3, "sigmoid"), L.Flatten()])
    image = L.Reshape((2, 2, 2))(h)
    return {
        "layer": (L.Dense(4, "sigmoid")(h), "sigmoid"),
        "function": (L.Dense(4, activation=keras.activations.softplus)(h), "softplus"),
        "activation layer": (L.Activation("sigmoid")(L.Dense(4)(h)), "sigmoid"),
        "operation": (keras.ops.sigmoid(L.Dense(4)(h)), "sigmoid"),
        "softmax layer": (L.Softmax()(h), "softmax"),
        "reshaped": (L.Reshape((2, 2, 1))(L.Dense(4, "sigmoid")(h)), "sigmoid"),
        "cropped": (L.Cropping2D(1)(L.Conv2DTranspose(1, 3, activation="relu")(image)), "relu"),
        "cast": (keras.ops.cast(L.Dense(4, "sigmoid")(h), "float32"), "sigmoid"),
        "sequential": (line(h), "sigmoid"),
        "model, first": (inner["a"], "linear"),
        "model, second": (inner["b"], "tanh"),
        "linear": (L.Activation("linear")(L.Dense(4)(h)), "linear"),
    }


@pytest.mark.parametrize("name", list(endings()))
def test_what_keras_tells(name):
    tensor, ending = endings()[name]
    assert ending_of(tensor) == ending


def test_what_keras_does_not_tell():
    z, h = hidden()
    assert ending_of(z) is None
    for tensor in (2 * L.Dense(4, "sigmoid")(h) - 1, L.Rescaling(4.0)(L.Dense(4, "sigmoid")(h))):
        assert ending_of(tensor) not in ("sigmoid", "linear")


def refused(likelihood, **activations):
    z, h = hidden()
    outputs = {
        name: L.Dense(*shape, activation=activations.get(name))(h)
        for name, shape in likelihood.parameter_shapes((12,)).items()
    }
    with pytest.raises(ConfigError) as error:
        VAE(mlp_encoder((12,), 2, (4,)), keras.Model(z, outputs), likelihood=likelihood)
    return str(error.value)


@pytest.mark.parametrize(
    ("likelihood", "activations", "words"),
    [
        (Bernoulli(), {"logits": "sigmoid"}, 'likelihood=Bernoulli(parameter="probs")'),
        (Bernoulli(), {"logits": "tanh"}, "without an activation"),
        (Bernoulli("probs"), {}, 'activation="sigmoid"'),
        (Bernoulli("probs"), {"probs": "relu"}, 'activation="sigmoid"'),
        (ContinuousBernoulli(), {"logits": "sigmoid"}, "without an activation"),
        (Categorical(3), {"logits": "softmax"}, "without an activation"),
        (GaussianPixelScale(), {"log_scale": "softplus"}, "a logarithm"),
        (Poisson(), {"log_rate": "exponential"}, "a logarithm"),
        (NegativeBinomial(), {"log_dispersion": "relu"}, "a logarithm"),
        (Mixed([(Gaussian(), 6), (Bernoulli(), 6)]), {"1_logits": "sigmoid"}, "1_logits"),
    ],
)
def test_wrong_endings_are_refused(likelihood, activations, words):
    message = refused(likelihood, **activations)
    assert words in message
    assert len(message.splitlines()) == 1


def test_of_encoders_too():
    x = keras.Input((12,))
    encoder = keras.Model(x, {"z_mean": L.Dense(2)(x), "z_log_var": L.Dense(2, "softplus")(x)})
    decoder = mlp_decoder(2, Bernoulli().parameter_shapes((12,)), (4,))
    with pytest.raises(ConfigError, match="z_log_var, a logarithm"):
        VAE(encoder, decoder)


def test_right_endings_are_taken():
    z, h = hidden()
    encoder = mlp_encoder((12,), 2, (4,))
    sigmoid = L.Dense(12, "sigmoid")(h)
    VAE(encoder, keras.Model(z, sigmoid), likelihood=Gaussian(0.1))
    VAE(encoder, keras.Model(z, sigmoid), likelihood=Bernoulli("probs"))
    vae = VAE(encoder, keras.Model(z, {"probs": sigmoid}))
    assert vae.likelihood.parameters == ("probs",)
    bounded = {"loc": L.Dense(12)(h), "log_scale": L.Dense(12, "tanh")(h)}
    VAE(encoder, keras.Model(z, bounded), likelihood=GaussianPixelScale())


class Hidden(keras.Model):
    """A decoder whose ending no graph tells."""

    def __init__(self, ending):
        super().__init__()
        self.inside = keras.Sequential([L.Dense(8, "relu"), L.Dense(12, ending)])

    def call(self, z):
        return self.inside(z)


@pytest.mark.parametrize(
    ("likelihood", "ending", "ok"),
    [
        (Bernoulli(), "sigmoid", False),
        (Bernoulli(), None, True),
        (Bernoulli("probs"), "sigmoid", True),
        (Bernoulli("probs"), None, False),
        (ContinuousBernoulli(), "sigmoid", False),
    ],
)
def test_the_audit_sees_what_no_graph_tells(likelihood, ending, ok):
    decoder, encoder = Hidden(ending), mlp_encoder((12,), 2, (4,))
    decoder(tf.zeros([1, 2]))
    vae = VAE(encoder, decoder, prior=StandardNormal(2), likelihood=likelihood)
    finding = vae.check(X, print_fn=None)["outputs"]
    assert (finding.status == "ok") == ok
    assert ok or "End it" in finding.fix or 'parameter="probs"' in finding.fix


def test_probabilities_are_as_good_as_log_odds():
    """Same weights, same numbers, same gradients."""
    logits = np.linspace(-12, 12, 24).reshape(2, 12).astype("float32")
    results = []
    for likelihood in (Bernoulli(), Bernoulli("probs")):
        raw = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(raw)
            value = tf.sigmoid(raw) if likelihood.parameters == ("probs",) else raw
            nll = -likelihood.distribution(value).log_prob(X[:2])
        results.append((nll, tape.gradient(nll, raw), likelihood.statistics(value)["image"]))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-6)
    p = tf.constant([[0.0], [1.0], [0.0], [1.0]])
    log_prob = Bernoulli("probs").distribution(p).log_prob([[1.0], [0.0], [0.0], [1.0]])
    want = [126 * np.log(0.5), 24 * np.log(0.5), 0, 0]
    np.testing.assert_allclose(log_prob, want, rtol=1e-6, atol=1e-7)
    with pytest.raises(ConfigError, match="must be logits or probs"):
        Bernoulli("odds")
