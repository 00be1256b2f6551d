"""What every bound is made of: pure functions, per example, in nats."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf.errors import ConfigError
from vae_tf.objectives import replicas


def negative_log_likelihood(px: tfd.Distribution, x: tf.Tensor) -> tf.Tensor:
    """Returns -log p(x|z), [B]."""
    return -px.log_prob(x)


def kl_divergence(
    qz: tfd.Distribution,
    pz: tfd.Distribution,
    z: tf.Tensor | None,
    closed_form: bool | None = None,
) -> tf.Tensor:
    """Returns KL(q(z|x) || p(z)), summed over latent dimensions: [B], or as the draws `z`.

    Args:
        qz: q(z|x), batch [B].
        pz: p(z), batch [].
        z: draws of q, [..., B, L]; None where only the closed form will do.
        closed_form: True demands it. False takes log q(z) - log p(z). None takes it where TFP
            has one, else the estimate -H(q) - log p(z); the entropy H is exact where TFP has it,
            which leaves less variance.

    Raises:
        ConfigError: a closed form was demanded, and TFP knows none for this pair.
    """
    if closed_form is False:
        return qz.log_prob(z) - pz.log_prob(z)
    try:
        return tfd.kl_divergence(qz, pz)
    except NotImplementedError:  # TFP's word for a pair without a closed form
        if closed_form or z is None:
            pair = f"{type(qz).__name__} || {type(pz).__name__}"
            fix = "Drop `closed_form=True`: the KL is then estimated at the draws of z."
            raise ConfigError("A closed form of the KL must exist", pair, fix) from None
    return _negative_entropy(qz, z) - pz.log_prob(z)


def kl_parts(
    qz: tfd.Distribution,
    pz: tfd.Distribution,
    z: tf.Tensor,
    level: str = "total",
    closed_form: bool | None = None,
) -> tf.Tensor:
    """Returns the parts that KL(q(z|x) || p(z)) is a sum of, [B, P]; means over the draws.

    Args:
        qz: q(z|x), batch [B].
        pz: p(z), batch [].
        z: draws of q, [S, B, L].
        level: "total": one part. "group": one for each group of latents of a joint
            distribution. "dimension": one for each latent, both distributions factorized.
        closed_form: as for `kl_divergence`.
    """
    parts = []
    for q, p, draws in pieces(qz, pz, z, level):
        part = kl_divergence(q, p, draws, closed_form)
        if level != "dimension":
            part = part[..., None]
        parts.append(tf.reduce_mean(part, 0) if part.shape.rank == 3 else part)
    return tf.concat(parts, -1)


def pieces(qz: tfd.Distribution, pz: tfd.Distribution, z: tf.Tensor, level: str) -> list[tuple]:
    """Returns the triples (q, p, draws) that q(z|x), p(z) and z fall into at `level`."""
    if level == "dimension":
        return [(qz.distribution, pz.distribution, z)]
    # Not isinstance: tfd.Blockwise(...) is not one if a member is no CompositeTensor
    groups_q, groups_p = (getattr(d, "distributions", None) for d in (qz, pz))
    if level == "group" and groups_q and groups_p:
        sizes = [q.event_shape[0] for q in groups_q]
        return list(zip(groups_q, groups_p, tf.split(z, sizes, -1), strict=True))
    return [(qz, pz, z)]


def _negative_entropy(qz: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
    try:
        return -qz.entropy()
    except NotImplementedError:
        return qz.log_prob(z)


def log_importance_weights(
    log_px: tf.Tensor,
    z: tf.Tensor,
    qz: tfd.Distribution,
    pz: tfd.Distribution,
    beta: float | tf.Tensor = 1.0,
) -> tf.Tensor:
    """Returns log p(x|z) + beta (log p(z) - log q(z|x)), the log-weights of z ~ q, [..., B].

    At beta = 1 their expectation is the ELBO, and the log-mean of their exponentials over K
    draws is the importance-weighted bound (Burda et al. 2016, equation 8).

    Args:
        log_px: log p(x|z), [..., B].
        z: [..., B, L].
        qz: q(z|x), batch [B].
        pz: p(z), batch [].
        beta: less than 1 while it warms up.
    """
    return log_px + beta * (pz.log_prob(z) - qz.log_prob(z))


def log_mean_exp(log_weights: tf.Tensor) -> tf.Tensor:
    """Returns log (1/K) sum_k exp(log_weights_k) of [K, B], [B]."""
    draws = tf.cast(tf.shape(log_weights)[0], tf.float32)
    return tf.reduce_logsumexp(log_weights, 0) - tf.math.log(draws)


def weighted_mean(values: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
    """Returns the mean over the first axis, weighted by `sample_weight` [B]; 0 if all are 0.

    In a replica it is the mean over the batch of all replicas.

    Args:
        values: [B, ...].
        sample_weight: [B], or None for equal weights.
    """
    if sample_weight is None:
        if replicas.count() == 1:
            return tf.reduce_mean(values, 0)
        sample_weight = tf.ones(tf.shape(values)[:1])
    column = tf.reshape(sample_weight, [-1] + [1] * (values.shape.rank - 1))
    sums = tf.reduce_sum(values * column, 0), tf.reduce_sum(sample_weight)
    return tf.math.divide_no_nan(*replicas.total(sums))
