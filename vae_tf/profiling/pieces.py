"""The pieces of a training step, each compiled by itself."""

from collections.abc import Callable

import tensorflow as tf

from vae_tf.objectives.terms import weighted_mean
from vae_tf.profiling.arithmetic import flop


class Pieces:
    """Functions without arguments, each of which runs a piece of a step on one batch.

    Args:
        vae: a compiled and built VAE.
        batch: as the data set gives it.

    Attributes:
        calls: by name. "nothing" is what the call of a compiled function takes, "forward" is
            the whole loss, "gradients" that and its gradients.
        flop: operations of a step's matmuls and convolutions.
    """

    def __init__(self, vae, batch):
        batch = vae.door.parse(batch).tensors()
        parts = vae.parts
        seed = tf.constant([0, 0])  # so that the model's own time stands still

        def forward(batch):
            terms = vae(batch, seed=seed, training=True)
            return weighted_mean(terms.nll, batch.weight) + tf.add_n(vae.losses)

        def gradients(batch):
            with tf.GradientTape() as tape:
                loss = vae.optimizer.scale_loss(forward(batch))
            found = zip(tape.gradient(loss, weights), range(len(weights)), strict=True)
            return {str(i): gradient for gradient, i in found if gradient is not None}

        def update(gradients):
            pairs = [(gradient, weights[int(i)]) for i, gradient in gradients.items()]
            vae.optimizer.apply_gradients(pairs)

        def compiled(function: Callable, *arguments) -> Callable[[], object]:
            call = tf.function(function, jit_compile=vae.jit_compile)
            return lambda: call(*arguments)

        weights = vae.trainable_weights
        z = vae(batch, seed=seed, training=True).z
        repeated = batch.repeated(z.shape[0])
        z = tf.reshape(z, [-1, z.shape[-1]])  # all draws of all examples, as the decoder gets them
        compiled_gradients = tf.function(gradients, jit_compile=vae.jit_compile)
        found = compiled_gradients(batch)
        self.flop = flop(compiled_gradients.get_concrete_function(batch).graph)
        self.calls: dict[str, Callable[[], object]] = {
            "nothing": compiled(lambda batch: tf.constant(0.0), batch),
            "encoder": compiled(lambda batch: parts.encoded(batch, training=True), batch),
            "decoder": compiled(lambda z: parts.decoded(z, repeated, training=True), z),
            "forward": compiled(forward, batch),
            "gradients": lambda: compiled_gradients(batch),
            "optimizer": compiled(update, found),
        }
