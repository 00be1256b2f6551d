"""q(z|x) from the top down, along the way of the prior."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.bounds import bounded
from vae_tf.distributions.hierarchical import Level
from vae_tf.distributions.normal import Normal
from vae_tf.distributions.posteriors.groups import Groups
from vae_tf.distributions.posteriors.normal import LOG_VAR_BOUND
from vae_tf.distributions.priors.hierarchy import Hierarchy
from vae_tf.errors import ConfigError


@keras.saving.register_keras_serializable(package="vae_tf")
class Ladder(Groups):
    """q(z|x) = q(z_0|x) prod_g q(z_g|z_0, ..., z_g-1, x), in the order of a Hierarchy prior.

    The prior's networks run beside those of the posterior and keep weights of their own (Sønderby
    et al. 2016, section 2.2). The posterior of a group is a normal, told by its departure from the
    prior's: N(loc + shift, (scale exp(log_ratio))^2) (Vahdat and Kautz 2020, section 3.2).

    Args:
        networks: a functional Keras model for each group below the top. Its inputs are some of
            `features`, the encoder's output for the group, `state`, which is the prior's, and `z`,
            the draw of the group above; its outputs are `shift` and `log_ratio`, both [B, *shape].
        first: q(z_0|x), the posterior of the top; a DiagonalNormal if None.

    Example:
        >>> ladder = vae_tf.networks.mlp_ladder((8,), [2, 4], {"logits": (8,)}, hidden=[16, 16])
        >>> top = vae_tf.priors.StandardNormal(2)
        >>> vae = vae_tf.VAE(
        ...     ladder.encoder,
        ...     ladder.decoder,
        ...     prior=vae_tf.priors.Hierarchy(top, ladder.prior),
        ...     posterior=vae_tf.posteriors.Ladder(ladder.posterior),
        ... )
        >>> vae.encode(np.ones((3, 8))).sample(seed=[0, 0]).shape.as_list()  # 2 + 4 latents
        [3, 6]
    """

    taken, given = ("features", "state", "z"), ("shift", "log_ratio")

    def bind(self, prior) -> None:
        """Receives the model's prior, whose networks it shares.

        Raises:
            ConfigError: the prior is no Hierarchy of such groups, or another one than before.
        """
        if not isinstance(prior, Hierarchy) or len(prior.rows) != len(self.rows):
            expected = f"A Ladder of {len(self.rows) + 1} groups needs a Hierarchy of as many"
            received, fix = type(prior).__name__, "Pass prior=priors.Hierarchy(top, networks)."
            if isinstance(prior, Hierarchy):
                received += f" of {len(prior.rows) + 1}"
            raise ConfigError(expected, received, fix)
        if self._way() not in (None, prior):
            fix = "Make a new Ladder, or pass both: replace(prior=..., posterior=...)."
            raise ConfigError("A Ladder belongs to one prior", "another Hierarchy", fix)
        for g, row in enumerate(self.rows, 1):
            row.check("state", prior.rows[g - 1].state, "the prior's network")
            row.check("z", (prior.sizes[g - 1],), "the group above")
        self._way = lambda: prior  # a function, or Keras would save it once more

    def _level(self, n: int, features, z: tf.Tensor, state: Any) -> Level:
        prior = self._way()
        if prior is None:
            fix = "Give it to a VAE first: `VAE(..., prior=Hierarchy(...), posterior=ladder)`."
            raise ConfigError("A Ladder needs its model's prior", "no model", fix)
        p = prior.below(n + 1, z, state)
        says = self.rows[n](features=features, state=p.state, z=z)
        log_ratio = bounded(says["log_ratio"], -LOG_VAR_BOUND / 2, LOG_VAR_BOUND / 2)
        inside = p.own.distribution
        own = Normal(inside.loc + says["shift"], inside.scale * tf.exp(log_ratio))
        return Level(tfd.Independent(own, 1), p.state, p.own)
