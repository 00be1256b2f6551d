"""p(z) over several groups of latents."""

import functools
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import instance
from vae_tf.distributions.priors.base import Prior
from vae_tf.errors import ConfigError

DIGITS = 2**23  # of a uniform float32 in [0, 1)


@keras.saving.register_keras_serializable(package="vae_tf")
class Joint(Prior):
    """p(z) = prod_g p_g(z_g), the groups one after the other in one vector z.

    Args:
        parts: the priors of the groups.

    Example:
        >>> fixed, learned = vae_tf.priors.StandardNormal(2), vae_tf.priors.LearnedNormal(3)
        >>> prior = vae_tf.priors.Joint([fixed, learned])
        >>> prior.latent_dim
        5
    """

    def __init__(self, parts: Sequence[Prior], **kwargs):
        parts = [
            keras.saving.deserialize_keras_object(part) if isinstance(part, dict) else part
            for part in parts
        ]
        for part in parts:
            instance("parts", part, Prior)
        if not parts:
            raise ConfigError("A Joint prior needs parts", "none", "Pass a list of priors.")
        super().__init__(sum(part.latent_dim for part in parts), **kwargs)
        self.parts = parts

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """The number of latents in each group."""
        return tuple(part.latent_dim for part in self.parts)

    def bind(self, encode: Callable[[tf.Tensor], tfd.Distribution]) -> None:
        """Passes each part's group of q(z|x) on to it."""
        for i, part in enumerate(self.parts):
            part.bind(functools.partial(_group, encode, i))

    def distribution(self) -> tfd.Distribution:
        """Returns p(z), batch [], event [latent_dim]."""
        return tfd.Blockwise([part.distribution() for part in self.parts])

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor | None:
        """Returns draws [B, latent_dim]; None if a part has no `from_noise`.

        Each part gets its own uniform numbers: multiples by an odd factor, modulo 1, which keep all
        digits and together fill the cube evenly (Korobov 1959).
        """
        draws = []
        for part, noise in zip(self.parts, tf.split(normal, self.group_sizes, -1), strict=True):
            draws.append(part.from_noise(noise, uniform))
            for _ in range(_uniforms(part)):
                uniform = _next(uniform)
        return None if any(draw is None for draw in draws) else tf.concat(draws, -1)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.pop("latent_dim")
        parts = [keras.saving.serialize_keras_object(part) for part in self.parts]
        return {**config, "parts": parts}


def _group(encode: Callable, index: int, x: tf.Tensor) -> tfd.Distribution:
    qz = encode(x)
    if not isinstance(qz, tfd.Blockwise):
        fix = "Use a JointPosterior of the same groups."
        raise ConfigError("A part of the prior needs its group of q(z|x)", "no groups", fix)
    return qz.distributions[index]


def _uniforms(prior: Prior) -> int:
    return sum(map(_uniforms, prior.parts)) if isinstance(prior, Joint) else 1


def _next(uniform: tf.Tensor) -> tf.Tensor:
    # 53 * 55 is close to the square root of 2^23: neighbours come far apart. One after the
    # other, or the products would overflow.
    digits = tf.cast(uniform * DIGITS, tf.int32)
    for factor in (53, 55):
        digits = tf.math.floormod(digits * factor, DIGITS)
    return tf.cast(digits, tf.float32) / DIGITS
