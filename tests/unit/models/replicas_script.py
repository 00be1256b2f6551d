"""Trains on one device and on two replicas, and prints what came of both, as JSON.

A process of its own, for logical devices must be made before TensorFlow starts.
"""

import contextlib
import json

import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras  # noqa: E402
import numpy as np  # noqa: E402

import vae_tf  # noqa: E402

SHAPE = (3, 2, 1)
rng = np.random.default_rng(0)
X = (rng.random((37, *SHAPE)) > 0.5).astype("float32")
WEIGHTS = rng.random(37).astype("float32") ** 4
layers, optimizers, objectives = keras.layers, keras.optimizers, vae_tf.objectives
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


class Numbered(vae_tf.VAE):
    """A model of the user's own that reports what differs between replicas."""

    def train_step(self, data):
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return {**super().train_step(data), "number": tf.cast(number, "float32")}


def model(
    scope,
    optimizer,
    regularized=False,
    log_var=-20.0,
    posterior=None,
    kind=vae_tf.VAE,
    **options,
):
    """A VAE whose draws are its means unless `log_var` says otherwise."""
    with scope:
        regularizer = keras.regularizers.L2(0.3) if regularized else None
        dense = {"kernel_regularizer": regularizer, "activity_regularizer": regularizer}
        x = keras.Input(SHAPE)
        h = layers.Flatten()(x)
        start = keras.initializers.GlorotUniform
        mean = layers.Dense(2, kernel_initializer=start(1), **dense)(h)
        fixed = {"bias_initializer": keras.initializers.Constant(log_var), "trainable": False}
        log_vars = layers.Dense(2, kernel_initializer="zeros", **fixed)(h)
        heads = {"z_mean": mean, "z_log_var": log_vars}
        if posterior is not None:
            options["posterior"] = posterior()
            heads["context"] = layers.Dense(3, kernel_initializer=start(3))(h)
        encoder = keras.Model(x, heads)
        z = keras.Input((2,))
        logits = layers.Dense(6, kernel_initializer=start(2), **dense)(z)
        decoder = keras.Model(z, {"logits": layers.Reshape(SHAPE)(logits)})
        vae = kind(encoder, decoder, **options)
        vae.compile(optimizer())
    return vae


def flow():
    return vae_tf.posteriors.InverseAutoregressive(2, context_dim=3)


def trained(scope, optimizer, batch_size, weights=None, epochs=2, **options):
    vae = model(scope, optimizer, **options)
    given = {"sample_weight": weights, "shuffle": False, "epochs": epochs, "verbose": 0}
    history = vae.fit(X, batch_size=batch_size, **given).history
    tested = vae.evaluate(X, batch_size=batch_size, sample_weight=weights, verbose=0)
    return vae, [w.numpy().ravel() for w in vae.trainable_weights], history, tested


def both(optimizer, batch_size, **options):
    """The largest difference between one device and two replicas, in weights and in reports."""
    (_, a, ha, ta), (_, b, hb, tb) = (
        trained(scope, optimizer, batch_size, **options)
        for scope in (contextlib.nullcontext(), strategy.scope())
    )
    start = model(contextlib.nullcontext(), optimizer, posterior=options.get("posterior"))
    pairs = zip(start.trainable_weights, a, strict=True)
    distance = max(np.abs(w.numpy().ravel() - old).max() for w, old in pairs)
    return {
        "weights": float(max(np.abs(x - y).max() for x, y in zip(a, b, strict=True))),
        "moved": float(distance),
        "reports": float(max(np.abs(np.subtract(ha[name], hb[name])).max() for name in ha)),
        "tested": float(np.abs(np.subtract(ta, tb)).max()),
        "names": sorted(ha) == sorted(hb),
    }


def sgd(**options):
    return lambda: optimizers.SGD(0.02, **options)


