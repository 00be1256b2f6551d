"""Many rows in bounded memory: the numbers of one go, and the process's peak."""

import gc
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf.models.chunks import InChunks, widest
from vae_tf.networks import conv_decoder

RNG = np.random.default_rng(0)


def compiled(work):
    return tf.function(work, autograph=False, reduce_retracing=True)


@pytest.fixture(scope="module")
def network():
    return conv_decoder(2, {"logits": (4, 4, 1)}, (3,), 4)


@pytest.fixture(scope="module")
def decode(network):
    return compiled(lambda z: network(tf.cast(z, tf.float32), training=False))


def in_sevens(function, *inputs):
    """The function in chunks of 7 rows like those of `inputs`."""
    row = InChunks(function).rows(*inputs)
    chunks = InChunks(function, InChunks(function).chunk_bytes // row * 7)
    assert chunks.rows(*inputs) == 7
    return chunks


@pytest.mark.parametrize("size", [1, 6, 7, 8, 14, 50])
def test_the_numbers_are_those_of_one_go(decode, size):
    z = RNG.normal(size=(size, 2))
    whole, chunked = decode(tf.constant(z)), in_sevens(decode, z)(z)
    assert chunked["logits"].shape == (size, 4, 4, 1)
    np.testing.assert_allclose(chunked["logits"], whole["logits"], rtol=1e-5, atol=1e-6)


def test_no_chunk_is_padded_and_none_has_a_graph_of_its_own():
    seen = []

    def note(rows):
        seen.append(len(rows))
        return rows

    function = compiled(lambda x: tf.ensure_shape(tf.numpy_function(note, [x], x.dtype), x.shape))
    chunks = in_sevens(function, np.zeros((1, 3)))
    chunks(np.zeros((23, 3)))
    assert seen == [7, 7, 7, 2]
    assert function.experimental_get_tracing_count() == 1


def test_nests_missing_fields_and_other_types():
    @compiled
    def work(x, others):
        some, none = others
        assert none is None
        half = tf.cast(x, tf.bfloat16)
        return {"whole": x * 2, "half": half, "more": (some["a"] > 1, some["a"] + some["b"])}

    x, a = np.arange(50, dtype="uint8")[:, None], np.arange(50) % 3
    out = in_sevens(work, x, ({"a": a, "b": a}, None))(x, ({"a": a, "b": a}, None))
    np.testing.assert_array_equal(out["whole"], x * 2)
    np.testing.assert_array_equal(tf.cast(out["half"], tf.float32), x)
    np.testing.assert_array_equal(out["more"][0], a > 1)
    np.testing.assert_array_equal(out["more"][1], a + a)


def test_gradients_are_those_of_one_go(network, decode):
    z = tf.constant(RNG.normal(size=(50, 2)), tf.float32)
    weight = tf.constant(RNG.normal(size=(50, 4, 4, 1)), tf.float32)
    found = []
    for function in (decode, in_sevens(decode, z)):
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = tf.reduce_sum(function(z)["logits"] * weight)
        found.append(tape.gradient(loss, [z, *network.trainable_variables]))
    assert len(found[0]) > 3
    for one_go, in_chunks in zip(*found, strict=True):
        np.testing.assert_allclose(in_chunks, one_go, rtol=1e-4, atol=1e-4)


def test_gradients_of_a_table_and_of_arrays_of_data():
    table = keras.layers.Embedding(5, 2)
    table.build()
    function = compiled(lambda label: (table(label), label))
    label = np.arange(30) % 5
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(in_sevens(function, label)(label)[0])
    gradient = tape.gradient(loss, table.trainable_variables)[0]
    np.testing.assert_allclose(gradient, np.full((5, 2), 6.0))


def test_the_widest_tensor_is_found_in_functions_that_are_called(decode):
    outer = compiled(lambda z: tf.reduce_sum(decode(z)["logits"], [1, 2, 3]))
    graph = outer.get_concrete_function(tf.TensorSpec([None, 2])).graph
    assert graph.outputs[0].shape.rank == 1
    assert widest(graph) >= 4 * 4 * 3
    assert widest(compiled(lambda x: x).get_concrete_function(tf.TensorSpec([None])).graph) == 1


def memory(name):
    """A line of /proc/self/status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_peak_memory_is_that_of_the_outputs():
    """Of 12,000 images; in one go their widest activation would take 780 MB."""
    decoder = conv_decoder(2, {"logits": (32, 32, 1)}, (16, 8), 8)
    decode = InChunks(compiled(lambda z: decoder(z, training=False)), 1 << 21)
    z = np.ones((12_000, 2), "float32")
    decode(z[:200])
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now on
    before = memory("VmRSS")
    images = decode(z)["logits"]
    outputs = images.shape.num_elements() * 4 / 2**20
    assert outputs > 40
    assert memory("VmHWM") - before < outputs + 16  # of the allocator
    del images
    gc.collect()
    assert memory("VmRSS") - before < 16
