"""Training in Keras: `vae_tf`, and keras.io's recipe of a VAE after its description."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

import vae_tf
from benchmarks.speed import images
from benchmarks.speed.worker import Measure

LEARNING_RATE = 1e-3
POLICIES = {"float32": "float32", "bf16": "mixed_bfloat16"}
MLP_LATENT_DIM, MLP_HIDDEN = 32, (500, 500)
LATENTS = (8, 40)  # of the ladder, the top first
CONV_LATENT_DIM, CONV_FILTERS, CONV_HIDDEN = 2, (32, 64), 16
# Images of an epoch here: so few that a round has several, divided by all batch sizes
EPOCH = {"mlp": 20_480, "conv": 5_120, "ladder": 20_480}


@contextlib.contextmanager
def policy(precision: str) -> Iterator[None]:
    """Has layers made within it compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def mlp(shape=images.SHAPE, latent_dim=MLP_LATENT_DIM) -> tuple[keras.Model, keras.Model]:
    """Returns encoder and decoder of 784-500-500-32."""
    outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes(shape)
    encoder = vae_tf.networks.mlp_encoder(shape, latent_dim, MLP_HIDDEN, activation="relu")
    decoder = vae_tf.networks.mlp_decoder(latent_dim, outputs, MLP_HIDDEN, activation="relu")
    return encoder, decoder


def conv(shape=images.SHAPE, latent_dim=CONV_LATENT_DIM) -> tuple[keras.Model, keras.Model]:
    """Returns encoder and decoder with the layers of keras.io's example; sides divide by 4."""
    layers = keras.layers
    relu = {"strides": 2, "padding": "same", "activation": "relu"}
    x = h = keras.Input(shape)
    for filters in CONV_FILTERS:
        h = layers.Conv2D(filters, 3, **relu)(h)
    start = tuple(h.shape[1:])
    h = layers.Dense(CONV_HIDDEN, activation="relu")(layers.Flatten()(h))
    heads = {n: layers.Dense(latent_dim, dtype="float32")(h) for n in ("z_mean", "z_log_var")}
    z = keras.Input((latent_dim,))
    h = layers.Dense(start[0] * start[1] * start[2], activation="relu")(z)
    h = layers.Reshape(start)(h)
    for filters in reversed(CONV_FILTERS):
        h = layers.Conv2DTranspose(filters, 3, **relu)(h)
    logits = layers.Conv2DTranspose(shape[-1], 3, padding="same")(h)
    logits = layers.Activation("linear", dtype="float32")(logits)
    return keras.Model(x, heads), keras.Model(z, {"logits": logits})


NETWORKS = {"mlp": mlp, "conv": conv}


def ladder(
    shape=images.SHAPE, latents=LATENTS, hidden=MLP_HIDDEN
) -> vae_tf.networks.LadderNetworks:
    """Returns the networks of two groups of latents."""
    outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes(shape)
    return vae_tf.networks.mlp_ladder(shape, latents, outputs, hidden)


def build(network: str, precision: str = "float32", **sizes) -> vae_tf.VAE:
    """Returns a VAE of these networks, compiled as a user compiles it."""
    with policy(precision):
        made = ladder(**sizes) if network == "ladder" else NETWORKS[network](**sizes)
    if network == "ladder":
        top = vae_tf.priors.StandardNormal(LATENTS[0])
        vae = vae_tf.VAE(
            made.encoder,
            made.decoder,
            prior=vae_tf.priors.Hierarchy(top, made.prior),
            posterior=vae_tf.posteriors.Ladder(made.posterior),
        )
    else:
        vae = vae_tf.VAE(*made)
    vae.compile(keras.optimizers.Adam(LEARNING_RATE))
    return vae


