"""p(z) as a normalizing flow: N(0, I) through learned invertible steps."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.flows import Conditioner, chain, masked_autoregressive
from vae_tf.distributions.normal import Normal
from vae_tf.distributions.priors.base import Prior
from vae_tf.errors import ConfigError


class Flow(Prior):
    """N(0, I) through `layers` affine steps; a subclass gives `_conditioner` and `_step`.

    It starts as N(0, I).

    Args:
        latent_dim: L, two at least.
        layers: number of steps; the order of the latents is reversed between them.
        hidden: widths of each step's hidden layers.
        seed: seed of the initial weights.
    """

    def __init__(
        self,
        latent_dim: int,
        layers: int = 4,
        hidden: Sequence[int] = (128,),
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(latent_dim, **kwargs)
        if self.latent_dim < 2:
            fix = "Use MixtureOfNormals for a single latent."
            raise ConfigError(f"{type(self).__name__} needs two latents at least", 1, fix)
        self.layers, self.hidden = whole("layers", layers), tuple(hidden)
        self.seed = whole("seed", seed, 0)
        self.conditioners = [
            self._conditioner(1000 * self.seed + 10 * i) for i in range(self.layers)
        ]

    def _conditioner(self, seed: int) -> Conditioner:
        """Returns the network of one step."""
        raise ConfigError("A Flow must define `_conditioner`", type(self).__name__, "Override it.")

    def _step(self, conditioner: Conditioner) -> tfb.Bijector:
        """Returns one step, from noise to z."""
        raise ConfigError("A Flow must define `_step`", type(self).__name__, "Override it.")

    def bijector(self) -> tfb.Bijector:
        """Returns the map from noise to z, [..., L] to [..., L]."""
        return chain([self._step(c) for c in self.conditioners], self.latent_dim)

    def distribution(self) -> tfd.Distribution:
        """Returns p(z), batch [], event [latent_dim]."""
        zeros = tf.zeros([self.latent_dim])
        base = tfd.Independent(Normal(zeros, tf.ones_like(zeros)), 1)
        return tfd.TransformedDistribution(base, self.bijector())

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """Returns the normal draws through the flow, [B, latent_dim]."""
        return self.bijector().forward(normal)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        own = {"layers": self.layers, "hidden": self.hidden, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="vae_tf")
class RealNVP(Flow):
    """p(z) by coupling steps: half of z moves and scales the other half (Dinh et al. 2017).

    The density and a draw take one pass each.

    Example:
        >>> prior = vae_tf.priors.RealNVP(latent_dim=2)
        >>> pz = prior.distribution()
        >>> pz.log_prob(tf.zeros([1, 2])).numpy().round(3)  # N(0, I) before training
        array([-1.838], dtype=float32)
    """

    def _conditioner(self, seed: int) -> Conditioner:
        kept = self.latent_dim // 2
        moved = self.latent_dim - kept
        return Conditioner(kept, moved, self.hidden, autoregressive=False, seed=seed)

    def _step(self, conditioner: Conditioner) -> tfb.Bijector:
        def affine(kept, moved_size):
            return conditioner.shift_and_log_scale(kept)

        return tfb.RealNVP(self.latent_dim // 2, shift_and_log_scale_fn=affine)


@keras.saving.register_keras_serializable(package="vae_tf")
class MaskedAutoregressive(Flow):
    """p(z) by autoregressive steps, each latent given those before it (Papamakarios et al. 2017).

    The density takes one pass, and a draw takes `latent_dim` passes for each step.

    Example:
        >>> prior = vae_tf.priors.MaskedAutoregressive(latent_dim=2)
        >>> pz = prior.distribution()
        >>> pz.log_prob(tf.zeros([1, 2])).numpy().round(3)  # N(0, I) before training
        array([-1.838], dtype=float32)
    """

    def _conditioner(self, seed: int) -> Conditioner:
        size = self.latent_dim
        return Conditioner(size, size, self.hidden, autoregressive=True, seed=seed)

    def _step(self, conditioner: Conditioner) -> tfb.Bijector:
        return masked_autoregressive(conditioner.shift_and_log_scale, inverse=False)

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """Returns the normal draws through the flow, one latent after the other."""
        z = normal
        for i, conditioner in enumerate(self.conditioners):
            noise = tf.reverse(z, [-1]) if i else z
            columns: list[tf.Tensor] = []
            for j in range(self.latent_dim):
                rest = tf.zeros_like(noise[:, j:])
                known = tf.concat([*columns, rest], -1)
                shift, log_scale = conditioner.shift_and_log_scale(known)
                column = noise[:, j : j + 1] * tf.exp(log_scale[:, j : j + 1])
                columns.append(column + shift[:, j : j + 1])
            z = tf.concat(columns, -1)
        return z
