"""`encode`, `decode_text`, `generate_text` and `step`: what a model of tokens answers.

A row depends on itself alone: its uniform numbers come from its own seed, one for each step.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.data.sequences.texts import Texts
from vae_tf.data.sequences.vocabulary import END, Bytes, Words
from vae_tf.errors import ExportError
from vae_tf.signatures import row_rng, rows
from vae_tf.signatures.coding import encoded_statistics
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.endpoint import Words as Meaning
from vae_tf.signatures.halves import Halves

COLDEST = 1e-6  # of temperatures to divide by; at 0 the most probable token is taken anyway
TEXT: Meaning = ("text, up to its end; empty for a temperature below 0", "UTF-8")
WORDS: dict[str, Meaning] = {
    "x": ("numbers of tokens, see `texts`, 0 from its end on", "token"),
    "token": ("the token chosen last, 0 being the end; -1 before the first", "token"),
    "state": ("state that the last call returned; zeros before the first", "opaque"),
    "temperature": ("divides the logits; 0 takes the most probable token", "dimensionless"),
    "log_prob": ("log p of each next token, 0 being the end", "nats"),
}
WHY_NOT = {
    "litert/": "Of texts, float32 files of any batch are all there is in LiteRT.",
    "vae": "A text is put together by clients: `encode`, then `decode_text`.",
}


def endpoints(halves: Halves, texts: Texts) -> list[Endpoint]:
    """Returns the signatures of a model whose decoder takes z and x.

    Raises:
        ExportError: a vocabulary that no graph can hold, a prior without `from_noise`, or a
            condition.
    """
    parts, size, length = halves.parts, halves.latent, texts.max_length
    words, zeros = _strings(texts), tf.zeros([1, size])
    if halves.condition().keys:
        fix = "Train a model without one."
        raise ExportError("Exported texts have no condition", halves.condition().keys[0], fix)
    if parts.prior.from_noise(zeros, tf.fill([1], 0.5)) is None:
        fix = "Use a StandardNormal, a mixture or a flow."
        raise ExportError("A prior of exported texts must have from_noise", "none", fix)

    def encoded(x: tf.Tensor) -> dict[str, tf.Tensor]:
        ended = tf.cumsum(tf.cast(tf.equal(x, END), tf.float32), 1, exclusive=True)
        mask = tf.cast(ended < 0.5, tf.float32)  # 1 up to the end and at it
        return encoded_statistics(halves, Batch(x, mask))

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

    def stepped(token: tf.Tensor, state: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        # The tokens so far, and their number
        x, count = state[:, :length], state[:, length:]
        new = tf.cast(token, tf.float32)[:, tf.newaxis]
        known = new >= 0
        places = tf.range(length, dtype=tf.float32)
        x = tf.where(known & tf.equal(places, count), new, x)
        count = tf.where(known, count + 1, count)
        log_prob = log_probs(z, x, tf.cast(count[:, 0], tf.int32))
        return {"log_prob": log_prob, "state": tf.concat([x, count], 1)}

    z, seed, numbers = Input("z", "float32", (size,)), Input("seed", "int32"), texts.num_tokens - 1
    warmth = Input("temperature", "float32", words=WORDS["temperature"])
    of_tokens: dict[str, Any] = {"bounds": (0, numbers), "whole": True}
    x = Input("x", "float32", (length,), words=WORDS["x"], **of_tokens)
    state = Input("state", "float32", (length + 1,), words=WORDS["state"], **of_tokens)
    token = Input("token", "int32", words=WORDS["token"], bounds=(-1, numbers), whole=True)
    meanings = {"text": TEXT, **WORDS}

    def endpoint(name: str, inputs: tuple, outputs: set, function: Callable, **more: Any):
        half, required = more.pop("half", "decoder"), frozenset(outputs)
        # Written out, the steps take minutes one operation at a time
        more |= {"words": meanings, "stepwise": False}
        return Endpoint(name, half, inputs, required, function, **more)

    drawing: dict[str, Any] = {"litert": False, "limits": {"text": {"drawn": True}}}
    return [
        endpoint("encode", (x,), {"z_mean", "z_log_var"}, encoded, half="encoder"),
        endpoint("generate_text", (seed, warmth), {"text", "z"}, generated, **drawing),
        endpoint("decode_text", (z, seed, warmth), {"text"}, drawn, **drawing),
        endpoint("step", (token, state, z), {"log_prob", "state"}, stepped),
    ]


def unrolled(network: keras.Model) -> keras.Model:
    """Returns the network with recurrent layers written out, step by step, for LiteRT.

    One that Keras cannot remake stays as it is, and servers alone have it.
    """

    def written_out(config: Any) -> Any:
        if isinstance(config, dict):
            return {k: True if k == "unroll" else written_out(v) for k, v in config.items()}
        if isinstance(config, list | tuple):
            return type(config)(written_out(value) for value in config)
        return config

    try:
        twin = type(network).from_config(written_out(network.get_config()))
        twin.set_weights(network.get_weights())
    except Exception:  # whatever the user's layers raise
        return network
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
