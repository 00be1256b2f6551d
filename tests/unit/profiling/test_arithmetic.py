"""Operations counted on paper."""

import numpy as np
import pytest
import tensorflow as tf

from vae_tf import VAE, networks
from vae_tf.profiling.arithmetic import flop
from vae_tf.profiling.pieces import Pieces


def graph_of(function, *arguments):
    return tf.function(function).get_concrete_function(*arguments).graph


def test_a_step_of_an_mlp():
    """Forward 2 B n m a layer; backward twice that, but no gradient to the data."""
    encoder = networks.mlp_encoder((7,), 3, hidden=(5,))
    vae = VAE(encoder, networks.mlp_decoder(3, {"logits": (7,)}, hidden=(6,)))
    vae.compile()
    layers = [(7, 5), (5, 3), (5, 3), (3, 6), (6, 7)]
    forward = sum(2 * 4 * n * m for n, m in layers)
    pieces = Pieces(vae, tf.zeros([4, 7]))
    assert pieces.flop == 3 * forward - 2 * 4 * 7 * 5


def test_convolutions():
    once = 2 * (2 * 4 * 3 * 5) * (3 * 3 * 3)  # a product for each output and place in the window
    x, kernel = tf.ones([2, 8, 6, 3]), tf.ones([3, 3, 3, 5])

    def gradients(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.nn.conv2d(x, kernel, 2, "SAME")  # [2, 4, 3, 5]
        return y, tape.gradient(y, [x, kernel])

    assert flop(graph_of(lambda a, b: tf.nn.conv2d(a, b, 2, "SAME"), x, kernel)) == once
    assert flop(graph_of(gradients, x, kernel)) == 3 * once
    depthwise = graph_of(
        lambda a: tf.nn.depthwise_conv2d(a, tf.ones([3, 3, 3, 2]), [1, 1, 1, 1], "SAME"), x
    )
    assert flop(depthwise) == 2 * (2 * 8 * 6 * 6) * (3 * 3)


@pytest.mark.parametrize("transpose", [(False, False), (True, False), (False, True)])
def test_batches_of_matmuls_inside_a_function(transpose):
    """Against the sum they are short for: 2 b n k m."""
    b, n, k, m = 2, 3, 4, 5
    left = tf.ones([b, k, n] if transpose[0] else [b, n, k])
    right = tf.ones([b, m, k] if transpose[1] else [b, k, m])
    inner = tf.function(lambda a, c: tf.matmul(a, c, *transpose))
    assert flop(graph_of(lambda a, c: inner(a, c) + 1.0, left, right)) == 2 * b * n * k * m
    assert np.shape(inner(left, right)) == (b, n, m)
