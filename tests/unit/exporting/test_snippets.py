"""Code for phones in the model card: the model's own names and shapes; the Java is compiled."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from vae_tf.exporting.snippets import python_lines, snippets

FLOATS = {"dtype": "float32", "shape": [None, 3]}
ENDS = {
    "generate": {
        "inputs": {
            "seed": {"dtype": "int32", "shape": [None]},
            "temperature": {"dtype": "float32", "shape": [None]},
            "condition": {"dtype": "int32", "shape": [None], "range": [0, 4]},
        },
        "outputs": {"image": {"dtype": "float32", "shape": [None, 6, 5, 1]}, "z": FLOATS},
    },
    "decode": {"inputs": {"z": FLOATS}, "outputs": {"image": FLOATS}},
}
FILE = "decoder-dynamic-batch1.tflite"
# The declarations of TensorFlow's Java API that are used; its package is in no registry of Python.
INTERPRETER = """package org.tensorflow.lite;
public final class Interpreter implements AutoCloseable {
  public Interpreter(java.io.File modelFile) {}
  public void runSignature(java.util.Map<String, Object> inputs,
      java.util.Map<String, Object> outputs, String signatureKey) {}
  @Override public void close() {}
}
"""


def blocks(name):
    text = snippets({"litert": {"signatures": {name: FILE}}, "signatures": ENDS})
    return dict(re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL))


@pytest.mark.parametrize("name", ENDS)
def test_all_ends_are_given_by_name(name):
    found = blocks(name)
    assert list(found) == ["kotlin", "java", "swift"]
    for code in found.values():
        assert f'"{name}"' in code
        assert all(f'"{end}"' in code for end in ENDS[name]["inputs"])
        assert '"image"' in code
        assert code.count("\n") <= 15
    assert all(f'"{end}"' in found["java"] for end in ENDS[name]["outputs"])
    assert FILE in found["kotlin"]


@pytest.mark.skipif(shutil.which("javac") is None, reason="needs a Java compiler")
@pytest.mark.parametrize(("name", "kind"), [("generate", "float[][][][]"), ("decode", "float[][]")])
def test_java_compiles(tmp_path, name, kind):
    head = "import java.io.File; import java.util.*; import org.tensorflow.lite.Interpreter;\n"
    code = f"class Use {{ {kind} run(String path) {{\n{blocks(name)['java']}return image; }} }}"
    (tmp_path / "Use.java").write_text(head + code)
    path = tmp_path / "org/tensorflow/lite/Interpreter.java"
    path.parent.mkdir(parents=True)
    path.write_text(INTERPRETER)
    command = ["javac", "-Xlint:all", "-Werror", "-d", "out", "Use.java", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_none_without_a_file_of_one_row():
    assert snippets({"litert": None, "signatures": ENDS}) == ""
    free = {"decode": "decoder-int8.tflite"}
    assert snippets({"litert": {"signatures": free}, "signatures": ENDS}) == ""


def test_the_python_of_a_card_runs_its_bundle(exported, monkeypatch, capsys):
    card = (exported.bundle.directory / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(exported.bundle.directory)
    names = {}
    exec(code, names)
    assert "'image': TensorShape([1, 6, 5, 1])" in capsys.readouterr().out
    (z,) = names["outputs"]["z"].numpy()
    decoded = exported.parts["decoder"](z[None])["logits"]
    np.testing.assert_allclose(names["outputs"]["image"], tf.sigmoid(decoded), atol=1e-6)


def test_the_python_of_a_card_gives_every_input_its_kind():
    text = python_lines({"signatures": {k: v | {"saved_model": "d/1"} for k, v in ENDS.items()}})
    (code,) = re.findall(r"inputs = \{.*?\n\}", text, re.DOTALL)
    names = {"tf": tf}
    exec(code, names)
    given = names["inputs"]
    for name, spec in ENDS["generate"]["inputs"].items():
        assert given[name].dtype == spec["dtype"]
        assert given[name].shape == (1, *spec["shape"][1:])
    assert 0 <= int(given["condition"][0]) < 4
