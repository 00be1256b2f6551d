import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vae_tf.codec.decisions import depth, joined, pop, push, told
from vae_tf.codec.stack import ONE, Stack
from vae_tf.distributions.likelihoods.alphabets import Table

ANY = st.floats(0, 1, width=32) | st.sampled_from([0.0, 1e-30, np.nan, np.inf])


@st.composite
def cases(draw):
    chains, numbers, size = (draw(st.integers(1, most)) for most in (3, 4, 9))
    table = draw(hnp.arrays("float32", (chains, numbers, size), elements=ANY))
    index = draw(hnp.arrays("int64", (chains, numbers), elements=st.integers(0, size - 1)))
    return table, index, size


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of infinities and NaN
@settings(max_examples=100, deadline=None)
@given(cases())
def test_any_index_comes_back_under_any_masses(case):
    table, index, size = case
    mass = Table(size).mass({"probabilities": table})
    stacks = [Stack() for _ in index]
    decisions = told(index, mass, size)
    assert decisions.bits.shape == (len(index), index.shape[1] * depth(size))
    push(stacks, joined([decisions, decisions]))
    for _ in range(2):
        np.testing.assert_array_equal(pop(stacks, mass, index.shape, size), index)


@pytest.mark.parametrize("size", [2, 3, 5, 8, 500])
def test_probabilities_are_the_masses(size):
    rng = np.random.default_rng(size)
    p = rng.dirichlet(np.ones(size))
    index = np.arange(size)[None]
    mass = Table(size).mass({"probabilities": np.broadcast_to(p, (1, size, size))})
    bits, k = told(index, mass, size)
    each = np.where(bits == 0, k, ONE - k) / ONE
    found = np.prod(each.reshape(-1, size), 0)  # level by level
    np.testing.assert_allclose(found, p, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.sum(), 1, atol=1e-5)


def test_fewer_stacks_than_rows():
    table = np.full((3, 1, 4), 0.25)
    mass, index = Table(4).mass({"probabilities": table}), np.array([[3], [2], [1]])
    stacks = [Stack(), Stack()]
    push(stacks, told(index, mass, 4))
    np.testing.assert_array_equal(pop(stacks, mass, (3, 1), 4), [[3], [2], [0]])
