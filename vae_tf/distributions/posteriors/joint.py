"""q(z|x) over several groups of latents."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import instance, whole
from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.errors import ConfigError


@keras.saving.register_keras_serializable(package="vae_tf")
class JointPosterior(Posterior):
    """q(z|x) = prod_g q_g(z_g|x), the groups one after the other in one vector z.

    The encoder's outputs are those of the groups, named `group_0_z_mean` and so on.

    Args:
        parts: the posteriors of the groups.
        sizes: the number of latents in each group.

    Example:
        >>> parts = [vae_tf.posteriors.DiagonalNormal(), vae_tf.posteriors.FullNormal()]
        >>> joint = vae_tf.posteriors.JointPosterior(parts, sizes=[1, 2])
        >>> list(joint.parameter_shapes(3))
        ['group_0_z_mean', 'group_0_z_log_var', 'group_1_z_mean', 'group_1_z_scale_tril']
    """

    def __init__(self, parts: Sequence[Posterior], sizes: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.parts = [
            keras.saving.deserialize_keras_object(part) if isinstance(part, dict) else part
            for part in parts
        ]
        for part in self.parts:
            instance("parts", part, Posterior)
        self.sizes = tuple(whole("sizes", size) for size in sizes)
        if not self.sizes or len(self.sizes) != len(self.parts):
            received = f"{len(self.parts)} parts and {len(self.sizes)} sizes"
            fix = "Pass one size for each part, such as JointPosterior([q1, q2], [16, 8])."
            raise ConfigError("Each part must have a size", received, fix)

    def parameter_shapes(self, latent_dim: int) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each network output."""
        self.group_sizes(latent_dim)
        return {
            f"group_{i}_{name}": shape
            for i, (part, size) in enumerate(zip(self.parts, self.sizes, strict=True))
            for name, shape in part.parameter_shapes(size).items()
        }

    def group_sizes(self, latent_dim: int) -> tuple[int, ...]:
        """Returns the number of latents in each group."""
        if sum(self.sizes) != latent_dim:
            fix = "Give all parts the same latent_dim."
            expected = f"The model must have latent_dim={sum(self.sizes)}"
            raise ConfigError(expected, latent_dim, fix)
        return self.sizes

    def _by_group(self, params) -> list[dict[str, tf.Tensor]]:
        names = list(self.parameter_shapes(sum(self.sizes)))
        values = named_parameters(params, names, type(self).__name__)
        return [
            {name: values[f"group_{i}_{name}"] for name in part.parameter_shapes(size)}
            for i, (part, size) in enumerate(zip(self.parts, self.sizes, strict=True))
        ]

    def distribution(self, params) -> tfd.Distribution:
        """Returns q(z|x), batch [B], event [L]."""
        groups = zip(self.parts, self._by_group(params), strict=True)
        return tfd.Blockwise([part.distribution(own) for part, own in groups])

    def point(self, params) -> tf.Tensor:
        """Returns the points of the groups, [B, L]."""
        groups = zip(self.parts, self._by_group(params), strict=True)
        return tf.concat([part.point(own) for part, own in groups], -1)

    def from_noise(self, params, normal: tf.Tensor) -> tf.Tensor | None:
        """Returns draws [..., B, L]; None if a part has no `from_noise`."""
        noise = tf.split(normal, self.sizes, -1)
        groups = zip(self.parts, self._by_group(params), noise, strict=True)
        draws = [part.from_noise(own, rest) for part, own, rest in groups]
        return None if any(draw is None for draw in draws) else tf.concat(draws, -1)

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `z_mean` and `z_log_var` of all groups, each [B, L]."""
        groups = zip(self.parts, self._by_group(params), strict=True)
        all_statistics = [part.statistics(own) for part, own in groups]
        return {
            name: tf.concat([own[name] for own in all_statistics], -1)
            for name in ("z_mean", "z_log_var")
        }

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        parts = [keras.saving.serialize_keras_object(part) for part in self.parts]
        return {**super().get_config(), "parts": parts, "sizes": self.sizes}
