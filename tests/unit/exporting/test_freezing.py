"""Functions made constant: same numbers, no variables, nothing computed twice."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import distributions, networks
from vae_tf.signatures.freezing import frozen

L = 4
NOISE = tf.TensorSpec([None, L], tf.float32, "normal"), tf.TensorSpec([None], tf.float32, "uniform")


def encoded(encoder, pseudo_inputs):
    """A draw around what an encoder makes of images that are variables themselves."""

    def draw(normal, uniform):
        q = encoder(pseudo_inputs, training=False)
        chosen = tf.cast(uniform * 3, tf.int32)
        return tf.gather(q["z_mean"], chosen) + tf.exp(tf.gather(q["z_log_var"], chosen)) * normal

    return draw


def functions():
    dense = keras.layers.Dense(L, activation="tanh")
    dense.build((None, L))
    table = tf.constant(np.linspace(-1, 1, 1000 * L).reshape(1000, L), tf.float32)
    inner = tf.function(lambda x: 2 * dense(x))
    pseudo_inputs = tf.Variable(
        np.random.default_rng(0).uniform(size=(3, 8, 8, 1)), dtype="float32"
    )
    mixture = distributions.MixtureOfNormals(L, components=7)
    return {
        "nothing to freeze": lambda normal, uniform: normal,
        "mixture": mixture.from_noise,
        "keras layer": lambda normal, uniform: normal + dense(normal),
        "graph function within": lambda normal, uniform: inner(normal),
        "loop over variables": lambda normal, uniform: tf.while_loop(
            lambda i, x: i < 3, lambda i, x: (i + 1, dense(x)), [0, normal]
        )[1],
        "map": lambda normal, uniform: tf.map_fn(lambda row: dense(row[None])[0], normal),
        "captured constant": lambda normal, uniform: (
            normal + tf.gather(table, tf.cast(uniform * 1000, tf.int32))
        ),
        "choice by a variable": lambda normal, uniform: tf.cond(
            pseudo_inputs[0, 0, 0, 0] < 2, lambda: normal + dense(normal), lambda: dense(normal)
        ),
        "encoder": encoded(networks.conv_encoder((8, 8, 1), L), pseudo_inputs),
    }


@pytest.fixture(scope="module")
def cases():
    return functions()


def graph_of(function):
    return tf.function(function).get_concrete_function(*NOISE).graph


@pytest.mark.parametrize("name", functions())
def test_same_numbers_without_variables(cases, name):
    function = cases[name]
    constant = frozen(function, NOISE)
    assert not graph_of(constant).captures
    normal = tf.random.stateless_normal([9, L], [1, 2])
    uniform = tf.random.stateless_uniform([9], [3, 4])
    for batch in (0, 1, 9):
        have = tf.function(constant)(normal[:batch], uniform[:batch])
        want = function(normal[:batch], uniform[:batch]) if batch else np.zeros((0, L))
        np.testing.assert_allclose(have, want, rtol=1e-6, atol=1e-6)


def test_what_depends_on_variables_alone_is_not_computed_again(cases):
    kinds = {op.type for op in graph_of(frozen(cases["encoder"], NOISE)).get_operations()}
    assert "GatherV2" in kinds
    assert not kinds & {"Conv2D", "MatMul", "ReadVariableOp", "VarHandleOp"}
    kinds = {
        op.type for op in graph_of(frozen(cases["choice by a variable"], NOISE)).get_operations()
    }
    assert not kinds & {"If", "StatelessIf", "Less"}
    kinds = {op.type for op in graph_of(frozen(cases["mixture"], NOISE)).get_operations()}
    assert not kinds & {"Softmax", "Cumsum", "Exp"}


def test_later_training_does_not_reach_it():
    scale = tf.Variable(2.0)
    constant = tf.function(frozen(lambda normal, uniform: scale * normal, NOISE))
    scale.assign(5.0)
    np.testing.assert_array_equal(constant(tf.ones([1, L]), tf.zeros([1])), 2 * np.ones((1, L)))


def test_randomness_is_not_frozen():
    """It stays random, so that agreement with the prior fails, as it must."""
    constant = tf.function(frozen(lambda normal, uniform: normal + tf.random.normal([L]), NOISE))
    first, second = (constant(tf.zeros([1, L]), tf.zeros([1])).numpy() for _ in range(2))
    assert (first != second).any()
