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
        batch: the data and what is known of them; x is [B, *event].
        qz: q(z|x), batch [B], event [L].
        pz: p(z), batch [], or p(z|c), batch [B]; event [L].
        log_px: z [S, B, L] -> log p(x|z) [S, B].
        seed: of all else that is drawn, int32 [2]; of a replica its own.
        beta: weight of the KL term now.
        now: a schedule's value at this step.
        drawn: a number of draws S -> z ~ q(z|x), [S, B, L], those of an example by its number; None
            for draws by `seed`.
        training: whether this is a training step.
        kl_control: parts of the KL [B, P] -> the KL term [B]; None for beta times their sum.
        level: what parts `kl_control` wants: "total", "group" or "dimension".
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
        """Returns the groups of latents that the draws z [S, B, L] fall into."""
        return groups_of(self.qz, self.pz, z)

    def log_ratio(self, z: tf.Tensor) -> tf.Tensor:
        """Returns log p(z) - log q(z|x) of draws [S, B, L], [S, B]."""
        return log_ratio(self.groups(z))

    def kl_term(self, parts: tf.Tensor) -> tf.Tensor:
        """Returns what parts [B, P] of the KL add to the loss, [B]."""
        if self.kl_control is None:
            return self.beta * tf.reduce_sum(parts, -1)
        return self.kl_control(parts, self)


class Terms(NamedTuple):
    """What an objective makes of one batch, per example, in nats.

    The loss is nll + kl_term (and `extra`), and its gradient is what the estimator says it is.
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
        has_kl_term: whether the bound is a reconstruction and a KL term, which KL controls need.
        num_classes: K, of the labels that it takes; None if it takes none.
        copies: rows that `examples` makes of each example.
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
        """Returns what the networks shall see of a batch, the `copies` of an example together."""
        return batch

    def estimate(self, inference: Inference) -> Terms:
        """Returns the terms of one batch."""
        raise ConfigError("An Objective must define it", type(self).__name__, "Override it.")

    def step(self, model, batch: Batch) -> tuple[Terms, list]:
        """Returns the terms of one batch, and the gradient by each trainable weight of `model`.

        One tape around one loss. An objective of several phases overrides this.

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
