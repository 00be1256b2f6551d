"""q(z|x): what every posterior is."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.base import ModelPart
from vae_tf.errors import ConfigError


class Posterior(ModelPart):
    """q(z|x); a subclass names its `parameters` and gives `distribution` and `statistics`.

    Attributes:
        parameters: names of the encoder's outputs, each [B, latent_dim] unless
            `parameter_shapes` says otherwise.
        factorized: whether q(z|x) is a product over the dimensions of z; its `distribution` is
            then a `tfd.Independent`, and a KL divergence can be told for each dimension.
    """

    parameters: tuple[str, ...] = ()
    factorized = False

    def parameter_shapes(self, latent_dim: int) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each network output for `latent_dim` latents."""
        return {name: (latent_dim,) for name in self.parameters}

    def group_sizes(self, latent_dim: int) -> tuple[int, ...]:
        """Returns the numbers of latents in each group of them; one group unless it is joint."""
        return (latent_dim,)

    def distribution(self, params) -> tfd.Distribution:
        """Returns q(z|x), batch [B], event [L], from the encoder's outputs."""
        raise ConfigError("A Posterior must define it", type(self).__name__, "Override it.")

    def point(self, params) -> tf.Tensor:
        """Returns the one z that stands for q(z|x) in reconstructions, [B, L]: its mean."""
        return self.distribution(params).mean()

    def from_noise(self, params, normal: tf.Tensor) -> tf.Tensor | None:
        """Returns z ~ q(z|x), [B, L], as a function of noise, made of plain operations.

        An exported encoder draws so: row by row, from seeds of its own.

        Args:
            params: the encoder's outputs.
            normal: draws of N(0, 1), [B, L].

        Returns:
            The draws; None if the posterior knows no such way.
        """
        return None

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns what an exported encoder puts out, by name, each [B, ...] float32.

        `z_mean`, which is `point`, and `z_log_var` are among them.
        """
        raise ConfigError("A Posterior must define it", type(self).__name__, "Override it.")
