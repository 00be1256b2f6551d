"""How batches of data in memory get to training without being in its way."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from vae_tf.errors import DataError

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
    # By example among workers: what a batch holds is the same for any number of them
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.deterministic = True
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.threading.private_threadpool_size = 1
    batches = batches.apply(tf.data.experimental.assert_cardinality(cardinality))
    return batches.prefetch(PREFETCHED).with_options(options)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Raises the refusal of a reader as it was, not as the pipeline wraps it.

    Raises:
        DataError: data that are read on the way cannot be.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if refusal := re.search(r"\bDataError: (.+)", str(error)):
            raise DataError(refusal[1]) from None
        raise
