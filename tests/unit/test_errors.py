import pickle

import pytest

from vae_tf import errors

KINDS = [errors.DataError, errors.ConfigError, errors.RunError, errors.ExportError]


@pytest.mark.parametrize("kind", [*KINDS, errors.NonFiniteError])
def test_grammar(kind):
    error = kind("`scale` must be positive", "-0.3", "Pass softplus(raw).")
    assert str(error) == "`scale` must be positive. Received: -0.3. Pass softplus(raw)."
    assert isinstance(error, (errors.VAEError, ValueError))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)


def test_unknown_names_the_near_ones():
    known = ["bernoulli", "gaussian", "gaussian-learned"]
    assert str(errors.unknown("likelihood", "gausian", known)) == (
        "likelihood must be a known name. Received: 'gausian'. "
        "Did you mean gaussian or gaussian-learned?"
    )
    assert str(errors.unknown("likelihood", "zzz", known)).endswith(
        "Known: bernoulli, gaussian, gaussian-learned."
    )


def test_a_damaged_file_that_a_library_quotes_is_not_shown_in_full():
    quoted = f"a.npz: {'x' * 10_000} end"
    error = errors.DataError("A file must be readable", quoted, "Write it again.")
    assert len(str(error)) < 1100
    assert str(error).startswith("A file must be readable. Received: a.npz: xxx")
    assert str(error).endswith("x end. Write it again.")
