"""Other KL terms than beta times the KL: against collapse, and for a chosen rate."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from vae_tf.checks import real
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Inference
from vae_tf.objectives.schedules import Constant, LinearWarmup, Schedule, as_schedule
from vae_tf.objectives.terms import weighted_mean
from vae_tf.settings import Settings


class KLControl(Settings):
    """The KL term as a function of the KL's parts; a subclass gives `__call__`.

    Attributes:
        level: the parts that it takes: "total", "group" (of latents) or "dimension".
        schedules: the schedules that it follows, beside beta.
        takes_beta: whether its term is weighted by beta.
        groups: the number of groups of latents that it needs; None for any number.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> class Square(vae_tf.objectives.KLControl):
        ...     def __call__(self, parts, inference):
        ...         return inference.beta * tf.square(tf.reduce_sum(parts, -1))
        >>> terms = vae_tf.VAE(encoder, decoder, kl_control=Square())(np.ones((3, 8)))
        >>> np.allclose(terms.kl_term, terms.kl**2)
        True
    """

    level = "total"
    schedules: tuple[Schedule, ...] = ()
    takes_beta = True
    groups: int | None = None

    def __call__(self, parts: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns the KL term [B] of parts [B, P], in nats."""
        raise ConfigError("A KLControl must define `__call__`", type(self).__name__, "Override it.")

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "KLControl":
        """Returns the control that `get_config` described."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value)
                if isinstance(value, dict)
                else value
                for name, value in config.items()
            }
        )


@keras.saving.register_keras_serializable(package="vae_tf")
class FreeBits(KLControl):
    """The KL term beta sum_p max(nats, mean of KL_p over the batch) (Kingma et al. 2016, eq. 15).

    The first `nats` of each part are free, so that it has no reason to collapse.

    Args:
        nats: free nats of each part; with per="group" also one number for each group.
        per: "dimension", which needs a factorized prior and posterior, or "group" of latents.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> control = vae_tf.objectives.FreeBits(5.0)  # nats a latent, far above the KL of either
        >>> vae = vae_tf.VAE(encoder, decoder, kl_control=control)
        >>> vae(np.ones((3, 8))).kl_term.numpy()
        array([10., 10., 10.], dtype=float32)
    """

    def __init__(self, nats: float | Sequence[float], per: str = "dimension"):
        fix = "Pass nats=0.1 a dimension."
        self.nats: float | list[float]
        if isinstance(nats, (list, tuple)) and nats:
            self.nats = [real("nats", value, positive=False, fix=fix) for value in nats]
            self.groups = len(nats)
            if per != "group":
                fix = "Pass one number, or per='group'."
                raise ConfigError("`nats` of several groups need per='group'", repr(per), fix)
        else:
            self.nats = real("nats", nats, positive=False, fix=fix)
        if per not in ("dimension", "group"):
            fix = "Pass per='dimension' or per='group'."
            raise ConfigError("`per` must be one of dimension, group", repr(per), fix)
        self.level = self.per = per

    def __call__(self, parts: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns the KL term, [B]; its mean over the batch is the formula."""
        means = weighted_mean(parts, inference.batch.weight)
        free = tf.constant(self.nats)
        paid = tf.where(means > free, parts, free)
        return inference.beta * tf.reduce_sum(paid, -1)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"nats": self.nats, "per": self.per}


