"""Equations as MathML, which browsers show by themselves: no script, no font from elsewhere."""

import re

import docutils
import docutils.nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx


def as_mathml(latex: str, block: bool) -> str:
    """Returns the `<math>` element of one equation."""
    latex = re.sub(r"\\(log|max)\s+", r"\\\1\\,", latex)  # docutils puts no space there
    if docutils.__version_info__ >= (0, 22):
        return latex2mathml.tex2mathml(latex, as_block=block)
    return latex2mathml.tex2mathml(latex, inline=not block)


def visit(translator, node) -> None:
    """Writes an inline equation."""
    translator.body.append(as_mathml(node.astext(), False))
    raise docutils.nodes.SkipNode


def visit_block(translator, node) -> None:
    """Writes a displayed equation."""
    latex = node.astext().strip()
    if "\\\\" in latex or "&" in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    translator.body.append(f'<div class="math-block">{as_mathml(latex, True)}</div>')
    raise docutils.nodes.SkipNode


def setup(app: Sphinx) -> dict:
    """Registers the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (visit, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
