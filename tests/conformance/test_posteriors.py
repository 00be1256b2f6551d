"""Every posterior of the package answers the questions."""

import pytest

from vae_tf import posteriors

from .asking import COMPILERS, FAST, FASTEST, ask, classes, named
from .parts import OBJECTIVES, POSTERIORS, ladder


def test_none_is_left_out():
    # A Ladder needs its prior: below
    assert named(POSTERIORS) == classes(posteriors, posteriors.Posterior) - {"Ladder"}


@pytest.mark.slow
@pytest.mark.parametrize("name", POSTERIORS)
def test_alone(name):
    ask(FAST, posterior=POSTERIORS[name]())


@pytest.mark.long
@pytest.mark.parametrize("name", POSTERIORS)
def test_alone_in_compilers(name):
    ask(COMPILERS, posterior=POSTERIORS[name]())


@pytest.mark.slow
def test_a_ladder():
    ask(FAST, **ladder())


@pytest.mark.long
def test_a_ladder_in_compilers():
    ask(COMPILERS, **ladder())


@pytest.mark.long
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_ladder_with_every_objective(name):
    ask(FASTEST, **ladder(), objective=OBJECTIVES[name]())
