import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.codec.stack import ONE, PRECISION, SEED_WORDS, Stack, coder, from_bytes, to_bytes
from vae_tf.errors import CodecError

K = st.one_of(st.integers(1, ONE - 1), st.sampled_from([1, 2, ONE // 2, ONE - 2, ONE - 1]))
DECISIONS = st.lists(st.tuples(st.integers(0, 1), K), max_size=200)


def arrays(decisions):
    bits, k = zip(*decisions, strict=True) if decisions else ((), ())
    return np.array(bits, "int64"), np.array(k, "int64")


@settings(max_examples=100, deadline=None)
@given(st.lists(DECISIONS, max_size=4))
def test_what_was_pushed_is_popped(groups):
    stack = Stack()
    before = stack.bits()
    for group in groups:
        stack.push(*arrays(group))
    for group in reversed(groups):
        bits, k = arrays(group)
        np.testing.assert_array_equal(stack.pop(k), bits)
    assert stack.bits() == before


@settings(max_examples=100, deadline=None)
@given(st.lists(DECISIONS, max_size=4), st.integers(0, 2))
def test_what_was_popped_can_be_pushed_back(groups, words):
    """Also where the stack runs out of bits: of two words, one or none."""
    start = np.array([7, 9][:words], "uint32")
    stack, seen = Stack(start), []
    for group in groups:
        _, k = arrays(group)
        seen.append((stack.pop(k), k))
    for bits, k in reversed(seen):
        stack.push(bits, k)
    np.testing.assert_array_equal(stack.words()[-words:] if words else [], start)


@settings(max_examples=50, deadline=None)
@given(DECISIONS)
def test_length_is_the_sum_of_logarithms(decisions):
    bits, k = arrays(decisions)
    p = np.where(bits == 0, k, ONE - k) / ONE
    stack = Stack()
    before = stack.bits()
    stack.push(bits, k)
    assert abs(stack.bits() - before + np.sum(np.log2(p))) < 1.01  # whole bits are told


def test_length_of_a_long_message():
    rng = np.random.default_rng(0)
    k = np.clip(np.rint(ONE * rng.beta(0.1, 0.1, 100_000)), 1, ONE - 1).astype("int64")
    bits = (rng.random(k.shape) >= k / ONE).astype("int64")
    stack = Stack()
    before = stack.bits()
    for part in np.split(np.arange(len(k)), 100):
        stack.push(bits[part], k[part])
    ideal = -np.sum(np.log2(np.where(bits == 0, k, ONE - k) / ONE))
    assert abs(stack.bits() - before - ideal) < 2


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1), K, st.integers(1 << 32, (1 << 40) - 1))
def test_coder_counts_with_the_probability_itself(bit, k, state):
    """One step of range ANS (Duda 2009) in integers, on the state that constriction has."""
    words = np.array([state & 0xFFFFFFFF, state >> 32], "uint32")
    stack = Stack(words)
    stack.push(np.array([bit]), np.array([k]))
    zero, whole = k << (24 - PRECISION), 1 << 24
    share, start = (zero, 0) if bit == 0 else (whole - zero, zero)
    if state >= share << 40:
        return  # a word leaves the state first
    expected = state // share * whole + start + state % share
    found = sum(int(word) << (32 * i) for i, word in enumerate(stack.words()))
    assert found == expected


def test_random_words_that_were_not_touched_are_left_out():
    stack, k = Stack(), np.full(1000, ONE // 3)
    bits = stack.pop(k)
    words = stack.words()
    left = Stack(words)
    left.push(bits, k)
    stack.push(bits, k)
    assert len(words) <= 2
    assert len(stack.words()) < 1000 / 32 + 4 < SEED_WORDS
    np.testing.assert_array_equal(left.words()[-2:], stack.words()[-2:])


def test_words_are_little_endian():
    words = np.array([1, 0xFFFFFFFF], "uint32")
    assert to_bytes(words) == b"\x01\0\0\0\xff\xff\xff\xff"
    np.testing.assert_array_equal(from_bytes(to_bytes(words)), words)


def test_words_no_coder_writes_are_refused():
    with pytest.raises(CodecError, match="words of a chain"):
        Stack(np.array([5, 0], "uint32"))


def test_coder_is_found():
    assert coder().stack.AnsCoder is not None
