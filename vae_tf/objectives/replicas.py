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
    if not context:
        return value
    flat = tf.nest.flatten(value)
    return tf.nest.pack_sequence_as(value, tf.nest.flatten(_totals(*flat)))


@tf.custom_gradient
def _totals(*values):
    context = tf.distribute.get_replica_context()
    devices = context.strategy.extended.worker_devices
    if several_workers() or not all("CPU" in device for device in devices):
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, list(values))
    else:
        # TensorFlow numbers the collectives of each strategy alike, and takes those of a second
        # one in a process for those of the first.
        sums = context.merge_call(_added, args=(list(values),))
    return sums, lambda *gradients: total(list(gradients))


def _added(strategy, values):
    return [tf.add_n(strategy.experimental_local_results(value)) for value in values]


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
    number, count = context.replica_id_in_sync_group, context.num_replicas_in_sync
    own = tf.range(count) == number
    rows = tf.where(own[:, None], value[None], tf.zeros_like(value)[None])  # NaN stays in its row
    rows, wanted = total((rows, tf.cast(own & wanted, value.dtype)))
    return rows[tf.argmax(wanted)]


def before(count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the sum of `count` over the replicas before this one, and over all, int64."""
    context = _context()
    count = tf.cast(count, tf.int64)
    if not context:
        return tf.zeros([], tf.int64), count
    number, replicas = context.replica_id_in_sync_group, tf.range(context.num_replicas_in_sync)
    counts = total(tf.where(replicas == number, tf.cast(count, tf.float32), 0.0))
    counts = tf.cast(counts, tf.int64)
    return tf.reduce_sum(tf.where(replicas < number, counts, 0)), tf.reduce_sum(counts)


def examples_before(data) -> tf.Tensor:
    """Returns the number of examples that the replicas before this one have, of fields [B, ...]."""
    fields = (field for field in tf.nest.flatten(data) if field is not None)
    return before(tf.shape(next(fields))[0])[0]


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
