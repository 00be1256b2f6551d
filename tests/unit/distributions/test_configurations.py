"""Every argument of a part is in its configuration, or it would be lost with a saved model."""

import inspect

import pytest

from tests.conformance.parts import LIKELIHOODS, OBJECTIVES, POSTERIORS, PRIORS

PARTS = {**LIKELIHOODS, **POSTERIORS, **PRIORS, **OBJECTIVES}


@pytest.mark.parametrize("name", PARTS)
def test_every_argument_is_in_it(name):
    part = PARTS[name]()
    taken = inspect.signature(type(part).__init__).parameters.values()
    own = {p.name for p in taken if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)} - {"self"}
    assert own <= set(part.get_config())
