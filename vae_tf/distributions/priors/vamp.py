"""p(z) as a mixture of posteriors."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.distributions.bounds import bounded
from vae_tf.distributions.normal_mixture import NormalMixture
from vae_tf.distributions.priors.base import Prior
from vae_tf.errors import ConfigError, DataError


@keras.saving.register_keras_serializable(package="vae_tf")
class VampPrior(Prior):
    """p(z) = sum_k w_k q(z|u_k) with learned pseudo-inputs u_k (Tomczak and Welling 2018).

    Args:
        latent_dim: L.
        event_shape: shape of one example.
        components: K.
        value_range: range in which the pseudo-inputs stay; None for no bounds.
        seed: seed of the initial pseudo-inputs, uniform in that range, or N(0, 1) without one.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> prior = vae_tf.priors.VampPrior(latent_dim=2, event_shape=(8,), components=10)
        >>> vae = vae_tf.VAE(encoder, decoder, prior=prior)
        >>> vae.prior.distribution().sample(3, seed=[0, 0]).shape.as_list()
        [3, 2]
    """

    def __init__(
        self,
        latent_dim: int,
        event_shape: Sequence[int],
        components: int = 500,
        value_range: Sequence[float] | None = (0.0, 1.0),
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(latent_dim, **kwargs)
        self.components, self.seed = whole("components", components), whole("seed", seed, 0)
        self.event_shape = tuple(whole("event_shape", size) for size in event_shape)
        self.value_range = None if value_range is None else tuple(map(float, value_range))
        if self.value_range is not None and not _is_range(self.value_range):
            fix = "Pass value_range=(0.0, 1.0), or None for data without bounds."
            raise ConfigError("`value_range` must be (low, high)", repr(value_range), fix)
        start: keras.initializers.Initializer = keras.initializers.RandomNormal(1.0, seed=self.seed)
        if self.value_range is not None:
            start = keras.initializers.RandomUniform(*self.value_range, seed=self.seed)
        shape = (self.components, *self.event_shape)
        self.pseudo_inputs = self.add_weight(name="pseudo_inputs", shape=shape, initializer=start)
        self.logits = self.add_weight(name="logits", shape=(self.components,), initializer="zeros")
        self._encode: Callable | None = None

    @classmethod
    def from_data(cls, latent_dim: int, x, components: int = 500, seed: int = 0, **kwargs):
        """Returns a prior whose pseudo-inputs start at `components` of the examples `x`.

        Raises:
            DataError: there are fewer examples than components, or some are outside `value_range`.
        """
        x, components = np.asarray(x, "float32"), whole("components", components)
        if len(x) < components:
            fix = "Pass more examples or fewer components."
            raise DataError(f"{components} components need as many examples", len(x), fix)
        prior = cls(latent_dim, x.shape[1:], components, seed=seed, **kwargs)
        low, high = prior.value_range or (-np.inf, np.inf)
        if x.min() < low or x.max() > high:
            received = f"values from {x.min():g} to {x.max():g}"
            fix = "Pass value_range=None, or the data's range."
            raise DataError(f"The examples must be within [{low:g}, {high:g}]", received, fix)
        chosen = np.random.default_rng(seed).choice(len(x), components, replace=False)
        prior.pseudo_inputs.assign(x[np.sort(chosen)])
        return prior

    def bind(self, encode: Callable[[tf.Tensor], tfd.Distribution]) -> None:
        """Receives the model's encoder, for priors built from it."""
        self._encode = encode

    def distribution(self) -> tfd.Distribution:
        """Returns the mixture, batch [], event [latent_dim].

        Raises:
            ConfigError: the prior is not part of a model yet.
        """
        if self._encode is None:
            fix = "Give it to a VAE first: `VAE(..., prior=prior)`."
            raise ConfigError("A VampPrior needs the encoder of its model", "no model", fix)
        u = tf.convert_to_tensor(self.pseudo_inputs)
        if self.value_range is not None:
            low, high = self.value_range
            u = bounded(u, low, high)
        weights = tfd.Categorical(logits=tf.convert_to_tensor(self.logits))
        qz = self._encode(u)
        diagonal = isinstance(qz, tfd.Independent) and isinstance(qz.distribution, tfd.Normal)
        return (NormalMixture if diagonal else tfd.MixtureSameFamily)(weights, qz)

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor | None:
        """Returns draws [B, latent_dim], or None if the posteriors are no diagonal normals."""
        pz = self.distribution()
        return pz.from_noise(normal, uniform) if isinstance(pz, NormalMixture) else None

    def mixture(self) -> dict[str, np.ndarray] | None:
        """Returns the components, where the posteriors are diagonal normals."""
        pz = self.distribution()
        return pz.numbers() if isinstance(pz, NormalMixture) else None

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        own = {
            "event_shape": self.event_shape,
            "components": self.components,
            "value_range": self.value_range,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}


def _is_range(pair: tuple[float, ...]) -> bool:
    return len(pair) == 2 and bool(np.isfinite(pair).all()) and pair[0] < pair[1]
