"""How batches of data in memory get to training without being in its way."""

import tensorflow as tf

PREFETCHED = 4  # batches: enough to bridge an epoch's end


def beside_training(batches: tf.data.Dataset, cardinality: int) -> tf.data.Dataset:
    """Returns the batches, made by one thread, a few ahead of training.

    What is in memory takes no tuning: tf.data's own threads would be woken for each batch, to do
    what takes less time than waking them, on the cores that training needs; and a buffer whose
    length is being tuned runs dry meanwhile. Nor does tf.data rewrite the pipeline: nothing in it
    is to be fused, and rewriting copies all the data.

    Args:
        batches: as they are computed, one after the other.
        cardinality: how many there are, or `tf.data.INFINITE_CARDINALITY`.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.threading.private_threadpool_size = 1
    batches = batches.apply(tf.data.experimental.assert_cardinality(cardinality))
    return batches.prefetch(PREFETCHED).with_options(options)
