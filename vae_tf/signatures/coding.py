"""`encode(image)`, `sample(image, seed)` and `decode(z)`: one half each."""

from collections.abc import Mapping

import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.signatures import rows
from vae_tf.signatures.endpoint import Endpoint, Input, Words
from vae_tf.signatures.halves import Halves

CLASS_PROBS: Words = ("probability of each class given the image, q(y|x)", "1")
DRAWN_FROM_POSTERIOR: Words = ("draw from q(z|x)", "dimensionless")


def encode_endpoint(halves: Halves) -> Endpoint:
    """Returns `encode(image [B, *shape]) -> {z_mean [B, L], z_log_var [B, L]}`."""
    taken = halves.condition("encoder")

    def encode(image: tf.Tensor, *given: tf.Tensor) -> dict[str, tf.Tensor]:
        x = halves.preprocessing.values(image)
        outputs = encoded(halves, x, taken.value(given))
        return rows.spoilt(outputs, taken.also(halves.preprocessing.fit(x), given))

    required = frozenset({"z_mean", "z_log_var"})
    return Endpoint("encode", "encoder", (halves.image(), *taken.inputs), required, encode)


def encoded(halves: Halves, x: tf.Tensor, condition=None) -> dict[str, tf.Tensor]:
    """Returns the statistics of q(z|x), float32 [B, ...]."""
    return encoded_statistics(halves, halves.batch(x, condition))


def encoded_statistics(halves: Halves, batch: Batch) -> dict[str, tf.Tensor]:
    """Returns the statistics of q(z|x), float32 [B, ...], of a batch that may have gaps."""
    return _float32(halves.parts.posterior.statistics(halves.parts.encoded(batch)))


def classify_endpoint(halves: Halves) -> Endpoint:
    """Returns `classify(image [B, *shape]) -> {probs [B, K]}` of a model with a classifier."""
    classifier = halves.parts.classifier

    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        x = halves.preprocessing.values(image)
        probs = tf.exp(classifier.log_q(halves.batch(x)))
        return rows.spoilt({"probs": probs}, halves.preprocessing.fit(x))

    words = {"probs": CLASS_PROBS}
    inputs = (halves.image(),)
    return Endpoint("classify", "encoder", inputs, frozenset(words), classify, words=words)


def sample_endpoint(halves: Halves) -> Endpoint:
    """Returns `sample(image [B, *shape], seed [B]) -> {z [B, L]}`."""
    taken = halves.condition("encoder")

    def sample(image: tf.Tensor, seed: tf.Tensor, *given: tf.Tensor) -> dict[str, tf.Tensor]:
        x = halves.preprocessing.values(image)
        z = halves.draw(halves.encode(x, taken.value(given)), seed)
        fit = taken.also(halves.preprocessing.fit(x), given)
        return rows.spoilt({"z": tf.cast(z, tf.float32)}, fit)

    inputs = halves.image(), Input("seed", "int32"), *taken.inputs
    words = {"z": DRAWN_FROM_POSTERIOR}
    return Endpoint(
        "sample", "encoder", inputs, frozenset({"z"}), sample, litert=False, words=words
    )


def decode_endpoint(halves: Halves) -> Endpoint:
    """Returns `decode(z [B, L]) -> {image [B, *shape], ...}`."""
    taken = halves.condition("decoder")

    def decode(z: tf.Tensor, *given: tf.Tensor) -> dict[str, tf.Tensor]:
        params = halves.decode(z, taken.value(given))
        outputs = _float32(halves.parts.likelihood.statistics(params))
        return rows.spoilt(outputs, taken.also(rows.within(z), given))

    z = Input("z", "float32", (halves.latent,))
    return Endpoint("decode", "decoder", (z, *taken.inputs), frozenset({"image"}), decode)


def _float32(statistics: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the statistics as float32."""
    return {name: tf.cast(value, tf.float32) for name, value in statistics.items()}
