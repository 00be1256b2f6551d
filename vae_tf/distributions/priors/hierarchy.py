"""p(z) as a hierarchy: groups of latents, each given those above it."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import instance
from vae_tf.distributions.hierarchical import Hierarchical, Level
from vae_tf.distributions.normal import Normal
from vae_tf.distributions.priors.base import Prior
from vae_tf.distributions.rows import Rows
from vae_tf.errors import ConfigError

TAKEN, GIVEN = ("z", "state"), ("loc", "log_scale")


@keras.saving.register_keras_serializable(package="vae_tf")
class Hierarchy(Prior):
    """p(z) = p(z_0) prod_g p(z_g|z_0, ..., z_g-1), the groups one after the other in one vector z.

    Below the top, p(z_g|...) = N(loc, diag(exp(log_scale)^2)) is given by a network of the group
    above (Sønderby et al. 2016, equations 1 and 2). The network passes on a `state`, through which
    a group depends on all those above; a Ladder posterior reads it too.

    Args:
        top: p(z_0), any prior.
        networks: a functional Keras model for each group below the top. Its inputs are `z`, the
            draw of the group above, and the `state` of the network before, or one of the two; its
            outputs are `loc` and `log_scale`, both [B, *shape], and, if wanted, a `state` of any
            shape. Groups that are feature maps are flattened in z. `networks.mlp_ladder` and
            `networks.resnet_ladder` build the networks.

    Raises:
        ConfigError: the networks do not fit each other.

    Example:
        >>> z = keras.Input((2,), name="z")  # the top group
        >>> heads = {name: keras.layers.Dense(4)(z) for name in ("loc", "log_scale")}
        >>> top = vae_tf.priors.StandardNormal(2)
        >>> prior = vae_tf.priors.Hierarchy(top, [keras.Model({"z": z}, heads)])
        >>> prior.distribution().sample(3, seed=[0, 0]).shape.as_list()  # 2 + 4 latents
        [3, 6]
    """

    def __init__(self, top: Prior, networks: Sequence[keras.Model] = (), **kwargs):
        restore = keras.saving.deserialize_keras_object
        top = restore(top) if isinstance(top, dict) else top
        networks = [restore(n) if isinstance(n, dict) else n for n in networks]
        instance("top", top, Prior)
        rows = [
            Rows(network, f"prior's network of group {g}", TAKEN, GIVEN)
            for g, network in enumerate(networks, 1)
        ]
        sizes, state = (top.latent_dim, *(row.size for row in rows)), None
        for g, row in enumerate(rows):
            row.check("z", (sizes[g],), "the group above")
            row.check("state", state, "the network above")
            state = row.state
        super().__init__(sum(sizes), **kwargs)
        self.top, self.networks, self.rows = top, networks, rows
        self.sizes, self.conditional = sizes, top.conditional
        if hasattr(top, "wiring"):
            self.wiring = top.wiring

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """The number of latents in each group, the top first."""
        return self.sizes

    def bind(self, encode: Callable[[tf.Tensor], tfd.Distribution]) -> None:
        """Passes the top's group of q(z|x) on to it."""
        self.top.bind(functools.partial(_top, encode))

    def below(self, g: int, z: tf.Tensor, state: Any) -> Level:
        """Returns the level of group g, at least 1, given the draw and the state above it."""
        outputs = self.rows[g - 1](z=z, state=state)
        scale = tf.exp(self.bounded_log_scale(outputs["log_scale"]))
        own = tfd.Independent(Normal(outputs["loc"], scale), 1)
        return Level(own, outputs.get("state"))

    def distribution(self, condition=None) -> Hierarchical:
        """Returns p(z), batch [], or [B] where the top is conditional; event [latent_dim]."""
        given = (condition,) if self.conditional else ()
        further = [functools.partial(self.below, g) for g in range(1, len(self.sizes))]
        return Hierarchical(Level(self.top.distribution(*given)), further, self.sizes, way=self)

    def from_noise(self, normal: tf.Tensor, uniform: tf.Tensor, condition=None) -> tf.Tensor | None:
        """Returns draws [B, latent_dim], group after group; None if the top has no `from_noise`."""
        own, *others = tf.split(normal, self.sizes, -1)
        given = (condition,) if self.conditional else ()
        top = self.top.from_noise(own, uniform, *given)
        if top is None:
            return None

        def one(g: int, of_group: tfd.Distribution) -> tf.Tensor:
            if g == 0:
                return top
            inside = of_group.distribution
            return inside.loc + inside.scale * others[g - 1]

        return self.distribution(condition).draw(one)

    def mixture(self) -> dict[str, np.ndarray] | None:
        """Returns the components of a hierarchy of one group."""
        return None if self.networks else self.top.mixture()

    def get_config(self) -> dict:
        """Returns the constructor's arguments, serialized."""
        config, serialize = super().get_config(), keras.saving.serialize_keras_object
        config.pop("latent_dim")
        networks = [serialize(network) for network in self.networks]
        return {**config, "top": serialize(self.top), "networks": networks}


def _top(encode: Callable, x: tf.Tensor) -> tfd.Distribution:
    """Returns q of the top group, where it depends on no other group's draw."""
    qz = encode(x)
    if isinstance(qz, Hierarchical) and not qz.upwards:
        return qz.first
    if isinstance(qz, tfd.Blockwise):
        return qz.distributions[0]
    fix = "Use a Ladder or a JointPosterior of the same groups."
    raise ConfigError("The top of the prior needs its group of q(z|x)", "no such group", fix)
