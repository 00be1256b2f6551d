"""Equations as pictures (SVG) in a font of mathematics: no script, nothing from elsewhere.

MathML would do as well, where the reader's machine has such a font; many have none.
"""

import html

import docutils.nodes
import ziamath
from sphinx.application import Sphinx

ziamath.config.svg2 = False  # <path> for each sign, which copies of a page keep


def drawn(latex: str, inline: bool) -> str:
    """Returns one equation, aligned with the line that it stands in."""
    latex = latex.strip()
    made = ziamath.Latex(latex, size=18, inline=inline, color="currentColor")
    shift = f' style="vertical-align: {made.getyofst():.2f}px"' if inline else ""
    picture = made.svg().replace("<svg ", f"<svg aria-hidden='true'{shift} ", 1)
    return f'<span class="equation" role="img" aria-label="{html.escape(latex)}">{picture}</span>'


def visit(translator, node) -> None:
    """Writes an equation in a line."""
    translator.body.append(drawn(node.astext(), inline=True))
    raise docutils.nodes.SkipNode


def visit_block(translator, node) -> None:
    """Writes an equation of its own."""
    translator.body.append(f'<div class="math-block">{drawn(node.astext(), inline=False)}</div>')
    raise docutils.nodes.SkipNode


def setup(app: Sphinx) -> dict:
    """Registers the renderer `svg`."""
    app.add_html_math_renderer("svg", (visit, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
