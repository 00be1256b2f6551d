"""A small VAE's parts, and one bundle of them for all tests that only look."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from scipy import stats

from tests.bundles import write_bundle
from vae_tf import distributions, networks
from vae_tf.exporting.runtimes import cpp_loader, saved_model

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


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A bundle nobody may change, and the parts it was written from."""
    parts = small_parts()
    directory = tmp_path_factory.mktemp("exported") / "bundle"
    words = {"preprocessing": {"scale": "divide by 255"}, "provenance": {"run": "runs/7"}}
    bundle = write_bundle(**parts, directory=directory, **words)
    return SimpleNamespace(parts=parts, bundle=bundle)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Returns a function: endpoints -> a function that runs one of them, written once.

    `run(signature, runtime="cpp", **inputs)` returns the outputs for one batch; of lists of
    batches, the list of theirs.
    """

    def write(endpoints):
        directory = tmp_path_factory.mktemp("served") / "1"
        saved_model.write(endpoints, directory)

        def run(signature, *batches, runtime="cpp", **inputs):
            batches = batches or (inputs,)
            if runtime == "python":
                results = saved_model.run(directory, signature, batches)
            else:
                (results,) = cpp_loader.run([cpp_loader.Call(directory, signature, batches)])
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
