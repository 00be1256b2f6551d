"""Every posterior of the package answers the questions."""

import pytest

from vae_tf import posteriors

from .asking import COMPILERS, FAST, ask, classes, named
from .parts import POSTERIORS


def test_none_is_left_out():
    assert named(POSTERIORS) == classes(posteriors, posteriors.Posterior)


@pytest.mark.slow
@pytest.mark.parametrize("name", POSTERIORS)
def test_alone(name):
    ask(FAST, posterior=POSTERIORS[name]())


@pytest.mark.long
@pytest.mark.parametrize("name", POSTERIORS)
def test_alone_in_compilers(name):
    ask(COMPILERS, posterior=POSTERIORS[name]())
