"""What every bound is made of: pure functions, per example, in nats."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.distributions.hierarchical import Hierarchical, groups_in
from vae_tf.errors import ConfigError
from vae_tf.objectives import replicas


def kl_divergence(
    qz: tfd.Distribution,
    pz: tfd.Distribution,
    z: tf.Tensor | None,
    closed_form: bool | None = None,
    apart: bool = True,
) -> tf.Tensor:
    """Returns KL(q(z|x) || p(z)) in nats, summed over latents: [B], or shaped as the draws `z`.

    Args:
        qz: q(z|x), batch [B].
        pz: p(z), batch [].
        z: draws of q, [..., B, L]; None where only the closed form will do.
        closed_form: True demands it. False takes the estimate log q(z) - log p(z). None takes the
            closed form where TFP knows one, and else the estimate -H(q) - log p(z), which has less
            variance where TFP knows the entropy H exactly.
        apart: whether p(z) is independent of draws that depend on `z`; otherwise there is no closed
            form.

    Raises:
        ConfigError: `closed_form=True`, and TFP knows no closed form for this pair.

    Example:
        >>> qz = tfd.Independent(tfd.Normal([[1.0, 0.0]], 1.0), 1)  # one example, two latents
        >>> pz = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
        >>> vae_tf.objectives.kl_divergence(qz, pz, z=None).numpy()  # (1^2 + 0^2) / 2
        array([0.5], dtype=float32)
    """
    if closed_form is False:
        return qz.log_prob(z) - pz.log_prob(z)
    try:
        if not apart:
            raise NotImplementedError
        return tfd.kl_divergence(qz, pz)
    except NotImplementedError:  # TFP's word for a pair without a closed form
        if closed_form or z is None:
            pair = f"{type(qz).__name__} || {type(pz).__name__}"
            fix = "Drop `closed_form=True`: the KL is then estimated at the draws of z."
            raise ConfigError("A closed form of the KL must exist", pair, fix) from None
    return _negative_entropy(qz, z) - pz.log_prob(z)


class Group(NamedTuple):
    """Latents that have a distribution of their own, given the draws of the groups above them.

    Example:
        >>> normal = tfd.Independent(tfd.Normal([[1.0, 0.0]], 1.0), 1)
        >>> prior = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
        >>> group = vae_tf.objectives.Group(q=normal, p=prior, z=normal.sample(5, seed=[0, 0]))
        >>> vae_tf.objectives.kl_parts([group], "group").numpy()
        array([[0.5]], dtype=float32)
    """

    q: tfd.Distribution  # q(z_g|x, ...), batch [B], or [S, B] where it depends on draws
    p: tfd.Distribution  # p(z_g|...), batch [], [B] or [S, B]
    z: tf.Tensor  # draws of q, [S, B, L_g]
    apart: bool = True  # whether no draw that p depends on was made from z_g

    @property
    def depends(self) -> bool:
        """Whether q or p depends on draws of other groups."""
        return max(self.q.batch_shape.rank, self.p.batch_shape.rank) > 1


def groups_of(qz: tfd.Distribution, pz: tfd.Distribution, z: tf.Tensor) -> list[Group]:
    """Returns the groups that q(z|x), p(z) and the draws z [S, B, L] fall into.

    There is one group unless both distributions have several.

    Example:
        >>> qz = tfd.Independent(tfd.Normal([[1.0, 0.0]], 1.0), 1)  # one example, two latents
        >>> pz = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
        >>> groups = vae_tf.objectives.groups_of(qz, pz, qz.sample(5, seed=[0, 0]))
        >>> [group.z.shape.as_list() for group in groups]
        [[5, 1, 2]]
    """
    groups_q = groups_in(qz, z)
    groups_p = groups_q and groups_in(pz, z, along=qz)
    if not (groups_q and groups_p):
        return [Group(qz, pz, z)]
    sizes = [q.event_shape[0] for q in groups_q]
    draws = qz.parts(z) if isinstance(qz, Hierarchical) else tf.split(z, sizes, -1)
    upwards = getattr(qz, "upwards", False) and isinstance(pz, Hierarchical)
    return [
        Group(q, p, draw, apart=g == 0 or not upwards)
        for g, (q, p, draw) in enumerate(zip(groups_q, groups_p, draws, strict=True))
    ]


def pieces(group: Group, level: str) -> Group:
    """Returns a group's distributions over vectors, or at level "dimension" over each latent."""
    if level != "dimension":
        return group
    return group._replace(q=group.q.distribution, p=group.p.distribution)


