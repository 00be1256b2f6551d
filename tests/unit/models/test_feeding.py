"""Batches out of arrays: Keras's, in another order each epoch."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf import VAE
from vae_tf.distributions import Bernoulli
from vae_tf.errors import DataError
from vae_tf.models.feeding import gathered
from vae_tf.networks import mlp_decoder, mlp_encoder

SHAPE, EXAMPLES, SIZE = (2, 2, 1), 10, 4


def numbered(dtype="float32"):
    return np.repeat(np.arange(EXAMPLES), 4).reshape(EXAMPLES, *SHAPE).astype(dtype)


def epochs(count=3, **options):
    """The numbers of the examples, batch by batch, of several epochs."""
    batches = gathered(numbered(), batch_size=SIZE, **options)
    return [[x[:, 0, 0, 0].tolist() for x in batches.as_numpy_iterator()] for _ in range(count)]


def test_each_epoch_has_every_example_once_in_an_order_of_its_own():
    orders = epochs()
    for batches in orders:
        assert [len(rows) for rows in batches] == [4, 4, 2]
        assert sorted(itertools.chain(*batches)) == list(range(EXAMPLES))
    assert len({str(batches) for batches in orders}) == len(orders)


def test_without_shuffling_the_order_is_the_arrays_own():
    for batches in epochs(shuffle=False):
        assert list(itertools.chain(*batches)) == list(range(EXAMPLES))


def test_the_global_seed_repeats_the_orders():
    keras.utils.set_random_seed(3)
    first = epochs()
    keras.utils.set_random_seed(3)
    assert epochs() == first
    keras.utils.set_random_seed(4)
    assert epochs() != first


def test_all_fields_go_with_their_examples():
    fields = {"x": numbered(), "label": np.arange(EXAMPLES) * 10, "weight": np.arange(EXAMPLES) / 2}
    for batch in gathered(fields, SIZE).as_numpy_iterator():
        np.testing.assert_array_equal(batch["label"], batch["x"][:, 0, 0, 0] * 10)
        np.testing.assert_array_equal(batch["weight"], batch["x"][:, 0, 0, 0] / 2)


def test_the_size_of_a_batch_is_known_where_all_are_of_one():
    assert gathered(numbered(), batch_size=5).element_spec.shape == (5, *SHAPE)
    assert gathered(numbered(), batch_size=SIZE).element_spec.shape.as_list() == [None, *SHAPE]


@pytest.mark.parametrize("dtype", ["float64", "float16", "float32", "uint8", "int64", "bool"])
def test_the_dtype_is_what_keras_makes_of_it(dtype):
    seen = []

    class Model(keras.Model):
        def train_step(self, data):
            seen.append(data.dtype)
            return {"loss": tf.constant(0.0)}

    model = Model()
    model.compile()
    model.fit(numbered(dtype), batch_size=SIZE, verbose=0)
    assert gathered(numbered(dtype), batch_size=SIZE).element_spec.dtype == seen[0]


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"label": list(range(EXAMPLES))}, SIZE),
        ({"label": np.zeros(EXAMPLES + 1)}, SIZE),
        ({"label": np.array(["a"] * EXAMPLES)}, SIZE),
        ({}, 0),
        ({}, 2.5),
    ],
    ids=["list", "longer", "text", "no batch", "half a row"],
)
def test_what_is_unusual_is_left_to_keras(fields, size):
    assert gathered({"x": numbered(), **fields}, size) is None


def made():
    encoder = mlp_encoder(SHAPE, 2, (8,), seed=1)
    decoder = mlp_decoder(2, Bernoulli().parameter_shapes(SHAPE), (8,), seed=2)
    vae = VAE(encoder, decoder)
    vae.compile("adam")
    return vae


@pytest.mark.slow
@pytest.mark.parametrize("y", [None, np.zeros(EXAMPLES)], ids=["x", "x and y"])
def test_fit_computes_what_it_does_with_keras_s_batches(y, monkeypatch):
    x = (numbered() > 4).astype("float32")
    weights = None if y is None else np.linspace(0, 1, EXAMPLES)
    fit = {"batch_size": SIZE, "epochs": 3, "shuffle": False, "verbose": 0}
    fit |= {"sample_weight": weights, "validation_data": (x,)}
    own = made()
    history = own.fit(x, y, **fit).history
    monkeypatch.setattr("vae_tf.models.training.gathered", lambda *args: None)
    keras_s = made()
    want = keras_s.fit(x, y, **fit).history
    assert history.keys() == want.keys()
    for name, values in want.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6, err_msg=name)
    for a, b in zip(own.weights, keras_s.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6, err_msg=a.path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"validation_split": 0.2}, {"steps_per_epoch": 2}, {"shuffle": "batch"}],
    ids=str,
)
def test_other_ways_of_keras_go_on_working(options):
    x = (numbered() > 4).astype("float32")
    history = made().fit(x, batch_size=SIZE, epochs=2, verbose=0, **options).history
    assert np.all(np.isfinite(history["loss"]))


def test_a_weight_for_all_examples_is_refused():
    x = (numbered() > 4).astype("float32")
    with pytest.raises(DataError, match="`sample_weight` must be one number an example"):
        made().fit(x, sample_weight=np.float32(2.0), verbose=0)
