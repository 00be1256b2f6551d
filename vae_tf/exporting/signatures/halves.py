"""Encoder and decoder together, with the densities that make them one model."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.errors import DataError
from vae_tf.exporting.signatures import generation, row_rng, rows
from vae_tf.exporting.signatures.freezing import Function, frozen
from vae_tf.exporting.signatures.preprocessing import Preprocessing

# Draws of one example that are decoded at a time: memory is this many times that of `decode`.
CHUNK = 8


@dataclass(frozen=True)
class Halves:
    """A whole model as `score` and `impute` see it.

    Attributes:
        encoder: x [B, *shape] to the posterior's parameters.
        decoder: z [B, L] to the likelihood's parameters.
        posterior: with `distribution` and `from_noise`.
        likelihood: with `distribution` and `statistics`.
        shape: of one example.
        preprocessing: what images are.
    """

    encoder: keras.Model
    decoder: keras.Model
    posterior: Any
    likelihood: Any
    shape: tuple[int, ...]
    preprocessing: Preprocessing

    def encode(self, x: tf.Tensor) -> Any:
        """Returns the posterior's parameters, each [B, ...]."""
        return self.encoder(x, training=False)

    def decode(self, z: tf.Tensor) -> Any:
        """Returns the likelihood's parameters, each [B, ...]."""
        return self.decoder(z, training=False)

    @functools.cached_property
    def example(self) -> Any:
        """The posterior's parameters for one example of zeros."""
        return self.encode(tf.zeros([1, *self.shape]))

    @functools.cached_property
    def latent(self) -> int:
        """The number of latents."""
        return self.posterior.statistics(self.example)["z_mean"].shape[-1]

    def draw(self, params: Any, seed: tf.Tensor) -> tf.Tensor:
        """Returns z ~ q(z|x), [B, L], for parameters and seeds of B rows."""
        return self.posterior.from_noise(params, row_rng.normals(seed, self.latent))

    @functools.cached_property
    def limits(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Smallest and largest value the likelihood takes, and whether whole numbers alone."""
        parts = getattr(self.likelihood, "parts", [self.likelihood])
        sizes = getattr(self.likelihood, "sizes", [1])
        columns = [
            _limits(part) for part, size in zip(parts, sizes, strict=True) for _ in range(size)
        ]
        low, high, whole = (
            np.broadcast_to(each, self.shape) for each in zip(*columns, strict=True)
        )
        return low, high, whole

    def fit(self, x: tf.Tensor) -> tf.Tensor:
        """Returns which rows of x [B, *shape] the likelihood gives a density, bool [B]."""
        low, high, whole = self.limits
        axes = list(range(1, x.shape.rank))
        inside = tf.reduce_all((x >= low - rows.TOLERANCE) & (x <= high + rows.TOLERANCE), axes)
        counts = tf.reduce_all(~whole | tf.equal(x, tf.round(x)), axes)
        return self.preprocessing.fit(x) & inside & counts


@dataclass(frozen=True)
class Densities:
    """What depends on the prior.

    Attributes:
        log_prob: z [B, L] to log p(z) [B].
        kl: parameters of q to KL(q || p) [B]; None where there is no closed form.
        draw: seeds [B] to z ~ p(z) [B, L]; None if it is no function of noise.
    """

    log_prob: Function
    kl: Callable[[Any], tf.Tensor] | None
    draw: Function | None


def densities(prior: Any, halves: Halves) -> tuple[Densities, Densities]:
    """Returns the prior's densities as they are, and with its numbers as constants, for graphs.

    Raises:
        Exception: of any kind, if the prior has no density that a graph can hold.
    """
    flat, posterior = tf.nest.flatten(halves.example), halves.posterior

    def log_prob(z: tf.Tensor) -> tf.Tensor:
        return prior.distribution().log_prob(z)

    def kl(*tensors: tf.Tensor) -> tf.Tensor:
        params = tf.nest.pack_sequence_as(halves.example, tensors)
        return tfd.kl_divergence(posterior.distribution(params), prior.distribution())

    def of_params(function: Function) -> Callable[[Any], tf.Tensor]:
        return lambda params: function(*tf.nest.flatten(params))

    def of_noise(function: Function | None) -> Function | None:
        return function and (
            lambda seed: function(
                row_rng.normals(seed, halves.latent), row_rng.uniforms(seed, 1)[:, 0]
            )
        )

    log_prob(tf.zeros([1, halves.latent]))
    # One function, which all signatures call: a prior may have more numbers than a network.
    constant = tf.function(frozen(log_prob, [tf.TensorSpec([None, halves.latent])]))
    from_noise = generation.from_noise_of(prior, halves.latent)
    draws = [of_noise(function) for function in from_noise]
    try:
        kl(*flat)
    except NotImplementedError:  # TFP's word for a pair without a closed form
        return Densities(log_prob, None, draws[0]), Densities(constant, None, draws[1])
    specs = [tf.TensorSpec([None, *t.shape[1:]], t.dtype) for t in flat]
    fixed = tf.function(frozen(kl, specs))
    return (
        Densities(log_prob, of_params(kl), draws[0]),
        Densities(constant, of_params(fixed), draws[1]),
    )


def repeated(tensors: Any, times: int) -> Any:
    """Returns a structure of [B, ...] with each row so many times, one after the other."""
    return tf.nest.map_structure(lambda t: tf.repeat(t, times, 0), tensors)


def chunks_of(num_samples: int) -> int:
    """Returns how many draws to decode at a time, a divisor of their number."""
    return max(size for size in range(1, CHUNK + 1) if num_samples % size == 0)


def _limits(likelihood: Any) -> tuple[float, float, bool]:
    low, high = getattr(likelihood, "support", (-np.inf, np.inf))
    start = np.clip(0.0, low, high)
    # Values off a grid are scored as the nearest on it.
    counts = _takes(likelihood, start) and not _takes(likelihood, start + 0.5)
    return low, high, counts and not hasattr(likelihood, "grid")


def _takes(likelihood: Any, value: float) -> bool:
    try:
        likelihood.check_support(np.full([1], value, "float32"))
    except DataError:
        return False
    except AttributeError:  # not one of ours, and nothing is known
        return True
    return True
