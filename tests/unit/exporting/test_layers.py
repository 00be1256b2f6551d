"""Keras's layers in SavedModels and LiteRT files, and the page about them."""

import json
from pathlib import Path

import pytest

from benchmarks import export_layers

ROOT = Path(__file__).parents[3]
TOLD = {entry["layer"]: entry for entry in json.loads(export_layers.PATH.read_text("utf-8"))}
QUICK = {
    *("UpSampling2D, nearest", "UpSampling2D, bicubic", "GroupNormalization", "softplus"),
    *("Conv2DTranspose", "Embedding", "IntegerLookup", "LSTM", "LSTM, unroll=True"),
    "MultiHeadAttention",
}


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in export_layers.LAYERS],
)
def test_a_layer_is_exported_as_the_results_say(name):
    found, told = export_layers.measure(name), TOLD[name]
    # Beyond the tolerance `measure` fails, or there is no file
    assert (found["litert"] is None) == (told["litert"] is None)
    assert (found["remark"] is None) == (found["litert"] is not None)
    assert found["remark"] == told["remark"]


def test_the_page_has_every_layer_as_it_was_measured():
    assert set(TOLD) == set(export_layers.LAYERS)
    section = (ROOT / "docs/exports.md").read_text("utf-8").partition("## Keras's layers")[2]
    section = section.partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) == len(TOLD)
    for row, entry in zip(rows, TOLD.values(), strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        errors = [
            "none" if e is None else f"{e:.1e}" for e in (entry["saved_model"], entry["litert"])
        ]
        assert cells == [f"`{entry['layer']}`", *errors, entry["remark"] or ""]


def test_layers_that_litert_lacks_come_with_a_way_out():
    without = {name for name, entry in TOLD.items() if entry["litert"] is None}
    remedies = {
        "LSTM": "LSTM, unroll=True",
        "GRU": "GRU, unroll=True",
        "SimpleRNN": "SimpleRNN, unroll=True",
        "Bidirectional": "Bidirectional, unroll=True",
        "ConvLSTM2D": "ConvLSTM2D, unroll=True",
        "UpSampling2D, bicubic": "UpSampling2D, bilinear",
        "UpSampling2D, lanczos3": "UpSampling2D, bilinear",
        "CategoryEncoding, multi_hot": "CategoryEncoding, one_hot",
        "IntegerLookup": "Embedding",
        "Hashing": "Embedding",
        "MaxPooling3D": "Conv3D",
    }
    assert without == set(remedies)
    assert all(TOLD[way]["litert"] is not None for way in remedies.values())
    assert all(entry["saved_model"] is not None for entry in TOLD.values())
