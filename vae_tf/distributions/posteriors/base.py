"""q(z|x): what every posterior is."""

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import noise
from vae_tf.distributions.base import ModelPart
from vae_tf.errors import ConfigError


class Posterior(ModelPart):
    """q(z|x); a subclass names its `parameters` and gives `distribution` and `statistics`.

    Attributes:
        parameters: names of the encoder's outputs, each [B, latent_dim] unless
            `parameter_shapes` says otherwise.
        factorized: whether q(z|x) is a product over the dimensions of z. Its `distribution` is then
            a `tfd.Independent`, and each dimension has a KL divergence of its own.

    Example:
        >>> class Laplace(vae_tf.posteriors.Posterior):
        ...     parameters, factorized = ("loc", "log_scale"), True
        ...
        ...     def distribution(self, params):
        ...         scale = tf.exp(params["log_scale"])
        ...         return tfd.Independent(tfd.Laplace(params["loc"], scale), 1)
        >>> z = tf.zeros([1, 2])
        >>> qz = Laplace().distribution({"loc": z, "log_scale": z})
        >>> qz.log_prob(z).numpy().round(3)  # -2 ln 2
        array([-1.386], dtype=float32)
    """

    restated = ("from_noise", "with_noise", "point")
    parameters: tuple[str, ...] = ()
    factorized = False

    def parameter_shapes(self, latent_dim: int) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each network output for `latent_dim` latents."""
        return {name: (latent_dim,) for name in self.parameters}

    def group_sizes(self, latent_dim: int) -> tuple[int, ...]:
        """Returns the number of latents in each group; one group unless a subclass has more."""
        return (latent_dim,)

    def bind(self, prior) -> None:
        """Receives the model's prior, for posteriors built from it."""

    def distribution(self, params) -> tfd.Distribution:
        """Returns q(z|x), batch [B], event [L], from the encoder's outputs."""
        expected = "A Posterior must define `distribution`"
        raise ConfigError(expected, type(self).__name__, "Override it.")

    def point(self, params) -> tf.Tensor:
        """Returns the z [B, L] that stands for q(z|x) in reconstructions: its mean."""
        return self.distribution(params).mean()

    def from_noise(self, params, normal: tf.Tensor) -> tf.Tensor | None:
        """Returns z ~ q(z|x) as a function of noise, made of plain operations.

        An exported encoder draws in this way, from a seed for each row, and so does `drawn`.

        Args:
            params: the encoder's outputs, [B, ...].
            normal: draws of N(0, 1), [..., B, L].

        Returns:
            The draws, [..., B, L]; None if the posterior has no such function.
        """
        return None

    def with_noise(self, params, normal: tf.Tensor) -> tuple[tfd.Distribution, tf.Tensor | None]:
        """Returns `distribution` and `from_noise`; override it if the two share work."""
        return self.distribution(params), self.from_noise(params, normal)

    def drawn(
        self, params, num_samples, latent_dim: int, seed: tf.Tensor, first, at_once=None
    ) -> tuple[tfd.Distribution, tf.Tensor]:
        """Returns q(z|x) and draws of it, [num_samples, B, L], that do not depend on the batch.

        Draw s of row b belongs to the position first + b * num_samples + s. So if `first` is
        num_samples times the number of the first example, each example has draws of its own,
        whatever batch it comes in; and of one example alone, draws k, k + 1, ... start k later.

        Args:
            params: the encoder's outputs, [B, ...].
            num_samples: draws of each row.
            latent_dim: L.
            seed: int32 [2].
            first: position of the first draw of the first row; int64 where it may be large.
            at_once: where draws may depend on the batch, the seed of all of them, int32 [2], for
                a posterior that knows no `from_noise`: row by row they take long.

        Raises:
            ConfigError: `from_noise` returns draws of another shape than the noise.
        """
        rows = _rows(params, num_samples)
        normal = noise.normals(seed, first, rows * num_samples, latent_dim)
        if isinstance(num_samples, int) and num_samples == 1:
            normal = normal[None]
        else:
            normal = tf.reshape(normal, [rows, num_samples, latent_dim])
            normal = tf.transpose(normal, [1, 0, 2])
        qz, z = self.with_noise(params, normal)
        if z is None and at_once is not None:
            return qz, qz.sample(num_samples, seed=at_once)
        if z is None:
            return qz, self._drawn_by_row(params, num_samples, latent_dim, seed, first)
        if z.shape.rank != 3:
            fix = "Let it take noise [..., B, L]."
            expected = f"{type(self).__name__}.from_noise must return z [..., B, L]"
            raise ConfigError(expected, f"shape {tuple(z.shape)}", fix)
        return qz, z

    def _drawn_by_row(self, params, num_samples, latent_dim: int, seed, first) -> tf.Tensor:
        """Returns draws [num_samples, B, L], those of a row by the seed of its first position.

        TFP's samplers give other numbers under XLA; `from_noise` does not.
        """
        rows = _rows(params, num_samples)
        own_seeds = noise.seeds(seed, first, rows * num_samples)[::num_samples]

        def draw(row):
            own, own_seed = row
            qz = self.distribution(keras.tree.map_structure(lambda value: value[None], own))
            return qz.sample(num_samples, seed=own_seed)[:, 0]

        of_rows = tf.TensorSpec([None, latent_dim], tf.float32)
        z = tf.map_fn(draw, (params, own_seeds), fn_output_signature=of_rows)
        return tf.transpose(z, [1, 0, 2])

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns the outputs of an exported encoder by name, each [B, ...] float32.

        `z_mean`, which is `point`, and `z_log_var` are among them.
        """
        expected = "A Posterior must define `statistics`"
        raise ConfigError(expected, type(self).__name__, "Override it.")


def _rows(params, num_samples) -> tf.Tensor:
    """Returns B, of the same type of integers as `num_samples`."""
    kind = num_samples.dtype if tf.is_tensor(num_samples) else tf.int32
    return tf.shape(tf.nest.flatten(params)[0], kind)[0]
