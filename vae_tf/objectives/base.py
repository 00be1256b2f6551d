"""What every objective is: an estimator of a bound on log p(x)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import whole
from vae_tf.data.batch import Batch
from vae_tf.distributions.base import ModelPart
from vae_tf.errors import ConfigError
from vae_tf.objectives.schedules import Schedule
from vae_tf.objectives.terms import Group, groups_of, log_ratio


@dataclass(frozen=True)
class Inference:
    """One batch as an objective sees it.

    Attributes:
        batch: the data and their other fields; x is [B, *event].
        qz: q(z|x), batch [B], event [L].
        pz: p(z), batch [], or p(z|c), batch [B]; event [L].
        log_px: a function from z [S, B, L] to log p(x|z) [S, B], in nats.
        seed: seed of all other draws, int32 [2]; each replica has its own.
        beta: weight of the KL term at this step.
        now: a function from a schedule to its value at this step.
        drawn: a function from S to draws z ~ q(z|x), [S, B, L], which depend on the numbers of the
            examples alone; None for draws by `seed`.
        training: whether this is a training step.
        kl_control: a function from parts of the KL [B, P] to the KL term [B]; None for beta times
            their sum.
        level: the parts that `kl_control` takes: "total", "group" or "dimension".

    Example:
        >>> qz = tfd.Independent(tfd.Normal([[1.0, 0.0]], 1.0), 1)  # one example, two latents
        >>> pz = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
        >>> inference = vae_tf.objectives.Inference(
        ...     batch=None,
        ...     qz=qz,
        ...     pz=pz,
        ...     log_px=lambda z: -z[..., 0],
        ...     seed=tf.constant([0, 0]),
        ...     beta=tf.constant(2.0),
        ...     now=lambda schedule: schedule(0),
        ... )
        >>> inference.draw(5).shape.as_list()
        [5, 1, 2]
        >>> inference.kl_term(tf.constant([[0.5, 0.0]])).numpy()  # beta = 2
        array([1.], dtype=float32)
    """

    batch: Batch
    qz: tfd.Distribution
    pz: tfd.Distribution
    log_px: Callable[[tf.Tensor], tf.Tensor]
    seed: tf.Tensor
    beta: tf.Tensor
    now: Callable[[Schedule], tf.Tensor]
    drawn: Callable[[int], tf.Tensor] | None = None
    training: bool = False
    kl_control: "Callable[[tf.Tensor, Inference], tf.Tensor] | None" = None
    level: str = "total"

    def draw(self, num_samples: int) -> tf.Tensor:
        """Returns z ~ q(z|x), [num_samples, B, L]."""
        if self.drawn is not None:
            return self.drawn(num_samples)
        return self.qz.sample(num_samples, seed=self.seed)

    def groups(self, z: tf.Tensor) -> list[Group]:
        """Returns the groups of latents, with the draws z [S, B, L] split among them."""
        return groups_of(self.qz, self.pz, z)

    def log_ratio(self, z: tf.Tensor) -> tf.Tensor:
        """Returns log p(z) - log q(z|x) of draws [S, B, L], [S, B]."""
        return log_ratio(self.groups(z))

    def kl_term(self, parts: tf.Tensor) -> tf.Tensor:
        """Returns the KL term of the loss, [B], for parts [B, P] of the KL, in nats."""
        if self.kl_control is None:
            return self.beta * tf.reduce_sum(parts, -1)
        return self.kl_control(parts, self)


class Terms(NamedTuple):
    """The terms of the loss and the bound for one batch, per example, in nats.

    The loss is nll + kl_term, and `extra`. Its gradient is the estimator's, which need not be that
    of its value.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> terms = vae_tf.VAE(encoder, decoder)(np.ones((3, 8)))
        >>> terms.nll.shape.as_list(), terms.kl.shape.as_list(), terms.z.shape.as_list()
        ([3], [3], [1, 3, 2])
        >>> bool(tf.reduce_all(terms.kl_term == terms.beta * terms.kl))
        True
    """

    nll: tf.Tensor  # -log p(x|z), mean over the draws, [B]
    kl: tf.Tensor  # KL(q(z|x) || p(z)), [B]; -(nll + kl) is the ELBO, free of beta
    kl_term: tf.Tensor  # beta * kl for the ELBO; for other bounds what nll lacks, [B]
    z: tf.Tensor  # the draws, [S, B, L]
    bound: tf.Tensor | None = None  # the bound at beta = 1 where it is not the ELBO, [B]
    beta: tf.Tensor | None = None  # set by the model: the weight of the KL term at this step
    extra: tf.Tensor | None = None  # set by the model: penalties and regularizers, a scalar
    problem: tf.Tensor | None = None  # set by the model: what is wrong with the batch, float64 [5]


class Objective(ModelPart):
    """An estimator of a bound on log p(x) and of its gradient; a subclass gives `estimate`.

    Args:
        num_samples: draws of z for each example.

    Attributes:
        has_kl_term: whether the bound is a reconstruction term and a KL term, as KL controls need.
        num_classes: K, the number of classes of the labels that it takes; None if it takes none.
        copies: number of rows that `examples` makes of each example.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder, objective=vae_tf.objectives.ELBO())
        >>> vae = vae.replace(objective=vae_tf.objectives.IWAE(num_samples=5))  # shares the weights
        >>> vae.objective.num_samples, vae.objective.has_kl_term
        (5, False)
    """

    use = "Give it to a VAE: `VAE(..., objective=...)`."
    has_kl_term = True
    num_classes: int | None = None
    copies = 1
    least_samples = 1

    def __init__(self, num_samples: int = 1, **kwargs):
        super().__init__(**kwargs)
        fix = f"Pass num_samples={self.least_samples} or more."
        if self.least_samples > 1:
            fix += " For one draw there are ELBO and ScoreFunction."
        self.num_samples = whole("num_samples", num_samples, self.least_samples, fix)

    def examples(self, batch: Batch) -> Batch:
        """Returns the batch as the networks see it, with `copies` rows for each example."""
        return batch

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch."""
        expected = "An Objective must define `estimate`"
        raise ConfigError(expected, type(self).__name__, "Override it.")

    def step(self, model, batch: Batch) -> tuple[Terms, list]:
        """Returns the terms of one batch, and the gradient by each trainable weight of `model`.

        It puts one tape around one loss. An objective with several phases overrides it.

        Args:
            model: a VAE.
            batch: tensors.
        """
        with tf.GradientTape() as tape:
            terms = model(batch, training=True)
            loss = model.loss_of(terms, batch.weight)
        return terms, tape.gradient(loss, model.trainable_weights)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_samples": self.num_samples}