@keras.saving.register_keras_serializable(package="vae_tf")
class Capacity(KLControl):
    """The KL term gamma |mean of KL over the batch - C| (Burgess et al. 2018, equation 8).

    The model spends C nats, no more and no less. A rising C lets it learn one factor after another.

    Args:
        capacity: C in nats, a number or a Schedule such as LinearWarmup(10000, 25.0).
        gamma: weight of the term.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> control = vae_tf.objectives.Capacity(25.0, gamma=10.0)
        >>> terms = vae_tf.VAE(encoder, decoder, kl_control=control)(np.ones((3, 8)))
        >>> np.allclose(terms.kl_term, 10 * (25 - np.mean(terms.kl)))  # the KL is below 25 nats
        True
    """

    takes_beta = False

    def __init__(self, capacity: float | Schedule, gamma: float = 1000.0):
        self.capacity = as_schedule(capacity, "capacity")
        self.gamma = real("gamma", gamma, positive=True)
        self.schedules = (self.capacity,)

    def __call__(self, parts: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns the KL term, the same for each example, [B]."""
        mean = weighted_mean(tf.reduce_sum(parts, -1), inference.batch.weight)
        distance = tf.abs(mean - inference.now(self.capacity))
        return self.gamma * distance * tf.ones_like(parts[:, 0])

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        capacity = keras.saving.serialize_keras_object(self.capacity)
        return {"capacity": capacity, "gamma": self.gamma}


@keras.saving.register_keras_serializable(package="vae_tf")
class GroupBalance(KLControl):
    """The KL term beta sum_g c_g KL_g, c_g in proportion to the mean of KL_g and 1 on average.

    During the warm-up, groups of latents with a small KL have small weights, so that none collapses
    before the others (Vahdat and Kautz 2020, appendix A); afterwards each c_g is 1.

    Args:
        warmup: a schedule of that length, such as the LinearWarmup that beta follows.

    Example:
        >>> warmup = vae_tf.objectives.LinearWarmup(epochs=10)
        >>> control = vae_tf.objectives.GroupBalance(warmup)  # beside beta=warmup
        >>> control.level
        'group'
    """

    level = "group"
    least = 0.01  # nats, as in the authors' code; an estimate of a small KL may be negative

    def __init__(self, warmup: Schedule):
        if not isinstance(warmup, Schedule) or isinstance(warmup, Constant):
            fix = "Pass warmup=LinearWarmup(epochs=10)."
            raise ConfigError("`warmup` must be a Schedule with an end", repr(warmup), fix)
        self.warmup = warmup
        clock = {"epochs" if warmup.in_epochs else "steps": warmup.length}
        self._share = LinearWarmup(**clock)  # type: ignore[arg-type]
        self.schedules = (warmup,)

    def __call__(self, parts: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns the KL term, [B]."""
        means = tf.stop_gradient(weighted_mean(parts, inference.batch.weight))
        means = tf.maximum(means, self.least)
        balanced = means / tf.reduce_mean(means)
        weights = tf.where(inference.now(self._share) < 1, balanced, tf.ones_like(balanced))
        return inference.beta * tf.reduce_sum(weights * parts, -1)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"warmup": keras.saving.serialize_keras_object(self.warmup)}


@keras.saving.register_keras_serializable(package="vae_tf")
class GroupWeights(KLControl):
    """The KL term beta sum_g w_g KL_g, with a weight or a warm-up for each group of latents.

    A later warm-up of the lower groups, for example, lets the upper ones learn first.

    Args:
        weights: a number or a Schedule for each group, the top first.

    Example:
        >>> warmup = vae_tf.objectives.LinearWarmup(epochs=10)
        >>> control = vae_tf.objectives.GroupWeights([1.0, warmup])  # VAE(..., kl_control=control)
        >>> control.groups, control.level
        (2, 'group')
    """

    level = "group"

    def __init__(self, weights: Sequence[float | Schedule]):
        if not isinstance(weights, (list, tuple)) or not weights:
            fix = "Pass weights=[1.0, LinearWarmup(epochs=10)]."
            raise ConfigError("`weights` must have one for each group", repr(weights), fix)
        restored = [
            keras.saving.deserialize_keras_object(w) if isinstance(w, dict) else w for w in weights
        ]
        self.weights = [as_schedule(weight, "weights") for weight in restored]
        self.schedules, self.groups = tuple(self.weights), len(self.weights)

    def __call__(self, parts: tf.Tensor, inference: Inference) -> tf.Tensor:
        """Returns the KL term, [B]."""
        weights = tf.stack([inference.now(weight) for weight in self.weights])
        return inference.beta * tf.reduce_sum(weights * parts, -1)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"weights": [keras.saving.serialize_keras_object(w) for w in self.weights]}
