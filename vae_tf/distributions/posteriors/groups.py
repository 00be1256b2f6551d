"""q(z|x) over groups of latents that depend on each other's draws."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import instance
from vae_tf.distributions.base import named_parameters
from vae_tf.distributions.hierarchical import Hierarchical, Level
from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.distributions.posteriors.normal import DiagonalNormal
from vae_tf.distributions.rows import Rows, flattened
from vae_tf.errors import ConfigError


class Groups(Posterior):
    """q(z|x), group after group; a subclass gives `_level`.

    The encoder's outputs are named after their group, the top being group 0: of the group that
    is drawn first the parameters of its posterior, of each other one its `features`, if the
    group's network takes such. `parameter_shapes` lists them.

    Args:
        networks: one for each further group, in the order in which they are drawn.
        first: the posterior of the group that is drawn first; a DiagonalNormal if None.
    """

    upwards = False
    taken: ClassVar[tuple[str, ...]] = ()
    given: ClassVar[tuple[str, ...]] = ()
    _way: Callable[[], Any] = staticmethod(lambda: None)  # returns the prior that q is made of

    def __init__(
        self, networks: Sequence[keras.Model] = (), first: Posterior | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        restore = keras.saving.deserialize_keras_object
        self.networks = [restore(n) if isinstance(n, dict) else n for n in networks]
        self.first = restore(first) if isinstance(first, dict) else first or DiagonalNormal()
        instance("first", self.first, Posterior)
        self.start, *self.later = self._in_order(range(len(self.networks) + 1))
        self.rows = [
            Rows(network, f"posterior's network of group {g}", self.taken, self.given)
            for g, network in zip(self.later, self.networks, strict=True)
        ]

    def _in_order(self, groups: Sequence) -> list:
        """Returns groups from the top in the order they are drawn in, or the other way round."""
        return list(groups)[:: -1 if self.upwards else 1]

    def group_sizes(self, latent_dim: int) -> tuple[int, ...]:
        """Returns the numbers of latents in each group, the top first."""
        later = [row.size for row in self.rows]
        if latent_dim <= sum(later):
            fix = "Build prior and posterior for the same groups."
            expected = f"The model must have more latents than the {sum(later)} of further groups"
            raise ConfigError(expected, f"latent_dim={latent_dim}", fix)
        return tuple(self._in_order([latent_dim - sum(later), *later]))

    def parameter_shapes(self, latent_dim: int) -> dict[str, tuple[int, ...]]:
        """Returns the shape, without batch, of each network output."""
        own = self.first.parameter_shapes(self.group_sizes(latent_dim)[self.start])
        features = {g: row.inputs.get("features") for g, row in self._rows()}
        named = {f"group_{self.start}_{name}": shape for name, shape in own.items()}
        return named | {f"group_{g}_features": s for g, s in features.items() if s is not None}

    def _rows(self) -> list[tuple[int, Rows]]:
        return list(zip(self.later, self.rows, strict=True))

    def _level(self, n: int, features, z: tf.Tensor, state: Any) -> Level:
        """Returns the level of the n-th network, given the draw and the state before it."""
        raise ConfigError("Groups must define `_level`", type(self).__name__, "Override it.")

    def _read(self, params) -> tuple[dict[str, tf.Tensor], list[tf.Tensor | None]]:
        """Returns the parameters of the first group, and features [B, n] of the others."""
        seen = list(params) if isinstance(params, Mapping) else []
        takers = [f"group_{g}_features" for g, row in self._rows() if "features" in row.inputs]
        prefix = f"group_{self.start}_"
        own = [name for name in seen if name.startswith(prefix) and name not in takers]
        values = named_parameters(params, own + takers, type(self).__name__)
        flat = {name: flattened(values[name]) for name in takers}
        first = {name.removeprefix(prefix): values[name] for name in own}
        return first, [flat.get(f"group_{g}_features") for g in self.later]

    def distribution(self, params) -> Hierarchical:
        """Returns q(z|x), batch [B], event [L]."""
        start, features = self._read(params)
        return self._after(self.first.distribution(start), features)

    def _after(self, first: tfd.Distribution, features: list) -> Hierarchical:
        """Returns q(z|x) of the distribution of its first group, and the features of the others."""
        sizes = self._in_order([first.event_shape[0], *(row.size for row in self.rows)])
        further = [functools.partial(self._level, n, value) for n, value in enumerate(features)]
        own = {"upwards": self.upwards, "way": self._way()}
        return Hierarchical(Level(first), further, sizes, **own)

    def with_noise(self, params, normal: tf.Tensor) -> tuple[Hierarchical, tf.Tensor | None]:
        """Returns q(z|x) and draws, [..., B, L], which are None if `from_noise` has none."""
        own, features = self._read(params)
        noise = tf.split(normal, self.group_sizes(normal.shape[-1]), -1)
        first, start = self.first.with_noise(own, noise[self.start])
        qz = self._after(first, features)
        if start is None:
            return qz, None
        return qz, qz.draw(lambda g, d: start if g == self.start else _moved(d, noise[g]))

    def from_noise(self, params, normal: tf.Tensor) -> tf.Tensor | None:
        """Returns draws [..., B, L]; None if the first posterior has no `from_noise`."""
        return self.with_noise(params, normal)[1]

    def _means(self, params) -> tuple[Hierarchical, tf.Tensor]:
        qz, start = self.distribution(params), self.first.point(self._read(params)[0])
        return qz, qz.draw(lambda g, d: start if g == self.start else d.distribution.loc)

    def point(self, params) -> tf.Tensor:
        """Returns the mean of each group, given the means before it, [B, L]."""
        return self._means(params)[1]

    def statistics(self, params) -> dict[str, tf.Tensor]:
        """Returns `z_mean`, which is `point`, and `z_log_var` given the means, each [B, L]."""
        qz, z = self._means(params)
        first = self.first.statistics(self._read(params)[0])["z_log_var"]
        log_var = [
            first if g == self.start else 2 * tf.math.log(level.own.distribution.scale)
            for g, level in enumerate(qz.levels(z))
        ]
        return {"z_mean": z, "z_log_var": tf.concat(log_var, -1)}

    def get_config(self) -> dict:
        """Returns the constructor's arguments, serialized."""
        serialize = keras.saving.serialize_keras_object
        networks = [serialize(network) for network in self.networks]
        return {**super().get_config(), "networks": networks, "first": serialize(self.first)}


def _moved(distribution: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
    inside = distribution.distribution
    return inside.loc + inside.scale * noise
