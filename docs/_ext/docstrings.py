"""Docstrings are prose with shapes, such as [B, *event]; here the stars are kept from RST."""

import inspect
import re

from sphinx.application import Sphinx

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


def process(app, what, name, obj, options, lines) -> None:
    """Turns the lines of one docstring in place, before napoleon reads them."""
    if what == "data" and inspect.getdoc(type(obj)) == "\n".join(lines).strip():
        lines[:] = []  # Python's words on tuples and dictionaries
    lines[:] = [escaped(line) for line in lines]


def setup(app: Sphinx) -> dict:
    """Connects it."""
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": True}
