"""What a bundle is to hold, by `Options` and by the flags that set them."""

import dataclasses

import pandas as pd
import pytest

from tests.bundles import write_bundle
from vae_tf import networks
from vae_tf.cli import export as door
from vae_tf.data import Table
from vae_tf.errors import ExportError
from vae_tf.exporting import FULL, Options, verify_bundle
from vae_tf.exporting.options import PRECISIONS


def options_of(*flags):
    """Returns the Options that `python -m export RUN --output DIR` and these flags ask for."""
    return dataclasses.replace(FULL, **door._options(door.parsed(["r", "--output", "o", *flags])))


def test_flags():
    assert options_of() == FULL
    assert options_of("--litert", "float32,int8").precisions == ("float32", "int8")
    assert options_of("--litert", " int8 , int8").precisions == ("int8",)
    assert options_of("--litert", "").precisions == ()
    assert options_of("--batch", "1,16").batches == (1, 16)
    assert options_of("--batch", "any,4").batches == (None, 4)
    assert options_of("--vectors", "a,b").vectors == ("a", "b")
    assert options_of("--only", "savedmodel", "--no-whole") == Options(only="savedmodel")
    few = options_of("--only", "savedmodel", "--importance-samples", "8")
    assert few == Options(only="savedmodel", whole=True, importance_samples=8)
    flags = ["--false-alarm-rate", "0.05", "--onnx", "--image-dtype", "uint8"]
    assert options_of("--max-rows", "64").max_rows == 64
    wanted = {"false_alarm_rate": 0.05, "onnx": True, "image_dtype": "uint8"}
    assert options_of(*flags) == dataclasses.replace(FULL, **wanted)


def test_every_option_has_a_flag():
    """But the flags speak of files where the options speak of precisions and batches."""
    flags = {field.name for field in dataclasses.fields(door.ExportFlags)}
    named = {"precisions": "litert", "batches": "batch"}
    for field in dataclasses.fields(Options):
        assert named.get(field.name, field.name) in flags


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--only", "litert"], "--only must be a known name"),
        (["--only", "savedmodel", "--litert", "int8"], "--only savedmodel makes SavedModels alone"),
        (["--only", "savedmodel", "--web"], "Received: --web"),
        (["--only", "savedmodel", "--batch", "1", "--onnx"], "Received: --batch and --onnx"),
        (["--litert", "float32,float8"], r"precisions must be known. Received: ['float8']"),
        (["--batch", "0"], "batches must be sizes, positive integers"),
        (["--batch", "1,x"], "--batch must be sizes separated by commas, or any. Received: 'x'"),
        (["--batch", "-1"], "--batch must be sizes"),
        (["--batch", ""], "batches must be sizes"),
        (["--batch", "9" * 5000], "--batch must be sizes"),
        (["--importance-samples", "0"], "importance_samples must be a positive integer"),
        (["--no-whole", "--importance-samples", "8"], "importance_samples needs whole"),
        (["--no-whole", "--false-alarm-rate", "0.1"], "false_alarm_rate needs whole"),
        (["--litert", "", "--batch", "1"], "batches needs precisions"),
        (["--max-rows", "15"], "max_rows must be a whole number, at least 16"),
        (["--false-alarm-rate", "1"], "false_alarm_rate must be between 0 and 1"),
    ],
)
def test_wrong_flags_end_in_one_sentence(flags, message, capsys, tmp_path):
    output = tmp_path / "out"
    assert door.main([str(tmp_path), "--output", str(output), *flags]) == 1
    out, error = capsys.readouterr()
    assert message in error
    assert (out, error.count("\n")) == ("", 1)
    assert not output.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        *({"only": "litert"}, {"only": "savedmodel", "precisions": PRECISIONS}),
        *({"only": "savedmodel", "onnx": True}, {"batches": ()}, {"batches": (1.5,)}),
        *({"batches": (1,)}, {"importance_samples": 8}, {"max_rows": 8}, {"max_rows": 64.0}),
        *({"batches": (True,)}, {"importance_samples": 2.5}, {"precisions": ("float64",)}),
    ],
)
def test_wrong_options(wrong):
    with pytest.raises(ExportError):
        Options(**wrong)


@pytest.mark.slow
def test_only_savedmodels_make_a_whole_bundle(parts, tmp_path):
    few = Options(only="savedmodel")
    bundle = write_bundle(**parts, directory=tmp_path / "b", options=few)
    assert not [path for path in bundle.directory.rglob("*") if "lite" in path.name]
    signatures = verify_bundle(bundle.directory).manifest["signatures"]
    assert {entry["litert"] for entry in signatures.values()} == {None}
    assert {tuple(r) for r in bundle.parity["signatures"].values()} == {
        ("python_saved_model", "cpp_loader")
    }
    assert not [name for name in bundle.manifest["files"] if name.endswith(".tflite")]
    # A version with files for phones, and one without: none of the former stays
    write_bundle(**parts, directory=bundle.directory, version=2)
    assert (bundle.directory / "decoder.tflite").is_file()
    write_bundle(**parts, directory=bundle.directory, version=3, options=few)
    assert not (bundle.directory / "decoder.tflite").exists()
    assert verify_bundle(bundle.directory).version == 3


def test_options_that_the_model_has_no_use_for_are_refused(parts, tmp_path):
    """In a sentence that says what there is; nothing is written."""
    table = Table.from_frame(pd.DataFrame({"a": [1.0, 2.0, 4.0]}))
    for given, told in (
        ({"options": Options(vectors=("colour", "size"))}, "colour, size. .*it has none"),
        ({"options": Options(image_dtype="uint8"), "table": table}, "rows of a table must be"),
    ):
        with pytest.raises(ExportError, match=told):
            write_bundle(**parts, directory=tmp_path / "b", **given)
    condition = 3
    parts["encoder"] = networks.mlp_encoder((6, 5, 1), 3, (4,), condition=condition)
    options = Options(vectors=("condition", "colour"))
    with pytest.raises(ExportError, match=r"Received: colour\. Choose among condition"):
        write_bundle(**parts, directory=tmp_path / "b", options=options)
    assert not (tmp_path / "b").exists()


def test_verification_takes_no_other_flag(capsys, tmp_path):
    assert door.main(["--verify", str(tmp_path), "--onnx"]) == 1
    assert "--verify takes no run and no other flag" in capsys.readouterr().err
