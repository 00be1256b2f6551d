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
        log_scale_bounds: bounds on the logarithms of learned scales.
        factorized: whether p(z) is a product over the dimensions of z. Its `distribution` is then a
            `tfd.Independent`, and each dimension has a KL divergence of its own.
        conditional: whether the prior is p(z|c). Its `distribution` and `from_noise` then take a
            `condition`, and the distribution has the batch shape [B].

    Example:
        >>> class Wide(vae_tf.priors.Prior):
        ...     factorized = True
        ...
        ...     def distribution(self):
        ...         return tfd.Independent(tfd.Normal(tf.zeros(self.latent_dim), 2.0), 1)
        >>> Wide(3).distribution().variance().numpy()
        array([4., 4., 4.], dtype=float32)
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
        """The number of latents in each group; there is one group unless a subclass has more."""
        return (self.latent_dim,)

    def bind(self, encode: Callable[[tf.Tensor], tfd.Distribution]) -> None:
        """Receives the model's encoder, for priors built from it: a function from x to q(z|x)."""
        del encode  # AutoGraph cannot convert a function without statements, and warns

    def distribution(self) -> tfd.Distribution:
        """Returns p(z), batch [], event [latent_dim]."""
        raise ConfigError("A Prior must define `distribution`", type(self).__name__, "Override it.")

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor | None:
        """Returns z ~ p(z), [B, latent_dim], as a function of noise, made of plain operations.

        An exported decoder draws in this way, on servers and phones, with a seed for each row.

        Args:
            normal: draws of N(0, 1), [B, latent_dim].
            uniform: draws of U(0, 1), [B].

        Returns:
            The draws; None if the prior has no such function.
        """
        return None

    def mixture(self) -> dict[str, np.ndarray] | None:
        """Returns p(z) as the numbers of a mixture of diagonal normals, for use without this class.

        Returns:
            `weights` [K], `loc` [K, L] and `scale` [K, L] float32; None if p(z) is no such mixture.
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