CASES = {
    "sgd": (sgd(), 16, {}),
    "clipnorm": (sgd(clipnorm=0.05), 16, {}),
    "global_clipnorm": (sgd(global_clipnorm=0.1), 16, {}),
    "clipvalue": (sgd(clipvalue=0.02), 16, {}),
    "adam": (lambda: optimizers.Adam(0.02), 16, {}),
    "decayed": (lambda: optimizers.AdamW(0.02, weight_decay=0.1), 16, {}),
    # 37 = 2 * 18 + 1: a last batch that leaves the second replica nothing
    "an empty replica": (sgd(), 18, {}),
    "weights": (sgd(), 16, {"weights": WEIGHTS}),
    "no weight at all": (sgd(), 16, {"weights": 0 * WEIGHTS, "regularized": True}),
    "regularizers": (sgd(), 18, {"weights": WEIGHTS, "regularized": True}),
    "free bits": (sgd(), 16, {"kl_control": objectives.FreeBits(0.2)}),
    "capacity": (sgd(), 16, {"kl_control": objectives.Capacity(3.0, gamma=0.1)}),
    "schedule": (sgd(), 16, {"beta": objectives.LinearWarmup(epochs=2)}),
    # Draws belong to the examples, whichever replica they come to
    "draws": (sgd(), 16, {"log_var": 0.0}),
    "draws, an empty replica": (sgd(), 18, {"log_var": 0.0}),
    "several draws": (sgd(), 16, {"log_var": 0.0, "objective": objectives.IWAE(3)}),
    "draws of a flow": (sgd(), 16, {"log_var": 0.0, "posterior": flow}),
}


def refusal(data, **fit):
    try:
        model(strategy.scope(), sgd()).fit(data, shuffle=False, verbose=0, **fit)
    except vae_tf.errors.VAEError as error:
        return str(error)
    return "nothing"


def stream(bad_row):
    data = X[:32].copy()
    data[bad_row] = np.nan
    yield from np.split(data, 2)


def others():
    # The same examples on both replicas: what differs is noise of scale exp(-10)
    vae = model(strategy.scope(), sgd())
    z = strategy.run(lambda: vae.prior and vae(tf.constant(X[:4]), training=True).z)
    z = [part.numpy() for part in strategy.experimental_local_results(z)]
    yield "noise", float(np.abs(z[0] - z[1]).max() * np.exp(10))
    read = []

    def once():
        for batch in np.split(X[:32], 4):
            read.append(len(batch))
            yield batch

    generator = once()
    data = tf.data.Dataset.from_generator(
        lambda: generator, output_signature=tf.TensorSpec([None, *SHAPE])
    )
    vae.fit(data, shuffle=False, verbose=0)
    yield "steps on a stream", int(tf.convert_to_tensor(vae.optimizer.iterations))
    yield "steps of the clock", int(tf.convert_to_tensor(vae.clock.steps))
    for row in (1, 31):  # of the first replica, and of the second
        data = tf.data.Dataset.from_generator(
            lambda row=row: stream(row), output_signature=tf.TensorSpec([None, *SHAPE])
        )
        yield f"refusal of row {row}", refusal(data)
    yield "predicted", vae.predict(X, batch_size=18, verbose=0).shape == X.shape
    with strategy.scope():
        baseline = objectives.RunningMean()
    signal = tf.range(3.0)[:, None] * tf.ones([1, 4])

    def learn():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        baseline.learn(None, signal + 10 * tf.cast(number, tf.float32), training=True)
        return baseline.value(None, signal)

    values = strategy.experimental_local_results(strategy.run(learn))
    yield "baseline", [float(value) for value in values]
    half = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    trained_half = model(strategy.scope(), sgd())
    keras.config.set_dtype_policy(half)
    yield "float16", trained_half.fit(X, batch_size=16, verbose=0).history["loss"][0]
    vae = model(strategy.scope(), lambda: optimizers.Adam(0.02))
    with counted(tf.raw_ops, "ResourceApplyAdam") as calls:
        on_batch = vae.train_on_batch(X[:16])
    yield "variables and updates by kernel", (len(vae.trainable_weights), len(calls))
    tested = vae.test_on_batch(X[:16])
    yield "losses on a batch", (float(on_batch[0]), float(tested[0]))
    numbered = model(strategy.scope(), sgd(), kind=Numbered)
    yield "mean of own reports", numbered.fit(X, batch_size=16, verbose=0).history["number"][0]
    vae.compile(vae.optimizer, run_eagerly=True)
    yield "loss of one eager epoch", vae.fit(X, batch_size=37, verbose=0).history["loss"][0]


@contextlib.contextmanager
def counted(module, name):
    """Yields a list that grows with each call of a function."""
    calls, function = [], getattr(module, name)
    setattr(module, name, lambda **given: calls.append(name) or function(**given))
    try:
        yield calls
    finally:
        setattr(module, name, function)


if __name__ == "__main__":
    results = {name: both(f, b, **options) for name, (f, b, options) in CASES.items()}
    results["others"] = dict(others())
    print("RESULTS", json.dumps(results))
