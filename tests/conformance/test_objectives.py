"""Every objective of the package answers the questions.

Under XLA they are trained in tests/unit/objectives/test_saving.py.
"""

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
