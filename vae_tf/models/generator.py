"""Data out of a model's parts: each way compiled as one function, rows as many as fit."""

import functools
from collections.abc import Callable

import tensorflow as tf

from vae_tf import noise
from vae_tf.data.batch import Batch
from vae_tf.models.chunks import InChunks
from vae_tf.models.parts import Parts
from vae_tf.models.weighing import Weighing


class Generator:
    """Compiled ways from data to codes and from codes to data, of parts that do not change.

    One by one, small operations take milliseconds in Python. Each function is one graph for
    batches of all sizes, and one more for each set of fields.

    Args:
        parts: of a model.
    """

    def __init__(self, parts: Parts):
        self.parts = parts
        self._kept: dict[str, Callable] = {}

    def kept(self, name: str, function: Callable) -> Callable:
        """Returns the compiled function of that name, made of `function` when first asked for."""
        if name not in self._kept:
            self._kept[name] = tf.function(function, autograph=False, reduce_retracing=True)
        return self._kept[name]

    @functools.cached_property
    def weighing(self) -> Weighing:
        """Averages over p(z|x)."""
        return Weighing(self.parts, self.encoded, self.image)

    @functools.cached_property
    def encoded(self) -> InChunks:
        """The encoder's outputs for a Batch."""
        return compiled(lambda batch: self.parts.encoded(batch.tensors()))

    @functools.cached_property
    def decoded(self) -> InChunks:
        """The decoder's outputs for z [B, L] and a Batch."""
        return compiled(lambda z, batch: self.parts.decoded(z, batch.tensors()))

    @functools.cached_property
    def code(self) -> InChunks:
        """The z [B, L] that stands for each example of a Batch."""
        return compiled(lambda batch: self.parts.point(batch.tensors()))

    @functools.cached_property
    def image(self) -> InChunks:
        """E[x|z, c], [B, *event], for z [B, L] and a Batch."""
        return compiled(lambda z, batch: self.parts.image(z, batch.tensors()))

    @functools.cached_property
    def classified(self) -> InChunks:
        """q(y|x), [B, K], for a Batch."""
        return compiled(lambda batch: tf.exp(self.parts.classifier.log_q(batch.tensors())))

    @functools.cached_property
    def drawn(self) -> Callable:
        """Draws of p(z|c), [rows, L], for a seed [2], a number of rows and a Batch."""

        def draw(seed: tf.Tensor, rows: tf.Tensor, batch: Batch) -> tf.Tensor:
            pz = self.parts.p(batch.tensors())
            return pz.sample(seed=seed) if pz.batch_shape.rank else pz.sample(rows, seed=seed)

        return tf.function(draw, autograph=False, reduce_retracing=True)

    @functools.cached_property
    def heated(self) -> Callable:
        """Draws of p(z|c), [rows, L], as `drawn`, the noise of each latent times a factor [L]."""

        def draw(seed: tf.Tensor, rows: tf.Tensor, batch: Batch, factor: tf.Tensor) -> tf.Tensor:
            latent_dim = self.parts.prior.latent_dim
            normal = noise.normals(seed, 0, rows, latent_dim)
            uniform = noise.uniforms(seed, 0, rows, 1)[:, 0]
            return self.parts.drawn(normal, uniform, batch.tensors(), factor)

        return tf.function(draw, autograph=False, reduce_retracing=True)


def compiled(work: Callable) -> InChunks:
    """Returns a function of rows as a graph, the same one for batches of any size."""
    return InChunks(tf.function(work, autograph=False, reduce_retracing=True))
