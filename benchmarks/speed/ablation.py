"""What each part of the fast path brings: `fit` as it is against `fit` without it."""

from pathlib import Path

from benchmarks.speed import images
from benchmarks.speed.runner import Contender, Settings, race
from benchmarks.speed.worker import Measure

BATCH_SIZE = 128
CHANGES = (
    "Keras's update of Adam",
    "Keras's batches of arrays",
    "SGD, which has no moments",
    "one step per execution",
    "TFP's log-probability of bits",
    "log-odds by a float32 layer",
    "all in float32",
    "XLA",
)


def fit(scratch: Path, change: str = "") -> Measure:
    """Returns a `measure` of `vae.fit` on the MLP in bf16, changed so."""
    import keras
    import tensorflow_probability as tfp

    import vae_tf
    from benchmarks.speed import training_tf

    class SlowAdam(keras.optimizers.Adam):
        """An override is Keras's word for "leave my update alone"."""

        def update_step(self, *args):
            """Updates as Keras does."""
            return super().update_step(*args)

    class PlainBernoulli(vae_tf.likelihoods.Bernoulli):
        """As TFP computes it."""

        def distribution(self, params):
            """Returns p(x|z)."""
            bits = tfp.distributions.Bernoulli(logits=params["logits"], dtype="float32")
            return tfp.distributions.Independent(bits, 3)

    with training_tf.policy("float32" if change == "all in float32" else "bf16"):
        encoder, decoder = training_tf.mlp()
        if change == "log-odds by a float32 layer":
            h = decoder.get_layer("logits_output").input
            logits = keras.layers.Dense(28 * 28, dtype="float32")(h)
            decoder = keras.Model(decoder.input, keras.layers.Reshape(images.SHAPE)(logits))
            z = keras.Input((training_tf.MLP_LATENT_DIM,))
            decoder = keras.Model(z, {"logits": decoder(z)})
    likelihood = PlainBernoulli() if change == "TFP's log-probability of bits" else None
    vae = vae_tf.VAE(encoder, decoder, likelihood=likelihood)
    optimizer = keras.optimizers.Adam(training_tf.LEARNING_RATE)
    if change == "Keras's update of Adam":
        optimizer = SlowAdam(training_tf.LEARNING_RATE)
    if change == "SGD, which has no moments":
        optimizer = keras.optimizers.SGD(1e-6)
    steps = 1 if change == "one step per execution" else "auto"
    vae.compile(optimizer, steps_per_execution=steps, jit_compile=change == "XLA")
    if change == "Keras's batches of arrays":
        vae._gathered = lambda *arguments: None
    x = images.load(scratch)[: training_tf.EPOCH["mlp"]]
    return training_tf.measured(vae, x, len(x), {"batch_size": BATCH_SIZE})


def run(settings: Settings) -> dict:
    """Returns a race of `fit` as it is against itself, changed in one thing each."""
    images.prepare(settings.scratch)
    field = [Contender("as it is, bf16", ".ablation:fit", ours=True)]
    field += [Contender(change, ".ablation:fit", {"change": change}) for change in CHANGES]
    what = "training throughput of fit, MLP, bf16, changed in one thing"
    name = f"MLP batch {BATCH_SIZE}, one change"
    return {"races": [race(name, field, settings, unit="images/s", what=what)]}
