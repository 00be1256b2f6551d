"""A small VAE's parts, and one bundle of them for all tests that only look."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.bundles import bundle_of
from tests.cpp_server import CppServer
from vae_tf import distributions, networks
from vae_tf.formats.runtimes import saved_model

SHAPE, LATENT, SIZE = (6, 5, 1), 3, 30


def small_parts(**replacements):
    """Returns keyword arguments of `write_bundle`, all but the directory."""
    likelihood = replacements.get("likelihood", distributions.Bernoulli())
    parts = {
        "encoder": networks.mlp_encoder(SHAPE, LATENT, hidden=(200, 100)),
        "decoder": networks.mlp_decoder(
            LATENT, likelihood.parameter_shapes(SHAPE), hidden=(100, 200)
        ),
        "prior": distributions.StandardNormal(LATENT),
        "posterior": distributions.DiagonalNormal(),
        "likelihood": likelihood,
    }
    return parts | replacements


@pytest.fixture
def parts():
    return small_parts()


@pytest.fixture
def make_parts():
    return small_parts


@pytest.fixture
def decoder_with():
    """Returns a function: layer on logits [B, 6, 5, 1] -> decoder that ends in it."""

    def make(layer):
        z = keras.Input((LATENT,), name="z")
        h = keras.layers.Dense(30)(z)
        return keras.Model(z, layer(keras.layers.Reshape(SHAPE)(h)), name="decoder")

    return make


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A bundle nobody may change, and the parts it was written from."""
    parts = small_parts()
    words = {"preprocessing": {"scale": "divide by 255"}, "provenance": {"run": "runs/7"}}
    bundle = bundle_of(tmp_path_factory, "small", **parts, **words)
    return SimpleNamespace(parts=parts, bundle=bundle)


@pytest.fixture(scope="module")
def cpp():
    """TensorFlow's C++ loader, in one process for the module's requests."""
    server = CppServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def loaded():
    """Returns a function: directory of a SavedModel -> it, in TensorFlow's Python, loaded once."""
    models = {}

    def load(directory):
        if directory not in models:
            models[directory] = tf.saved_model.load(str(directory))
        return models[directory]

    return load


@pytest.fixture(scope="module")
def ask(cpp, loaded):
    """Returns a function that runs a signature of a SavedModel in one of TensorFlow's loaders."""

    def run(directory, signature, inputs, runtime="cpp"):
        if runtime == "cpp":
            return cpp(directory, signature, inputs)
        outputs = loaded(directory).signatures[signature](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
        return {name: value.numpy() for name, value in outputs.items()}

    return run


@pytest.fixture(scope="module")
def serve(ask, tmp_path_factory):
    """Returns a function: endpoints -> a function that runs one of them, written once.

    `run(signature, runtime="cpp", **inputs)` returns the outputs for one batch; of lists of
    batches, the list of theirs.
    """

    def write(endpoints):
        directory = tmp_path_factory.mktemp("served") / "1"
        saved_model.write(endpoints, directory)

        def run(signature, *batches, runtime="cpp", **inputs):
            results = [ask(directory, signature, b, runtime) for b in batches or (inputs,)]
            return results[0] if inputs else results

        run.directory = directory
        return run

    return write


class Linear:
    """x = W z + b + sigma noise, z ~ N(0, I), whose every number is known."""

    sigma = 0.3

    def __init__(self):
        rng = np.random.default_rng(2)
        self.w, self.b = 0.4 * rng.normal(size=(SIZE, LATENT)), rng.uniform(0.2, 0.8, size=SIZE)
        self.covariance = np.linalg.inv(np.eye(LATENT) + self.w.T @ self.w / self.sigma**2)
        self.tril = np.linalg.cholesky(self.covariance)
        self.gain = self.covariance @ self.w.T / self.sigma**2

    def decoder(self):
        loc = keras.layers.Dense(SIZE)
        model = keras.Sequential([keras.Input((LATENT,)), loc, keras.layers.Reshape(SHAPE)])
        loc.set_weights([self.w.T, self.b])
        return model

    def encoder(self, **spread):
        """Returns the exact mean, and parameters of a spread that are given."""
        image = keras.Input(SHAPE)
        mean = keras.layers.Dense(LATENT)
        outputs = {"z_mean": mean(keras.layers.Flatten()(image))}
        for name, values in spread.items():
            layer = keras.layers.Dense(len(values))
            outputs[name] = layer(keras.layers.Flatten()(image))
            layer.set_weights([np.zeros((SIZE, len(values))), values])
        mean.set_weights([self.gain.T, -self.gain @ self.b])
        return keras.Model(image, outputs)

    def exact(self):
        log_diagonal = 2 * np.log(np.diag(self.tril))
        below = [self.tril[i, j] for i in range(LATENT) for j in range(i)]
        return self.encoder(z_scale_tril=np.r_[log_diagonal, below])

    def data(self, n):
        rng = np.random.default_rng(4)
        x = rng.normal(size=(n, LATENT)) @ self.w.T + self.b
        return (x + self.sigma * rng.normal(size=x.shape)).reshape(-1, *SHAPE).astype("float32")

    def nll(self, x):
        covariance = self.w @ self.w.T + self.sigma**2 * np.eye(SIZE)
        return -stats.multivariate_normal(self.b, covariance).logpdf(x.reshape(-1, SIZE))

    def imputed(self, x, mask):
        """Returns the mean of the missing given the known."""
        covariance = self.w @ self.w.T + self.sigma**2 * np.eye(SIZE)
        means = x.reshape(-1, SIZE).astype(float)
        for row, known in zip(means, mask.reshape(-1, SIZE) > 0, strict=True):
            gain = covariance[np.ix_(~known, known)] @ np.linalg.inv(
                covariance[np.ix_(known, known)]
            )
            row[~known] = self.b[~known] + gain @ (row[known] - self.b[known])
        return means.reshape(x.shape)


@pytest.fixture
def linear():
    """A model whose likelihood, posterior and conditional means are known."""
    return Linear()
