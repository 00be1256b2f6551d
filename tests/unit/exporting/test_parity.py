"""What counts as agreement."""

import numpy as np
import pytest

from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.signatures import probes
from vae_tf.signatures.endpoint import Endpoint, Input


def batches(*values):
    return [{"image": np.array(value, np.float32)} for value in values]


def test_errors_are_measured_against_the_scale_of_their_batch():
    expected = batches([[100.0, -50.0]], [[0.5, 0.25]])
    received = batches([[100.0, -50.002]], [[0.5, 0.25 + 2**-20]])
    errors = parity.compare("litert", "decode", expected, received)
    assert errors["image"]["max_abs_error"] == pytest.approx(0.002, rel=1e-3)
    assert errors["image"]["max_relative_error"] == pytest.approx(0.002 / 100, rel=1e-3)


@pytest.mark.parametrize("error", [2e-4, np.nan, np.inf])
def test_disagreement_is_refused(error):
    with pytest.raises(ExportError, match="decode in litert must agree"):
        parity.compare("litert", "decode", batches([[1.0]]), batches([[1.0 + error]]))


def test_infinity_in_both_is_no_agreement():
    with pytest.raises(ExportError, match="must agree"):
        parity.compare("litert", "decode", batches([[np.inf]]), batches([[np.inf]]))


@pytest.mark.parametrize("wrong", [[[1.0, 1.0]], [1.0]])
def test_other_shapes_are_refused(wrong):
    with pytest.raises(ExportError, match="decode in litert must return"):
        parity.compare("litert", "decode", batches([[1.0]]), batches(wrong))


def test_other_names_are_refused():
    received = [{"picture": np.ones((1, 1), np.float32)}]
    with pytest.raises(ExportError, match="decode in litert must return"):
        parity.compare("litert", "decode", batches([[1.0]]), received)


def of(*inputs):
    return probes.probes(Endpoint("e", "half", inputs, frozenset(), dict))


@pytest.mark.parametrize(("name", "largest"), [("image", 1.0), ("z", probes.LARGE_Z)])
def test_probes_have_every_batch_size_and_the_extremes(name, largest):
    batches = [batch[name] for batch in of(Input(name, "float32", (4,)))]
    assert {x.shape for x in batches} == {(1, 4), (2, 4), (5, 4)}
    assert all(x.dtype == np.float32 for x in batches)
    assert any((x == 0).all() for x in batches)
    assert any((x == largest).all() for x in batches)


def test_probes_of_several_inputs():
    batches = of(Input("seed", "int32"), Input("temperature", "float32"))
    for size in (1, 2, 5):
        mine = [b for b in batches if len(b["seed"]) == size]
        assert all(b["temperature"].shape == b["seed"].shape == (size,) for b in mine)
        assert all(b["seed"].dtype == np.int32 for b in mine)
        assert {0, -1, 2**31 - 1, -(2**31)} <= {int(s) for b in mine for s in b["seed"]}
        assert any((b["temperature"] == 0).all() for b in mine)


def test_probes_keep_to_the_only_value():
    batches = of(Input("seed", "int32"), Input("temperature", "float32", only=1.0))
    assert all((b["temperature"] == 1).all() for b in batches)
