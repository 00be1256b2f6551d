"""Flags of train.py: a configuration, or one line that says what is wrong, and exit code 2 or 1."""

import dataclasses
import io
from contextlib import redirect_stderr, redirect_stdout

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.fuzzing import many, refused
from vae_tf.cli.train import parse
from vae_tf.runs.config import TrainConfig

NAMES = [field.name for field in dataclasses.fields(TrainConfig)]
FLAGS = [f"--{name.replace('_', '-')}" for name in NAMES]
words = (
    st.sampled_from(["auto", "0", "1", "-1", "2.5", "nan", "inf", "-inf", "1e999", "None", "label"])
    | st.sampled_from(["mlp", "conv", "gru", "bernoulli", "normal", "text:a", "table:b", "True"])
    | st.integers(-(10**12), 10**12).map(str)
    | st.floats().map(str)
    | st.text(max_size=6)
)
flags = st.tuples(
    st.sampled_from(FLAGS) | st.text(max_size=8).map("--{}".format), st.lists(words, max_size=3)
).map(lambda pair: [pair[0], *pair[1]])


@given(st.lists(flags, max_size=4), st.lists(words, max_size=1))
@many(0.1)
def test_flags(several, stray):
    argv = [word for flag in several for word in flag] + stray
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            config, error = refused(lambda: parse(argv))
    except SystemExit as stop:
        code = stop.code
    else:
        assert error is not None or isinstance(config, TrainConfig)
        return
    lines = err.getvalue().strip().splitlines()
    assert code in (0, 2)  # 0 for --help
    assert len(lines) == (1 if code else 0), err.getvalue()
    assert all(line.startswith("error: ") for line in lines)


values = (
    st.none() | st.booleans() | st.integers(-3, 10) | st.floats() | st.sampled_from(["auto", ""])
)


@given(st.dictionaries(st.sampled_from(NAMES), values, max_size=3))
@many(0.05)
def test_what_holds_for_a_configuration_holds_for_its_copy(changes):
    """A configuration that is accepted has numbers where numbers are meant, and survives JSON."""
    kinds = {field.name: str(field.type) for field in dataclasses.fields(TrainConfig)}
    meant = {
        name: value
        for name, value in changes.items()
        if type(value).__name__ in kinds[name] or (value is None and "None" in kinds[name])
    }
    config, error = refused(lambda: TrainConfig(**meant))
    if error is None:
        assert dataclasses.replace(config) == config
        assert config.identity()["seed"] == config.seed
