"""Sums and seeds across the replicas of a `tf.distribute` strategy; on one device, nothing."""

import tensorflow as tf


def count() -> int:
    """Returns how many replicas train together, 1 outside of a strategy."""
    context = _context()
    return context.num_replicas_in_sync if context else 1


def total(value):
    """Returns the sum over all replicas of a tensor, or of each in a structure of tensors.

    Its gradient reaches every replica: where each has a loss, the gradient is that of the sum of
    all losses, so a loss that is the same on all of them is divided by their number.
    """
    context = _context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value) if context else value


def mean(value: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Returns the mean of `value` over all replicas, weighted by `weight`, a scalar >= 0."""
    context = _context()
    if not context:
        return value
    everything = total(weight)
    equal = 1.0 / context.num_replicas_in_sync
    return total(value * tf.where(everything > 0, weight / tf.maximum(everything, 1e-30), equal))


def first(value: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Returns `value` of the first replica where `wanted` is true, else of the first replica."""
    context = _context()
    if not context:
        return value
    wanted = context.all_gather(tf.cast(wanted, tf.int32)[None], axis=0)
    return context.all_gather(value[None], axis=0)[tf.argmax(wanted)]


def several_workers() -> bool:
    """Returns whether the replicas are those of several processes."""
    strategy = tf.distribute.get_strategy()
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return several and strategy.extended._in_multi_worker_mode()


def own_seed(seed: tf.Tensor) -> tf.Tensor:
    """Returns a seed, int32 [2], that no other replica has."""
    context = _context()
    if not context:
        return seed
    number = context.replica_id_in_sync_group
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(number, tf.int32))


def _context():
    """Returns TensorFlow's replica context where there are several replicas, else None."""
    context = tf.distribute.get_replica_context()
    return context if context and context.num_replicas_in_sync > 1 else None
