"""Arrays of every kind given to a model: finite numbers by example, or a refusal."""

import functools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import vae_tf
from tests.fuzz.fuzzing import finite, many, refused
from vae_tf import likelihoods, networks
from vae_tf.errors import NonFiniteError
from vae_tf.evaluation import log_likelihood

SHAPE = (2, 3, 1)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # what the package itself warns of


def model(likelihood):
    vae = vae_tf.VAE(
        networks.mlp_encoder(SHAPE, 2, hidden=(4,), seed=0),
        networks.mlp_decoder(2, likelihood.parameter_shapes(SHAPE), hidden=(4,), seed=1),
        likelihood=likelihood,
    )
    vae.compile(keras.optimizers.SGD(1e-4))
    return vae


@pytest.fixture(scope="module", params=["bernoulli", "gaussian"])
def vae(request):
    return model(
        likelihoods.Bernoulli() if request.param == "bernoulli" else likelihoods.Gaussian(0.5)
    )


shapes = st.one_of(
    st.integers(0, 3).map(lambda n: (n, *SHAPE)),
    st.sampled_from([SHAPE, (4, 2, 3), (4, 6), (4, 3, 2, 1), (1, 2, 3, 1, 1), (6,), ()]),
    hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
)
values = {
    "f": st.floats(width=16) | st.sampled_from([0.0, 1.0, np.nan, np.inf, -0.0]),
    "i": st.integers(-2, 3) | st.integers(-(2**7), 2**7 - 1),
    "u": st.integers(0, 255),
    "b": st.booleans(),
}


@st.composite
def arrays(draw):
    shape = draw(shapes)
    kind = draw(st.sampled_from("fffuibOUSMc"))
    if kind in values:
        width = {"f": [2, 4, 8], "i": [1, 4, 8], "u": [1, 4, 8], "b": [1]}[kind]
        dtype = np.dtype(f"{kind}{draw(st.sampled_from(width))}")
        return draw(hnp.arrays(dtype, shape, elements=values[kind]))
    if kind == "O":
        items = st.none() | st.text(max_size=3) | st.floats(0, 1) | st.lists(st.floats(0, 1))
        return draw(hnp.arrays(object, shape, elements=items))
    dtype = {"U": "U3", "S": "S3", "M": "M8[s]", "c": "c8"}[kind]
    return draw(hnp.arrays(np.dtype(dtype), shape))


def lists_too(array):
    return st.sampled_from([array, array.tolist()])


@given(data=st.data())
@many(0.06)
def test_encode_and_reconstruct(vae, data):
    x = data.draw(arrays().flatmap(lists_too))
    for ask in (vae.encode, vae.reconstruct):
        answer, error = refused(functools.partial(ask, x))
        if error is None:
            first = answer.mean() if hasattr(answer, "mean") else answer
            assert len(first) == len(x)
            assert finite(first)


@given(data=st.data())
@many(0.06)
def test_evaluate_and_log_likelihood(vae, data):
    x = data.draw(arrays())
    answer, error = refused(lambda: vae.evaluate(x, verbose=0, return_dict=True))
    if error is None:
        assert all(map(finite, answer.values())), answer
        assert np.asarray(x).shape[1:] == SHAPE
    answer, error = refused(lambda: log_likelihood(vae, x, 3))
    if error is None:
        assert finite(answer.per_example)


@given(data=st.data())
@many(0.02)
def test_fit(vae, data):
    before = vae.get_weights()
    x = data.draw(arrays())
    y = data.draw(st.none() | arrays())
    weight = data.draw(st.none() | arrays())
    _, error = refused(lambda: vae.fit(x, y, sample_weight=weight, epochs=1, verbose=0))
    try:  # steps on numbers as large as these may run away, which is told
        assert isinstance(error, NonFiniteError) or all(map(finite, vae.get_weights()))
    finally:  # so that each example begins with the same weights
        vae.set_weights(before)


@given(data=st.data())
@many(0.04)
def test_decode_and_sample(vae, data):
    answer, error = refused(lambda: vae.decode(data.draw(arrays())))
    if error is None:
        assert finite(answer.mean())
    number = data.draw(st.integers(-3, 5) | st.floats() | st.text() | st.none() | st.booleans())
    answer, error = refused(lambda: vae.sample(number, seed=0))
    if error is None:
        assert len(answer) == number
        assert finite(answer)


@given(data=st.data())
@many(0.1)
def test_array_files(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.npz"
    keys = st.sampled_from(["x", "y", "x_train", "x_test", "y_train", "labels", "Train", "z"])
    given_ = data.draw(st.dictionaries(keys, arrays(), min_size=1, max_size=4))
    np.savez(path, **given_)
    size = data.draw(st.none() | st.sampled_from([(2, 2), (1, 5)]))
    found, error = refused(lambda: vae_tf.data.load(f"array:{path}", image_size=size))
    if error is None:
        for split in (found.train, found.validation, found.test):
            x = split.array()
            assert finite(x)
            assert x.min() >= 0
            assert x.max() <= 1
