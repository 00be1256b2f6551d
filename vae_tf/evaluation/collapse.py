"""How much of x passes through z: whether a posterior has collapsed onto its prior."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.checks import instance, real, whole
from vae_tf.data.batch import Batch
from vae_tf.errors import ConfigError, DataError
from vae_tf.models import VAE
from vae_tf.objectives import Group, groups_of, kl_parts

BATCH = 256  # examples at a time
PAIRS = 2**22  # numbers held at a time when every z meets every q(z|x_j)


class MutualInformation(NamedTuple):
    """An estimate of I(x; z), in nats.

    Example:
        >>> qz = tfd.Independent(tfd.Normal([[-9.0], [9.0]], 1.0), 1)  # two examples, far apart
        >>> information = vae_tf.evaluation.mutual_information(qz)
        >>> round(information.value, 3), round(information.limit, 3)  # both are ln 2
        (0.693, 0.693)
    """

    value: float
    stderr: float  # over examples and draws
    limit: float  # log N, which no value can exceed


@dataclass(frozen=True)
class Collapse:
    """The result of `measure_collapse`: how much passes from x to z, and from z to E[x|z].

    Attributes:
        active: whether the mean of each latent varies with x, [L] bool. In a hierarchy, below the
            top: whether its KL is above the threshold, since its mean varies with the draws above
            too.
        kl: KL of each latent in nats, mean over the examples, [L]; None unless q and p of each
            group factorize.
        mutual_information: I(x; z) under q, in nats. For a conditional model it includes the
            information of z about the condition.
        sensitivity: the variance of E[x|z] as a share of the data's variance.
        kl_by_group: KL of each group of latents in nats, mean over the examples, [G]; there is one
            group unless prior and posterior have several.
        group_sizes: number of latents in each group, [G].

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> vae = vae_tf.VAE(encoder, decoder)
        >>> collapse = vae_tf.evaluation.measure_collapse(vae, np.eye(8))
        >>> collapse.active.shape, collapse.kl.shape, collapse.group_sizes
        ((2,), (2,), (2,))
    """

    active: np.ndarray
    kl: np.ndarray | None
    mutual_information: MutualInformation
    sensitivity: float
    kl_by_group: np.ndarray
    group_sizes: tuple[int, ...]

    @property
    def active_by_group(self) -> list[int]:
        """The number of active latents in each group, [G]."""
        ends = np.cumsum(self.group_sizes)
        return [int(part.sum()) for part in np.split(self.active, ends[:-1])]

    @property
    def off(self) -> list[int]:
        """Indices of the latents that are not active."""
        return [int(d) for d in np.flatnonzero(~self.active)]


def measure_collapse(
    vae: VAE, x, *, num_samples: int = 4, threshold: float = 0.01, seed: int = 0
) -> Collapse:
    """Returns signs of posterior collapse: active latents, KL, mutual information, sensitivity.

    Memory grows with the draws alone, [num_samples, N, L]. The time of the mutual information grows
    as N^2; in a hierarchy the posterior's networks run on all these pairs of examples.

    Args:
        vae: a model.
        x: at least two held-out examples, in any form that `fit` takes.
        num_samples: draws z ~ q(z|x) for each example.
        threshold: threshold of `active_units`.
        seed: seed of the draws, which belong to the examples in the order of the data.

    Raises:
        DataError: the model does not take the data, or there are fewer than two examples.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> for network in (encoder, decoder):  # q(z|x) = N(0, I), p(x|z) = 2^-8
        ...     network.set_weights([0 * weight for weight in network.get_weights()])
        >>> collapse = vae_tf.evaluation.measure_collapse(vae_tf.VAE(encoder, decoder), np.eye(8))
        >>> collapse.active.tolist(), collapse.sensitivity
        ([False, False], 0.0)
    """
    instance("vae", vae, VAE)
    num_samples = whole("num_samples", num_samples)
    images, examples, rows = _Variance(), _Variance(), []
    for given in vae.door.batches(x, BATCH, "monitored"):
        batch = Batch(given.x, given.mask, given.condition)
        params = vae.generator.encoded(batch)
        point = vae.posterior.point(params)
        observed = batch.tensors()
        images.add(vae.generator.image(point, batch), observed.mask)
        examples.add(observed.x, observed.mask)
        rows.append((params, point, observed.condition))
    if sum(len(point) for _, point, _ in rows) < 2:
        received = f"{sum(len(point) for _, point, _ in rows)} example(s)"
        raise DataError("Collapse is measured over several examples", received, "Pass 100 or more.")
    params, point, condition = keras.tree.map_structure(_joined, *rows)
    key = tf.constant([seed, 0])
    qz, z = vae.posterior.drawn(params, num_samples, vae.prior.latent_dim, key, 0)
    pz = vae.parts.p(Batch(point, condition=condition))
    groups = groups_of(qz, pz, z)
    sizes = tuple(group.z.shape[-1] for group in groups)
    active, kl = active_units(point, threshold), [_kl_of_each(group) for group in groups]
    varying = np.split(active, np.cumsum(sizes)[:-1])
    for group, own, units in zip(groups, kl, varying, strict=True):  # parts of `active`
        if group.depends and own is not None:
            units[:] = own > threshold
    return Collapse(
        active,
        None if any(own is None for own in kl) else np.concatenate(kl),
        _information(qz, z),
        images.total / examples.total if examples.total > 0 else math.nan,
        np.mean(kl_parts(groups, "group"), axis=0),
        sizes,
    )


def _kl_of_each(group: Group) -> np.ndarray | None:
    """Returns the KL of each latent of a group, [L_g]; None unless q and p factorize."""
    for d in group[:2]:
        if not isinstance(d, tfd.Independent) or d.distribution.event_shape.rank:
            return None
    return np.mean(kl_parts([group], "dimension"), axis=0)


def active_units(z_mean, threshold: float = 0.01) -> np.ndarray:
    """Returns whether Var_x(E[z_d|x]) > threshold, [L] bool (Burda et al. 2016, section 5.2).

    Args:
        z_mean: E[z|x] of N examples, [N, L].
        threshold: a variance, in the square of z's unit; that of the paper is 0.01.

    Example:
        >>> z_mean = np.array([[-1.0, 0.0], [1.0, 0.0]])  # the second latent ignores x
        >>> vae_tf.evaluation.active_units(z_mean)
        array([ True, False])
    """
    threshold = real("threshold", threshold, positive=False)
    return np.var(np.asarray(z_mean, "float64"), axis=0) > threshold


def kl_per_dimension(qz: tfd.Distribution, pz: tfd.Distribution, z=None) -> np.ndarray:
    """Returns KL(q(z_d|x) || p(z_d)) of each latent in nats, mean over the examples, [L].

    Args:
        qz: q(z|x), batch [N], a `tfd.Independent`.
        pz: p(z), a `tfd.Independent`.
        z: draws of q(z|x), [S, N, L], needed where the KL has no closed form.

    Raises:
        ConfigError: one of the distributions is no product over dimensions.

    Example:
        >>> qz = tfd.Independent(tfd.Normal([[1.0, 0.0], [-1.0, 0.0]], 1.0), 1)
        >>> pz = vae_tf.priors.StandardNormal(2).distribution()
        >>> vae_tf.evaluation.kl_per_dimension(qz, pz)
        array([0.5, 0. ], dtype=float32)
    """
    for name, distribution in (("qz", qz), ("pz", pz)):
        if not isinstance(distribution, tfd.Independent):
            fix = "Look at the whole KL, or use a posterior and a prior that factorize."
            expected = f"`{name}` must be a product over dimensions"
            raise ConfigError(expected, type(distribution).__name__, fix)
    return np.mean(kl_parts([Group(qz, pz, z)], "dimension"), axis=0)


def mutual_information(
    qz: tfd.Distribution, num_samples: int = 4, seed: int = 0
) -> MutualInformation:
    """Returns I(x; z) = E[log q(z|x) - log q(z)], q(z) = (1/N) sum_n q(z|x_n), in nats.

    It is the information of z about which of the N examples was encoded, at most log N (Hoffman and
    Johnson 2016). It is below I(x; z) of the whole population by about chi^2 / 2N, where chi^2 is
    the divergence of q(x, z) from q(x) q(z), so that N must be many times exp(I).

    Args:
        qz: q(z|x) of N examples, batch [N], event [L].
        num_samples: draws for each example.
        seed: seed of the draws.

    Example:
        >>> qz = tfd.Independent(tfd.Normal([[-9.0], [9.0], [9.0], [-9.0]], 1.0), 1)
        >>> round(vae_tf.evaluation.mutual_information(qz).value, 3)  # ln 2: z tells the sign alone
        0.693
    """
    num_samples = whole("num_samples", num_samples)
    return _information(qz, qz.sample(num_samples, seed=tf.constant([seed, 1])))


def _information(qz: tfd.Distribution, z: tf.Tensor) -> MutualInformation:
    """Returns the mutual information at the draws z [S, N, L]."""
    own, (n, size) = qz.log_prob(z), z.shape[1:]
    rows = tf.reshape(z, [-1, 1, size])
    step = max(1, PAIRS // (n * size))
    log_qz = [
        tf.reduce_logsumexp(qz.log_prob(rows[i : i + step]), -1) - math.log(n)
        for i in range(0, len(rows), step)
    ]
    gain = own - tf.reshape(tf.concat(log_qz, 0), own.shape)
    per_example = np.mean(gain.numpy().astype("float64"), 0)
    stderr = float(np.std(per_example, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return MutualInformation(float(np.mean(per_example)), stderr, math.log(n))


def sensitivity(images, x) -> float:
    """Returns the ratio of the variance of E[x|z] to that of the data, each summed over the event.

    Twice the first is the mean squared change of E[x|z] when z is replaced by another example's;
    twice the second is that of x replaced by another example. The ratio is 0 if the decoder ignores
    its latents or receives the same ones for all examples, and 1 if its images differ as much as
    the data do.

    Args:
        images: E[x|z] at each example's z, [N, *event].
        x: the examples, [N, *event].

    Returns:
        The ratio; NaN where all examples are the same.

    Example:
        >>> x = np.array([[0.0], [2.0]])
        >>> vae_tf.evaluation.sensitivity(images=x, x=x)
        1.0
        >>> vae_tf.evaluation.sensitivity(images=np.ones((2, 1)), x=x)
        0.0
    """
    changes, total = _Variance(), _Variance()
    for start in range(0, len(x), BATCH):
        changes.add(images[start : start + BATCH])
        total.add(x[start : start + BATCH])
    return changes.total / total.total if total.total > 0 else math.nan


class _Variance:
    """The variance of each number of an event, over examples that come in batches."""

    def __init__(self):
        self.count = self.mean = self.squares = np.zeros(())

    def add(self, values, mask=None) -> None:
        """Adds examples [B, *event], as far as they were observed (Chan et al. 1979)."""
        values = np.asarray(values, "float64")
        seen = np.broadcast_to(np.ones(()) if mask is None else np.asarray(mask) > 0, values.shape)
        count, total = np.sum(seen, 0), np.maximum(self.count + np.sum(seen, 0), 1)
        mean = np.sum(values, 0, where=seen > 0) / np.maximum(count, 1)
        squares = np.sum((values - mean) ** 2, 0, where=seen > 0)
        change = mean - self.mean
        self.squares = self.squares + squares + change**2 * self.count * count / total
        self.mean = self.mean + change * count / total
        self.count = self.count + count

    @property
    def total(self) -> float:
        """The sum over the event."""
        return float(np.sum(self.squares / np.maximum(self.count, 1)))


def _joined(*parts):
    return None if parts[0] is None else tf.concat(parts, 0)
