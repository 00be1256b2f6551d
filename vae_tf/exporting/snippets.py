"""Code for Python and phones, made of the manifest: a signature run by the names of its ends."""

import json
import math
from collections.abc import Mapping
from typing import Any

from vae_tf.signatures.endpoint import example_of

Ends = Mapping[str, Mapping[str, Any]]
TYPES = {"float32": "float", "int32": "int"}
SHOWN = ("generate", "decode")  # the first that there is
IN_PYTHON = ("generate_columns", "generate_text", "generate", "decode")  # the first there is
PYTHON_HEAD = """Python needs only TensorFlow. In the directory of the bundle, these lines run
`{name}` on one row:"""
HEAD = """This code runs `{file}` on one row at a time, by the names of its inputs and outputs.
Kotlin uses `com.google.ai.edge.litert:litert`, Java `org.tensorflow:tensorflow-lite`, and Swift
the pod `TensorFlowLiteSwift`. `path` is the path of the file; Kotlin reads it from the app's
assets."""


def python_lines(manifest: Mapping[str, Any]) -> str:
    """Returns Markdown with the Python code that loads the decoder and runs a signature of it.

    Empty where the bundle has none of IN_PYTHON.
    """
    name = next((name for name in IN_PYTHON if name in manifest["signatures"]), None)
    if name is None:
        return ""
    entry = manifest["signatures"][name]
    given = [f'    "{i}": {_tensor(spec)},' for i, spec in entry["inputs"].items()]
    lines = [
        "import tensorflow as tf",
        "",
        f'model = tf.saved_model.load("{entry["saved_model"]}")',
        "inputs = {",
        *given,
        "}",
        f'{name} = model.signatures["{name}"]',
        f"outputs = {name}(**inputs)",
        "print({name: value.shape for name, value in outputs.items()})",
    ]
    code = "\n".join(["```python", *lines, "```"])
    return f"{PYTHON_HEAD.format(name=name)}\n\n{code}"


def _tensor(spec: Mapping[str, Any]) -> str:
    """Returns the code for one row of an input."""
    value = example_of(spec)
    if value is None:
        whole = spec["dtype"].startswith("int")
        value = (int(spec["range"][0]) if "range" in spec else 7) if whole else 1
    sides = [1 if side is None else side for side in spec["shape"]]
    return f'tf.fill({sides}, tf.constant({json.dumps(value)}, "{spec["dtype"]}"))'


def snippets(manifest: Mapping[str, Any]) -> str:
    """Returns Markdown with the decoder's code in three languages.

    Empty where no file of batch 1 has one of SHOWN.
    """
    holders = (manifest.get("litert") or {}).get("signatures", {})
    name = next((name for name in SHOWN if "-batch1." in holders.get(name, "")), None)
    if name is None:
        return ""
    entry, file = manifest["signatures"][name], holders[name]
    ends = entry["inputs"], entry["outputs"]
    blocks = {"kotlin": _kotlin(name, file, *ends), "java": _java(name, *ends)}
    blocks["swift"] = _swift(name, *ends)
    fenced = [f"```{language}\n{text.strip()}\n```" for language, text in blocks.items()]
    return "\n\n".join([HEAD.format(file=file), *fenced])


def _kotlin(name: str, file: str, inputs: Ends, outputs: Ends) -> str:
    """Returns the Kotlin that runs a signature with LiteRT."""

    def given(spec: Mapping[str, Any]) -> str:
        kind = TYPES[spec["dtype"]]
        one = f"{kind}ArrayOf({_value(spec, 'f')})"
        return f"write{kind.title()}({_either(spec, one, kind.title() + 'Array({})')})"

    written = "\n".join(f'inputs.getValue("{i}").{given(spec)}' for i, spec in inputs.items())
    return f"""
val model = CompiledModel.create(context.assets, "{file}")
val inputs = listOf({_listed(inputs)})
    .associateWith {{ model.createInputBuffer(it, "{name}") }}
val outputs = listOf({_listed(outputs)})
    .associateWith {{ model.createOutputBuffer(it, "{name}") }}
{written}
model.run(inputs, outputs, "{name}")
val image = outputs.getValue("image").readFloat()  // {_shape(outputs["image"])}, row after row
"""


def _java(name: str, inputs: Ends, outputs: Ends) -> str:
    """Returns the Java that runs a signature with the interpreter."""

    def given(spec: Mapping[str, Any]) -> str:
        kind = TYPES[spec["dtype"]]
        return _either(spec, f"{kind}[] {{{_value(spec, 'f')}}}", f"{kind}[1][{{}}]")

    puts = [f'inputs.put("{i}", new {given(spec)});' for i, spec in inputs.items()]
    puts += [f'outputs.put("{o}", new float{_sides(spec)});' for o, spec in outputs.items()]
    lines, kind = "\n".join(puts), "float" + "[]" * len(outputs["image"]["shape"])
    return f"""
Map<String, Object> inputs = new HashMap<>(), outputs = new HashMap<>();
{lines}
try (Interpreter interpreter = new Interpreter(new File(path))) {{
  interpreter.runSignature(inputs, outputs, "{name}");
}}
{kind} image = ({kind}) outputs.get("image");
"""


def _swift(name: str, inputs: Ends, outputs: Ends) -> str:
    """Returns the Swift that runs a signature with the interpreter."""

    def given(spec: Mapping[str, Any]) -> str:
        kind = spec["dtype"].title()
        many = f" = [{kind}](repeating: 0, count: {{}})"
        return _either(spec, f": [{kind}] = [{_value(spec)}]", many)

    lines = "\n".join(f"let {i}{given(spec)}" for i, spec in inputs.items())
    named = "\n".join(f'  "{i}": {i}.withUnsafeBytes {{ Data($0) }},' for i in inputs)
    return f"""
let interpreter = try Interpreter(modelPath: path)
let runner = try interpreter.signatureRunner(with: "{name}")
{lines}
try runner.invoke(with: [
{named}
])
let data = try runner.output(named: "image").data  // {_shape(outputs["image"])}
let image = data.withUnsafeBytes {{ Array($0.bindMemory(to: Float32.self)) }}
"""


def _either(spec: Mapping[str, Any], number: str, vector: str) -> str:
    """Returns the code for a row that is a number, or for one of so many."""
    sides = spec["shape"][1:]
    return vector.format(math.prod(sides)) if sides else number


def _value(spec: Mapping[str, Any], suffix: str = "") -> str:
    """Returns a row's number: of whole ones 0, or 7 where they are any, as seeds; else 1."""
    if spec["dtype"] == "float32":
        return f"1{suffix}"
    return "0" if "range" in spec else "7"


def _listed(ends: Ends) -> str:
    """Returns the names in quotes, separated by commas."""
    return ", ".join(f'"{name}"' for name in ends)


def _sides(spec: Mapping[str, Any]) -> str:
    """Returns the dimensions of an array of one row, as Java writes them."""
    return "".join(f"[{side}]" for side in (1, *spec["shape"][1:]))


def _shape(spec: Mapping[str, Any]) -> str:
    """Returns the shape of a row in words."""
    return " x ".join(map(str, spec["shape"][1:]))
