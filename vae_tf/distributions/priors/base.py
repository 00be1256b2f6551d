"""p(z): what every prior is."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.base import ModelPart
from vae_tf.distributions.bounds import bounded
from vae_tf.errors import ConfigError


class Prior(ModelPart):
    """p(z) over vectors of `latent_dim` numbers; a subclass gives `distribution`.

    Attributes:
        log_scale_bounds: of scales that are learned.
        factorized: whether p(z) is a product over the dimensions of z; its `distribution` is
            then a `tfd.Independent`, and a KL divergence can be told for each dimension.
        conditional: whether it is p(z|c): `distribution` and `from_noise` then take a
            `condition`, and `distribution` has a batch of [B].
    """

    restated = ("from_noise", "mixture")
    factorized = False
    conditional = False
    log_scale_bounds = (-5.0, 5.0)

    def __init__(self, latent_dim: int, **kwargs):
        super().__init__(**kwargs)
        fix = "Pass latent_dim=2 for pictures of the latent space, 16 to 64 for quality."
        self.latent_dim = whole("latent_dim", latent_dim, fix=fix)

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """Numbers of latents in each group of them; one group unless the prior is a joint one."""
        return (self.latent_dim,)

    def bind(self, encode: Callable[[tf.Tensor], tfd.Distribution]) -> None:
        """Receives the function that gives q(z|x), for priors that are made of it."""
        del encode  # AutoGraph cannot convert a function without statements, and warns

    def distribution(self) -> tfd.Distribution:
        """Returns p(z), batch [], event [latent_dim]."""
        raise ConfigError("A Prior must define `distribution`", type(self).__name__, "Override it.")

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor | None:
        """Returns z ~ p(z), [B, latent_dim], as a function of noise, made of plain operations.

        An exported decoder draws so, on servers and phones: row by row, from seeds of its own.

        Args:
            normal: draws of N(0, 1), [B, latent_dim].
            uniform: draws of U(0, 1), [B].

        Returns:
            The draws; None if the prior knows no such way.
        """
        return None

    def mixture(self) -> dict[str, np.ndarray] | None:
        """Returns p(z) as a mixture of diagonal normals, for those who have the numbers alone.

        Returns:
            `weights` [K], `loc` [K, L] and `scale` [K, L] float32; None if it is no such mixture.
        """
        return None

    def bounded_log_scale(self, log_scale) -> tf.Tensor:
        """Returns a learned `log_scale` within `log_scale_bounds`."""
        fix = "Let the encoder put out values of the order of 1: scale the data, lower its rate."
        raw = tf.convert_to_tensor(log_scale)
        return bounded(raw, *self.log_scale_bounds, "log_scale", (fix, fix))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "latent_dim": self.latent_dim}