class Stopwatch(keras.callbacks.Callback):
    """Ends a training with the first epoch that is over after so many seconds.

    It looks at epochs alone: one that listens to batches would take `fit` back to Python after
    each. The clock starts with the first epoch: what `fit` does before is done once, be the
    training as long as it may.
    """

    def __init__(self, seconds: float):
        super().__init__()
        self.limit, self.epochs, self.seconds = seconds, 0, 0.0
        self.began: float | None = None

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        if self.began is None:
            self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Stops the clock, and the training when the time is up."""
        self.epochs, self.seconds = self.epochs + 1, time.perf_counter() - self.began
        if self.seconds >= self.limit:
            self.model.stop_training = True


def measured(model: keras.Model, data, num_examples: int, arguments: dict) -> Measure:
    """Returns a `measure` of `model.fit(data, **arguments)`, warmed up for an epoch."""

    def measure(seconds: float) -> tuple[float, float]:
        watch = Stopwatch(seconds)
        model.fit(data, epochs=10**6, verbose=0, callbacks=[watch], **arguments)
        return watch.epochs * num_examples, watch.seconds

    measure(0.0)
    return measure


def fit(scratch: Path, network: str, batch_size: int, precision: str) -> Measure:
    """Returns a `measure` of `vae.fit(x, batch_size=...)`, x in memory, nothing else set."""
    x = images.load(scratch)[: EPOCH[network]]
    vae = build(network, precision)
    return measured(vae, x, len(x), {"batch_size": batch_size})


def training_batches(scratch: Path, network: str, batch_size: int, precision: str) -> Measure:
    """Returns a `measure` of what `train.py` does: a new binarization in every epoch."""
    name = f"array:{scratch / 'images.npy'}"
    split = vae_tf.data.load(name, binarization="dynamic").train
    split = dataclasses.replace(split, rows=split.rows[: EPOCH[network]])
    vae = build(network, precision)
    arguments = {"steps_per_epoch": split.steps_per_epoch(batch_size), "shuffle": False}
    batches = split.training_batches(batch_size, seed=0)
    return measured(vae, batches, split.num_examples, arguments)


class Sampling(keras.layers.Layer):
    """z = z_mean + exp(z_log_var / 2) * noise."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, inputs):
        """Returns a draw for each row."""
        mean, log_var = inputs
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seed_generator)
        return mean + keras.ops.exp(0.5 * log_var) * noise


class PlainVAE(keras.Model):
    """keras.io's recipe: a train_step with a GradientTape and three running means."""

    def __init__(self, encoder: keras.Model, decoder: keras.Model):
        super().__init__(dtype="float32")
        self.encoder, self.decoder, self.sampling = encoder, decoder, Sampling(dtype="float32")
        self.trackers = {n: keras.metrics.Mean(n) for n in ("loss", "reconstruction_loss", "kl")}

    @property
    def metrics(self):
        """The running means."""
        return list(self.trackers.values())

    def train_step(self, x):
        """Returns the means after one step."""
        with tf.GradientTape() as tape:
            params = self.encoder(x)
            mean, log_var = params["z_mean"], params["z_log_var"]
            image = keras.ops.sigmoid(self.decoder(self.sampling((mean, log_var)))["logits"])
            nll = keras.losses.binary_crossentropy(x, image)
            nll = keras.ops.mean(keras.ops.sum(nll, axis=(1, 2)))
            kl = -0.5 * (1 + log_var - keras.ops.square(mean) - keras.ops.exp(log_var))
            kl = keras.ops.mean(keras.ops.sum(kl, axis=1))
            loss = nll + kl
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for tracker, value in zip(self.trackers.values(), (loss, nll, kl), strict=True):
            tracker.update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}


def keras_fit(scratch: Path, network: str, batch_size: int, precision: str) -> Measure:
    """Returns a `measure` of plain Keras."""
    x = images.load(scratch)[: EPOCH[network]]
    with policy(precision):
        encoder, decoder = NETWORKS[network]()
    vae = PlainVAE(encoder, decoder)
    vae.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE))
    return measured(vae, x, len(x), {"batch_size": batch_size})
