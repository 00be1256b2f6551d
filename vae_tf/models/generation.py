"""What a trained model is for: sampling, reconstructing, interpolating."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_tf.checks import whole
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.distributions.priors.base import Prior
from vae_tf.errors import ConfigError
from vae_tf.models import inputs

Compiled = Callable[..., Any]  # a `tf.function`
PARTS = ("encoder", "decoder", "prior", "posterior", "likelihood")
GRAPHS = ("_sampled", "_encoded", "_decoded", "_code", "_image")


class Generation:
    """Images out of a model with a prior, an encoder, a decoder and a likelihood."""

    prior: Prior
    likelihood: Likelihood
    decoder: keras.Model
    event_shape: tuple[int, ...] | None
    posterior: Posterior
    encoder: keras.Model
    _next_seed: Callable[[], tf.Tensor]

    def sample(self, num_samples: int, seed: int | None = None) -> tf.Tensor:
        """Returns E[x|z] for `num_samples` draws z ~ p(z), [num_samples, *event]."""
        num_samples = whole("num_samples", num_samples, least=0)
        seed = None if seed is None else tf.constant([seed, 0], tf.int32)
        return self._sampled(tf.constant(num_samples), seed)

    def reconstruct(self, x) -> tf.Tensor:
        """Returns E[x|z] at the point that stands for q(z|x), its mean mostly, [B, *event]."""
        return self._image(self._code(inputs.batch(x, self.event_shape, "data to reconstruct")))

    def interpolate(self, a, b, steps: int = 8) -> tf.Tensor:
        """Returns images on the straight line between the codes of `a` and `b`.

        Args:
            a: one example [*event], or a batch [B, *event].
            b: likewise.
            steps: number of images, both ends included; at least 2.

        Returns:
            [steps, *event] for single examples, [B, steps, *event] for batches.
        """
        steps = whole("steps", steps, least=2)
        a, b = np.asarray(a, "float32"), np.asarray(b, "float32")
        rank = None if self.event_shape is None else len(self.event_shape)
        if a.shape != b.shape or rank not in (None, a.ndim, a.ndim - 1):
            fix = f"Pass two examples {self.event_shape} or two batches of them."
            raise ConfigError("`a` and `b` must be alike", f"{a.shape} and {b.shape}", fix)
        single = a.ndim == rank
        z = [self._code(tf.constant(end[None] if single else end)) for end in (a, b)]
        weight = tf.linspace(0.0, 1.0, steps)[:, None]
        path = (1 - weight) * z[0][:, None] + weight * z[1][:, None]  # [B, steps, L]
        images = self._image(tf.reshape(path, [-1, path.shape[-1]]))
        images = tf.reshape(images, [-1, steps, *images.shape[1:]])
        return images[0] if single else images

    # Compiled, each as one function: one by one, small operations take milliseconds in Python

    @functools.cached_property
    def _sampled(self) -> Compiled:
        def image(num_samples, seed):
            seed = self._next_seed() if seed is None else seed
            return self._image(self.prior.distribution().sample(num_samples, seed=seed))

        return compiled(image)

    @functools.cached_property
    def _encoded(self) -> Compiled:
        return compiled(lambda x: self.encoder(x, training=False))

    @functools.cached_property
    def _decoded(self) -> Compiled:
        return compiled(lambda z: self.decoder(z, training=False))

    @functools.cached_property
    def _code(self) -> Compiled:
        return compiled(lambda x: self.posterior.point(self._encoded(x)))

    @functools.cached_property
    def _image(self) -> Compiled:
        return compiled(lambda z: self.likelihood.statistics(self._decoded(z))["image"])

    def __setattr__(self, name, value):
        """Sets an attribute; with another part of the model, its graphs are others."""
        if name in PARTS:
            self._forget_graphs()
        super().__setattr__(name, value)

    def _forget_graphs(self) -> None:
        for name in GRAPHS:
            self.__dict__.pop(name, None)


def compiled(work: Callable) -> Compiled:
    """Returns a function of tensors as a graph, the same one for batches of any size."""
    return tf.function(work, autograph=False, reduce_retracing=True)