def kl_parts(
    latents: Sequence[Group], level: str = "total", closed_form: bool | None = None
) -> tf.Tensor:
    """Returns the parts whose sum is KL(q(z|x) || p(z)), [B, P], in nats; means over the draws.

    Args:
        latents: the groups.
        level: "total" for one part; "group" for one of each group; "dimension" for one of each
            latent, which needs factorized distributions.
        closed_form: as for `kl_divergence`.

    Example:
        >>> qz = tfd.Independent(tfd.Normal([[1.0, 0.0]], 1.0), 1)  # one example, two latents
        >>> pz = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
        >>> groups = vae_tf.objectives.groups_of(qz, pz, qz.sample(5, seed=[0, 0]))
        >>> vae_tf.objectives.kl_parts(groups, "dimension").numpy()
        array([[0.5, 0. ]], dtype=float32)
    """
    parts = []
    for group in latents:
        q, p, draws, apart = pieces(group, level)
        part = kl_divergence(q, p, draws, closed_form, apart)
        if level != "dimension":
            part = part[..., None]
        parts.append(tf.reduce_mean(part, 0) if part.shape.rank == 3 else part)
    parts = tf.concat(parts, -1)
    return tf.reduce_sum(parts, -1, keepdims=True) if level == "total" else parts


def _negative_entropy(qz: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
    try:
        return -qz.entropy()
    except NotImplementedError:
        return qz.log_prob(z)


def log_ratio(latents: Sequence[Group]) -> tf.Tensor:
    """Returns log p(z) - log q(z|x) of draws of all groups, [S, B], in nats.

    Added to log p(x|z) it is the logarithm of an importance weight w = p(x, z) / q(z|x). The
    mean of log w is the ELBO, and the log-mean of w over K draws the importance-weighted bound
    (Burda et al. 2016, equation 8).

    Example:
        >>> qz = tfd.Independent(tfd.Normal([[1.0, 0.0]], 1.0), 1)  # one example, two latents
        >>> pz = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
        >>> groups = vae_tf.objectives.groups_of(qz, pz, z=tf.zeros([1, 1, 2]))
        >>> vae_tf.objectives.log_ratio(groups).numpy()  # 0^2 / -2 - (0 - 1)^2 / -2
        array([[0.5]], dtype=float32)
    """
    return tf.add_n([group.p.log_prob(group.z) - group.q.log_prob(group.z) for group in latents])


def log_mean_exp(log_weights: tf.Tensor) -> tf.Tensor:
    """Returns log (1/K) sum_k exp(log_weights_k), [B], for log-weights [K, B].

    Example:
        >>> log_weights = tf.math.log([[1.0], [3.0]])  # two draws, one example
        >>> vae_tf.objectives.log_mean_exp(log_weights).numpy().round(3)  # ln 2
        array([0.693], dtype=float32)
    """
    draws = tf.cast(tf.shape(log_weights)[0], tf.float32)
    return tf.reduce_logsumexp(log_weights, 0) - tf.math.log(draws)


def weighted_mean(values: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
    """Returns the mean over the first axis, weighted by `sample_weight` [B]; 0 if all are 0.

    In a replica it is the mean over the batch of all replicas.

    Args:
        values: [B, ...].
        sample_weight: [B], or None for equal weights.

    Example:
        >>> values, sample_weight = tf.constant([1.0, 5.0]), tf.constant([3.0, 1.0])
        >>> float(vae_tf.objectives.weighted_mean(values, sample_weight))  # (3 * 1 + 1 * 5) / 4
        2.0
    """
    if sample_weight is None and replicas.count() == 1:
        return tf.reduce_mean(values, 0)
    return tf.math.divide_no_nan(*replicas.total(_sums(values, sample_weight)))


def replica_mean(values: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
    """Returns a replica's part in `weighted_mean`, which is the mean of these over all replicas.

    A loss needs no more, since gradients are added too, and the values need not be sent round.
    """
    if sample_weight is None and replicas.count() == 1:
        return tf.reduce_mean(values, 0)
    own, weight = _sums(values, sample_weight)
    return tf.math.divide_no_nan(replicas.count() * own, replicas.total(weight))


def _sums(values: tf.Tensor, sample_weight: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weighted sum over the first axis, and that of the weights."""
    if sample_weight is None:
        sample_weight = tf.ones(tf.shape(values)[:1])
    column = tf.reshape(sample_weight, [-1] + [1] * (values.shape.rank - 1))
    return tf.reduce_sum(values * column, 0), tf.reduce_sum(sample_weight)
