"""Every prior of the package answers the questions."""

import pytest

from vae_tf import priors

from .asking import COMPILERS, FAST, ask, classes, named
from .parts import PRIORS


def test_none_is_left_out():
    # A conditional prior needs data with a condition: tests/unit/models/test_conditional.py
    assert named(PRIORS) == classes(priors, priors.Prior) - {"Conditional"}


@pytest.mark.slow
@pytest.mark.parametrize("name", PRIORS)
def test_alone(name):
    ask(FAST, prior=PRIORS[name]())


@pytest.mark.long
@pytest.mark.parametrize("name", PRIORS)
def test_alone_in_compilers(name):
    ask(COMPILERS, prior=PRIORS[name]())
