"""Training the MLP in TensorFlow by hand, without Keras: what `fit` is measured against."""

import itertools
import time
from pathlib import Path

import tensorflow as tf

from benchmarks.speed import images
from benchmarks.speed.training_tf import EPOCH, LEARNING_RATE, MLP_HIDDEN, MLP_LATENT_DIM
from benchmarks.speed.worker import Measure

SIZE = images.SHAPE[0] * images.SHAPE[1]
ENCODER, DECODER = (SIZE, *MLP_HIDDEN), (MLP_LATENT_DIM, *MLP_HIDDEN, SIZE)
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


def loop(scratch: Path, batch_size: int) -> Measure:
    """Returns a `measure` of a loop in one graph: products in bf16, gathered batches, fused Adam.

    It checks nothing, reports nothing and serves this one network.
    """
    x = tf.constant(images.load(scratch)[: EPOCH["mlp"]].reshape(-1, SIZE))
    steps = len(x) // batch_size
    glorot = tf.keras.initializers.GlorotUniform(seed=0)

    def dense(*sizes: int) -> list[tuple[tf.Variable, tf.Variable]]:
        pairs = itertools.pairwise(sizes)
        return [(tf.Variable(glorot(pair)), tf.Variable(tf.zeros(pair[1:]))) for pair in pairs]

    encoder, decoder = dense(*ENCODER), dense(*DECODER)
    heads = [dense(ENCODER[-1], MLP_LATENT_DIM)[0] for _ in range(2)]
    variables = [v for layer in (*encoder, *decoder, *heads) for v in layer]
    moments = [(tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v))) for v in variables]
    step = tf.Variable(0.0)

    def through(layers, h, last_relu: bool):
        for i, (kernel, bias) in enumerate(layers):
            kernel, bias = tf.cast(kernel, tf.bfloat16), tf.cast(bias, tf.bfloat16)
            h = tf.nn.bias_add(tf.matmul(tf.cast(h, tf.bfloat16), kernel), bias)
            h = tf.nn.relu(h) if last_relu or i < len(layers) - 1 else h
        return tf.cast(h, tf.float32)

    def loss_of(batch):
        h = through(encoder, batch, last_relu=True)
        mean, log_var = (tf.nn.bias_add(tf.matmul(h, kernel), bias) for kernel, bias in heads)
        z = mean + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(mean))
        logits = through(decoder, z, last_relu=False)
        nll = tf.nn.sigmoid_cross_entropy_with_logits(labels=batch, logits=logits)
        kl = -0.5 * (1 + log_var - tf.square(mean) - tf.exp(log_var))
        return (tf.reduce_sum(nll) + tf.reduce_sum(kl)) / batch_size

    @tf.function
    def epoch():
        order = tf.random.shuffle(tf.range(len(x)))
        for i in tf.range(steps):
            with tf.GradientTape() as tape:
                loss = loss_of(tf.gather(x, order[i * batch_size : (i + 1) * batch_size]))
            gradients = tape.gradient(loss, variables)
            step.assign_add(1.0)
            powers = {"beta1_power": BETA_1**step, "beta2_power": BETA_2**step}
            for v, (m, s), gradient in zip(variables, moments, gradients, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    var=v.handle,
                    m=m.handle,
                    v=s.handle,
                    grad=gradient,
                    lr=LEARNING_RATE,
                    beta1=BETA_1,
                    beta2=BETA_2,
                    epsilon=EPSILON,
                    **powers,
                )

    def measure(seconds: float) -> tuple[float, float]:
        done, taken, began = 0, 0.0, time.perf_counter()
        while taken < seconds or not done:
            epoch()
            done, taken = done + steps * batch_size, time.perf_counter() - began
        return done, taken

    measure(0.0)
    return measure
