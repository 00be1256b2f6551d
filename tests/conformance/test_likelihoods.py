"""Every likelihood of the package answers the questions."""

import pytest

from vae_tf import likelihoods

from .asking import COMPILERS, FAST, ask, classes, named
from .parts import LIKELIHOODS


def test_none_is_left_out():
    assert named(LIKELIHOODS) == classes(likelihoods, likelihoods.Likelihood)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_alone(name):
    ask(FAST, likelihood=LIKELIHOODS[name]())


@pytest.mark.long
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_alone_in_compilers(name):
    ask(COMPILERS, likelihood=LIKELIHOODS[name]())
