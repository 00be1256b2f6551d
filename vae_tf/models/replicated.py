"""What Keras calls for each batch where several replicas train together."""

from collections.abc import Callable

import keras
import tensorflow as tf

ITERATORS = (tf.data.Iterator, tf.distribute.DistributedIterator)


def several_replicas(model: keras.Model) -> bool:
    """Returns whether several replicas train a model together."""
    return model.distribute_strategy.num_replicas_in_sync > 1


def on_all_replicas(model: keras.Model, step: Callable) -> Callable:
    """Returns a function that takes a step on every replica, and returns the report of one.

    The means in a report are those of all replicas. Keras's own function would average them once
    more, which between workers takes two sums over the network for each number in it.

    Args:
        model: whose step it is, compiled.
        step: takes the data of a replica, and returns its report.
    """
    strategy = model.distribute_strategy

    def on_data(data):
        data = keras.tree.map_structure(_or_none, data)
        report = strategy.run(step, args=(data,))
        return keras.tree.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], report
        )

    if not model.run_eagerly:
        on_data = tf.function(on_data, reduce_retracing=True, jit_compile=model.jit_compile)

    def of_iterator(iterator):
        return on_data(iterator.get_next())

    if not model.run_eagerly:
        of_iterator = tf.function(of_iterator, reduce_retracing=True)

    def function(iterator):
        if isinstance(iterator, ITERATORS):
            return of_iterator(iterator)
        return on_data(next(iterator))  # of `train_on_batch`

    return function


def _or_none(value):
    """Returns a value; None where Keras has put an empty optional in its place."""
    return None if isinstance(value, tf.experimental.Optional) else value
