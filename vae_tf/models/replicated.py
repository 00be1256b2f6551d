"""What Keras calls for each batch where several replicas train together."""

from collections.abc import Callable

import keras
import tensorflow as tf

TRACED = {"autograph": False, "reduce_retracing": True}
ITERATORS = (tf.data.Iterator, tf.distribute.DistributedIterator)


def several_replicas(model: keras.Model) -> bool:
    """Returns whether several replicas train a model together."""
    return model.distribute_strategy.num_replicas_in_sync > 1


def on_all_replicas(model: keras.Model, step: Callable, alike: bool) -> Callable:
    """Returns a function that takes a step on every replica, and returns what they report.

    Keras's own function averages all reports, which between workers takes two sums over the
    network for each number in them.

    Args:
        model: whose step it is, compiled.
        step: takes the data of a replica, and returns its report.
        alike: whether all replicas report the same, so that one is heard; else their mean is taken.
    """
    strategy = model.distribute_strategy

    def of_one(value):
        return strategy.experimental_local_results(value)[0]

    def mean(value):
        return strategy.reduce("MEAN", value, axis=None)

    def on_data(data):
        data = keras.tree.map_structure(_or_none, data)
        report = strategy.run(step, args=(data,))
        return keras.tree.map_structure(of_one if alike else mean, report)

    if not model.run_eagerly:
        on_data = tf.function(on_data, jit_compile=model.jit_compile, **TRACED)

    def of_iterator(iterator):
        return on_data(iterator.get_next())

    if not model.run_eagerly:
        of_iterator = tf.function(of_iterator, **TRACED)

    def function(iterator):
        if isinstance(iterator, ITERATORS):
            return of_iterator(iterator)
        return on_data(next(iterator))  # of `train_on_batch`

    return function


def _or_none(value):
    """Returns a value; None where Keras has put an empty optional in its place."""
    return None if isinstance(value, tf.experimental.Optional) else value
