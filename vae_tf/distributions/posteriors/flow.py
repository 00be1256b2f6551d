"""q(z|x) as an inverse autoregressive flow."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.flows import Conditioner, chain, masked_autoregressive
from vae_tf.distributions.normal import Normal
from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.distributions.posteriors.normal import bounded_log_var
from vae_tf.errors import ConfigError


@keras.saving.register_keras_serializable(package="vae_tf")
class InverseAutoregressive(Posterior):
    """q(z|x) as a diagonal normal sent through autoregressive steps (Kingma et al. 2016).

    Draws and their densities take one pass; the density of any other z takes `latent_dim` passes
    for each step. Before training it is the diagonal normal.

    Args:
        latent_dim: L.
        context_dim: number of further outputs of the encoder, on which the steps depend.
        layers: number of steps; the order of the latents is reversed between them.
        hidden: widths of each step's hidden layers.
        seed: seed of the initial weights.

    Example:
        >>> posterior = vae_tf.posteriors.InverseAutoregressive(latent_dim=2, context_dim=8)
        >>> posterior.parameter_shapes(2)
        {'z_mean': (2,), 'z_log_var': (2,), 'context': (8,)}
        >>> params = {name: tf.zeros([1, *n]) for name, n in posterior.parameter_shapes(2).items()}
        >>> z = tf.zeros([1, 2])
        >>> posterior.distribution(params).log_prob(z).numpy().round(3)  # N(0, I) before training
        array([-1.838], dtype=float32)
    """

    parameters = ("z_mean", "z_log_var", "context")

    def __init__(
        self,
        latent_dim: int,
        context_dim: int,
        layers: int = 2,
        hidden: Sequence[int] = (128,),
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.latent_dim = whole("latent_dim", latent_dim)
        self.context_dim = whole("context_dim", context_dim)
        self.layers, self.hidden = whole("layers", layers), tuple(hidden)
        self.seed = whole("seed", seed, 0)
        self.conditioners = [
            Conditioner(
                latent_dim,
                latent_dim,
                self.hidden,
                autoregressive=True,
                context=context_dim,
                seed=1000 * self.seed + 10 * i,
            )
            for i in range(self.layers)
        ]

    def parameter_shapes(self, latent_dim: int) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each network output."""
        if latent_dim != self.latent_dim:
            fix = "Give all parts the same latent_dim."
            raise ConfigError(f"The model must have latent_dim={self.latent_dim}", latent_dim, fix)
        return {**super().parameter_shapes(latent_dim), "context": (self.context_dim,)}

    def _base_and_bijector(self, params) -> tuple[tfd.Distribution, tfb.Bijector]:
        values = named_parameters(params, self.parameters, type(self).__name__)
        scale = tf.exp(0.5 * bounded_log_var(values["z_log_var"]))
        base = tfd.Independent(Normal(values["z_mean"], scale), 1)
        context = values["context"]
        steps = [
            masked_autoregressive(lambda z, c=c: c.shift_and_log_scale(z, context), inverse=True)
            for c in self.conditioners
        ]
        # Latent i of z belongs to entry i of z_mean and z_log_var
        return base, chain(steps, self.latent_dim, restore=True)

    def distribution(self, params) -> tfd.Distribution:
        """Returns q(z|x), batch [B], event [L]."""
        return _Flowed(*self._base_and_bijector(params))

    def from_noise(self, params, normal: tf.Tensor) -> tf.Tensor:
        """Returns the diagonal normal's draws, sent through the flow, [..., B, L]."""
        return self.with_noise(params, normal)[1]

    def with_noise(self, params, normal: tf.Tensor) -> tuple[tfd.Distribution, tf.Tensor]:
        """Returns q(z|x) and draws, [..., B, L], whose density is in the bijector's cache."""
        base, bijector = self._base_and_bijector(params)
        z = bijector.forward(base.distribution.loc + base.distribution.scale * normal)
        return _Flowed(base, bijector), z

    def point(self, params) -> tf.Tensor:
        """Returns the mean of the diagonal normal, sent through the flow, [B, L]."""
        base, bijector = self._base_and_bijector(params)
        return bijector.forward(base.mean())

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `z_mean`, which is `point`, and the inputs of the normal and the flow."""
        values = named_parameters(params, self.parameters, type(self).__name__)
        log_var = bounded_log_var(values["z_log_var"])
        own = {"base_mean": values["z_mean"], "context": values["context"]}
        return {"z_mean": self.point(params), "z_log_var": log_var, **own}

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        own = {
            "latent_dim": self.latent_dim,
            "context_dim": self.context_dim,
            "layers": self.layers,
            "hidden": self.hidden,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}


class _Flowed(tfd.TransformedDistribution):
    """A batch of flows that takes one z for all of it, [L] or [..., 1, L], in graphs too.

    TFP's loop over the latents keeps the shape it starts with, and z must have it.
    """

    def _log_prob(self, y, **kwargs):
        if (y.shape.rank == 1 or y.shape[-2] == 1) and self.batch_shape != [1]:
            batch_and_event = tf.concat([self.batch_shape_tensor(), tf.shape(y)[-1:]], 0)
            shape = tf.broadcast_dynamic_shape(tf.shape(y), batch_and_event)
            y = tf.ensure_shape(
                tf.broadcast_to(y, shape), [*y.shape[:-2], self.batch_shape[0], y.shape[-1]]
            )
        return super()._log_prob(y, **kwargs)
