"""Every objective of the package answers the questions."""

import pytest

from vae_tf import objectives

from .asking import FAST, ask, classes, named
from .parts import OBJECTIVES


def test_none_is_left_out():
    assert named(OBJECTIVES) == classes(objectives, objectives.Objective)


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_alone(name):
    ask(FAST, objective=OBJECTIVES[name]())


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_alone_in_compilers(name):
    ask(["xla"], objective=OBJECTIVES[name]())
