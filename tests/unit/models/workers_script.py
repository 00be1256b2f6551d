"""Trains as one of two workers, or alone if no arguments are given, and prints what came of it."""

import json
import os
import sys

if len(sys.argv) > 1:
    index, ports = int(sys.argv[1]), sys.argv[2:4]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    task = {"type": "worker", "index": index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})

import contextlib

import tensorflow as tf

several = len(sys.argv) > 1
strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else None

import keras  # noqa: E402
import numpy as np  # noqa: E402

import vae_tf  # noqa: E402

rng = np.random.default_rng(0)
x = (rng.random((40, 6)) > 0.5).astype("float32")
labels, weights = np.arange(40), rng.random(40).astype("float32")

with strategy.scope() if strategy else contextlib.nullcontext():
    data = keras.Input((6,))
    mean = keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(1))(data)
    log_var = keras.layers.Dense(2, kernel_initializer="zeros", trainable=False)(data)
    z = keras.Input((2,))
    logits = keras.layers.Dense(6, kernel_initializer=keras.initializers.GlorotUniform(2))(z)
    vae = vae_tf.VAE(
        keras.Model(data, {"z_mean": mean, "z_log_var": log_var}),
        keras.Model(z, {"logits": logits}),
        beta=vae_tf.objectives.LinearWarmup(epochs=2),
    )
    vae.compile(keras.optimizers.SGD(0.05, clipnorm=0.5))

averaged_again = []
if strategy:  # by Keras, for each number of a report
    reduce = strategy.reduce

    def watched(reduce_op, value, axis=None):
        averaged_again.extend([value] if axis == 0 else [])
        return reduce(reduce_op, value, axis)

    strategy.reduce = watched

fit = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}
history = vae.fit(x, labels, sample_weight=weights, validation_data=(x,), **fit).history
found = {name: [float(v) for v in values] for name, values in history.items()}
found["weights"] = [float(np.abs(w.numpy()).sum()) for w in vae.trainable_weights]
found["evaluated"] = vae.evaluate(x, batch_size=16, verbose=0)
# The last batch is smaller, so that TensorFlow would deal out whole batches
stream = tf.data.Dataset.from_tensor_slices((x, labels, weights)).batch(16).repeat()
tested = tf.data.Dataset.from_tensor_slices(x).batch(16)
more = {"steps_per_epoch": 3, "epochs": 2, "shuffle": False, "verbose": 0}
history = vae.fit(stream, validation_data=tested, **more).history
found |= {f"{name} of a stream": [float(v) for v in values] for name, values in history.items()}
found["weights after a stream"] = [float(np.abs(w.numpy()).sum()) for w in vae.trainable_weights]
found["averaged again"] = len(averaged_again)
print("RESULTS", json.dumps(found), flush=True)
