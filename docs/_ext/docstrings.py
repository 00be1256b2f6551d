"""Docstrings are prose with shapes, such as [B, *event]; here the stars are kept from RST."""

import inspect
import re

from sphinx.application import Sphinx
from sphinx.util.inspect import signature, stringify_signature

CODE = re.compile(r"(``.+?``|`[^`]+`)")


def escaped(line: str) -> str:
    """Returns a line in which stars, bars and trailing underscores are themselves."""
    if line.lstrip().startswith((">>>", "...")):
        return line
    parts = CODE.split(re.sub(r"^(\s*)\| ", r"\1\\| ", line))
    for i in range(0, len(parts), 2):
        text = re.sub(r"(?<![\\*\w])\*(?=[A-Za-z])", r"\\*", parts[i])
        text = re.sub(r"(?<=\w)_(?=[\s,.;:)]|$)", r"\\_", text)
        parts[i] = re.sub(r"(?<!\\)\|(?=\S)", r"\\|", text)
    return "".join(parts)


def signature_of(init):
    """Returns the signature of an `__init__` without self."""
    return signature(init, bound_method=True)


def process(app, what, name, obj, options, lines) -> None:
    """Turns the lines of one docstring in place, before napoleon reads them."""
    if what == "data" and inspect.getdoc(type(obj)) == "\n".join(lines).strip():
        lines[:] = []  # Python's words on tuples and dictionaries
    lines[:] = [escaped(line) for line in lines]


def signed(app, what, name, obj, options, signature, returned):
    """Returns the signature of a class's own `__init__`, which Keras hides behind others."""
    if what == "class" and signature == "(*args, **kwargs)":
        for init in (base.__dict__.get("__init__") for base in obj.__mro__):
            if init is not None and not str(own := signature_of(init)).startswith("(*args"):
                return stringify_signature(own, unqualified_typehints=True), returned
    return None


def setup(app: Sphinx) -> dict:
    """Connects it."""
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-signature", signed)
    return {"parallel_read_safe": True}
