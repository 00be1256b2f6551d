"""The terms of the evidence lower bound: pure functions, shape [B], in nats."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd


def negative_log_likelihood(px: tfd.Distribution, x: tf.Tensor) -> tf.Tensor:
    """Returns -log p(x|z), [B]."""
    return -px.log_prob(x)


def kl_divergence(qz: tfd.Distribution, pz: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
    """Returns KL(q(z|x) || p(z)), [B], summed over latent dimensions.

    The closed form where TFP has one. Else the estimate -H(q) - log p(z) at the `z` given, which
    is drawn from q; the entropy H is exact where TFP has it, which leaves less variance.
    """
    try:
        return tfd.kl_divergence(qz, pz)
    except NotImplementedError:  # TFP's word for a pair without a closed form
        return _negative_entropy(qz, z) - pz.log_prob(z)


def _negative_entropy(qz: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
    try:
        return -qz.entropy()
    except NotImplementedError:
        return qz.log_prob(z)


def log_importance_weights(
    log_px: tf.Tensor, z: tf.Tensor, qz: tfd.Distribution, pz: tfd.Distribution
) -> tf.Tensor:
    """Returns log p(x|z) + log p(z) - log q(z|x), the log-weights of draws z ~ q, [..., B].

    Their expectation is the ELBO; the log-mean of their exponentials over K draws is the
    importance-weighted bound (Burda et al. 2016, equation 8).

    Args:
        log_px: log p(x|z), [..., B].
        z: [..., B, L].
        qz: q(z|x), batch [B].
        pz: p(z), batch [].
    """
    return log_px + pz.log_prob(z) - qz.log_prob(z)


def weighted_mean(values: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
    """Returns the mean of `values` [B], weighted by `sample_weight` [B]; 0 if all weights are 0."""
    if sample_weight is None:
        return tf.reduce_mean(values)
    total = tf.reduce_sum(sample_weight)
    return tf.math.divide_no_nan(tf.reduce_sum(values * sample_weight), total)
