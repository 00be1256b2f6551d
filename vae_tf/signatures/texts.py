"""`decode_text`, `generate_text` and `step`: what a decoder of tokens answers.

A row depends on itself alone: its uniform numbers come from its own seed, one for each step.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.data.sequences.texts import Texts
from vae_tf.data.sequences.vocabulary import END, Bytes, Words
from vae_tf.errors import ExportError
from vae_tf.models.parts import Parts
from vae_tf.signatures import row_rng, rows
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.endpoint import Words as Meaning

COLDEST = 1e-6  # of temperatures to divide by; at 0 the most probable token is taken anyway
TEXT: Meaning = ("text, up to its end; empty for a temperature below 0", "UTF-8")
WORDS: dict[str, Meaning] = {
    "x": ("numbers of tokens so far, as in vocabulary.json, 0 after them", "token"),
    "position": ("which token is asked for, from 0", "step"),
    "temperature": ("divides the logits; 0 takes the most probable token", "dimensionless"),
    "log_prob": ("log p of each next token, 0 being the end", "nats"),
}


def endpoints(parts: Parts, texts: Texts) -> list[Endpoint]:
    """Returns the signatures of a decoder of z and x, the prior of which has `from_noise`.

    Raises:
        ExportError: a vocabulary that no graph can hold, or a prior without `from_noise`.
    """
    words, size, length = _strings(texts), parts.prior.latent_dim, texts.max_length

    def log_probs(z: tf.Tensor, x: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        logits = tf.reshape(parts.decoded(z, Batch(x))["logits"], [-1, length, texts.num_tokens])
        chosen = tf.one_hot(position, length)[..., tf.newaxis]  # LiteRT gathers no rows
        return tf.nn.log_softmax(tf.reduce_sum(logits * chosen, 1))

    def drawn(z: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> dict[str, tf.Tensor]:
        allowed = rows.within(temperature, low=0.0)
        factor = tf.maximum(tf.where(allowed, temperature, 1.0), COLDEST)[:, tf.newaxis]
        uniform, places = row_rng.uniforms(seed, length), tf.range(length)

        def one(step, x, alive):
            position = tf.fill([tf.shape(z)[0]], step)
            log_p = log_probs(z, x, position)
            below = tf.cumsum(tf.nn.softmax(log_p / factor), -1)[:, :-1]
            warm = tf.reduce_sum(tf.cast(uniform[:, step, tf.newaxis] > below, tf.float32), -1)
            greedy = tf.cast(tf.argmax(log_p, -1, output_type=tf.int32), tf.float32)
            token = tf.where(temperature > 0, warm, greedy)
            x = tf.where((places == step) & alive[:, tf.newaxis], token[:, tf.newaxis], x)
            return step + 1, x, alive & (token != END)

        alive = tf.ones([tf.shape(z)[0]], tf.bool)
        start = (0, tf.zeros([tf.shape(z)[0], length]), alive)
        shapes = tf.TensorShape([]), tf.TensorShape([None, length]), tf.TensorShape([None])
        _, x, _ = tf.while_loop(
            lambda step, x, alive: (step < length) & tf.reduce_any(alive),
            one,
            start,
            shape_invariants=shapes,
        )
        return {"text": tf.where(allowed, words(x), "")}

    def generated(seed: tf.Tensor, temperature: tf.Tensor) -> dict[str, tf.Tensor]:
        uniform = row_rng.uniforms(seed, 1)[:, 0]
        z = parts.prior.from_noise(row_rng.normals(seed, size), uniform)
        return {**drawn(z, row_rng.seeds(seed, 2)[:, 1], temperature), "z": tf.cast(z, tf.float32)}

    if parts.prior.from_noise(tf.zeros([1, size]), tf.fill([1], 0.5)) is None:
        fix = "Use a StandardNormal, a mixture or a flow."
        raise ExportError("A prior of exported texts must have from_noise", "none", fix)
    z, seed = Input("z", "float32", (size,)), Input("seed", "int32")
    warmth = Input("temperature", "float32", words=WORDS["temperature"])
    x = Input("x", "float32", (length,), words=WORDS["x"])
    position = Input("position", "int32", words=WORDS["position"])
    text = frozenset({"text"})

    def endpoint(name: str, inputs: tuple, required: frozenset, function: Callable, litert=False):
        meanings = {"text": TEXT, "log_prob": WORDS["log_prob"]}
        return Endpoint(name, "decoder", inputs, required, function, litert=litert, words=meanings)

    def stepped(z: tf.Tensor, x: tf.Tensor, position: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"log_prob": log_probs(z, x, position)}

    return [
        endpoint("generate_text", (seed, warmth), text | {"z"}, generated),
        endpoint("decode_text", (z, seed, warmth), text, drawn),
        endpoint("step", (z, x, position), frozenset({"log_prob"}), stepped, litert=True),
    ]


def unrolled(decoder: keras.Model) -> keras.Model:
    """Returns the decoder with recurrent layers written out, step by step, for LiteRT."""
    config = decoder.get_config()
    for layer in config["layers"]:
        if "unroll" in layer["config"]:
            layer["config"]["unroll"] = True
    twin = type(decoder).from_config(config)
    twin.set_weights(decoder.get_weights())
    return twin


def _strings(texts: Texts) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function of token numbers [B, T], 0 after the end, to strings [B]."""
    vocabulary = texts.vocabulary
    table: list[bytes]
    if isinstance(vocabulary, Words):
        table, between = [b"", *(word.encode() for word in vocabulary.words)], " "
    elif isinstance(vocabulary, Bytes):
        table, between = [b"", *(bytes([byte]) for byte in range(256))], ""
    else:
        fix = "Export `step` with words or bytes, and decode its tokens outside."
        raise ExportError("Exported texts are made of bytes or words", "another tokenizer", fix)
    strings = tf.constant(table)

    def joined(x: tf.Tensor) -> tf.Tensor:
        tokens = tf.gather(strings, tf.cast(x, tf.int32))
        text = tf.strings.reduce_join(tokens, 1, separator=between)
        return tf.strings.strip(text) if between else text  # what follows the end is empty

    return joined
