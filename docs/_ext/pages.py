"""What becomes of the Markdown pages: some are executed, tutorials are notebooks too, links hold.

The pages are plain Markdown, as GitHub shows it and as the tests run it.
"""

import base64
import re
from pathlib import Path

import jupytext
import nbformat
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
# Pages whose Python is run in the build, and shown with what it prints and draws
EXECUTED = {
    *("first_steps", "latent_space", "tables", "howto/likelihood", "howto/prior"),
    *("howto/latent_size", "howto/collapse", "howto/tune", "howto/track", "howto/publish"),
    "howto/migrate",
}
NOTEBOOKS = {
    *("own_data", "tables", "missing_data", "conditional", "hierarchical", "sequences"),
    *("semi_supervised", "compression", "shipping", "keras", "your_own"),
} | EXECUTED
HEADER = """\
---
file_format: mystnb
kernelspec:
  name: python3
---
"""
# What TensorFlow says of the machine when it starts goes with this cell
HIDDEN = """\
```{code-cell}
:tags: [remove-cell]

%matplotlib inline
import warnings

import tensorflow

warnings.filterwarnings("ignore", message="IProgress not found")
tensorflow.config.list_physical_devices()
```

"""
# Files that have a page of their own here, though they lie elsewhere
ELSEWHERE = {
    "export/README.md": "bundle.md",
    "benchmarks/README.md": "measurements.md",
    "export/serving/README.md": "serving.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.md",
    "tests/README.md": "testing.md",
    "CONTRIBUTING.md": "contributing.md",
}


EXPLORER = "_build/extra/_static/explorer"
LIVE = """\
```{raw} html
<iframe class="explorer" src="_static/explorer/index.html" title="The explorer"></iframe>
<p><a href="_static/explorer/index.html">Open it in a window of its own.</a> Browsers load its
WebAssembly from a web server alone; for files on a disk,
<code>python -m http.server -d docs/_build/html</code> is one.</p>
```
"""
MISSING = """\
```{admonition} Not in this build
The explorer needs LiteRT.js, which comes from npm, and there was no Node.js when this site was
built. `make docs` on a machine that has it puts the explorer here.
```
"""


def read(app: Sphinx, name: str, content: list[str]) -> None:
    """Turns the source of a page into that of the site."""
    path = Path(app.env.doc2path(name))
    source = next((ROOT / s for s, p in ELSEWHERE.items() if p == f"{name}.md"), None)
    if source is not None:
        content[0] = source.read_text("utf-8")
        app.env.note_dependency(str(source))
    elif path.suffix != ".md":
        return
    text = linked(content[0], path, source or path)
    if name == "explorer":
        made = (Path(app.srcdir) / EXPLORER / "index.html").exists()
        text = text.replace("<!-- the explorer -->", LIVE if made else MISSING)
    if name in NOTEBOOKS:
        target = Path(app.srcdir) / "_build/notebooks" / f"{Path(name).name}.ipynb"
        back = "/".join([".."] * name.count("/") + ["_build/notebooks", target.name])
        line = f"{{download}}`This page as a notebook <{back}>`"
        text = re.sub(r"^(# .*\n)", rf"\1\n{line}\n", text, count=1, flags=re.M)
    if name in EXECUTED:
        text = re.sub(r"^```python$", "```{code-cell}", text, flags=re.M)
        text = re.sub(r"^(# .*\n)", lambda m: m[1] + "\n" + HIDDEN, text, count=1, flags=re.M)
        text = HEADER + text
    content[0] = text


def linked(text: str, page: Path, source: Path) -> str:
    """Returns the text with links as they lead from `page`, whose text stands in `source`."""

    def turned(match: re.Match) -> str:
        target, _, anchor = match[1].partition("#")
        if not target or ":" in target or target.startswith("_build"):
            return match[0]
        found = (source.parent / target).resolve()
        if not found.is_relative_to(ROOT):
            return match[0]
        inside = found.relative_to(ROOT).as_posix()
        if inside in ELSEWHERE:
            found = ROOT / "docs" / ELSEWHERE[inside]
        elif source == page and found.is_relative_to(ROOT / "docs"):
            return match[0]
        up = len(page.parent.relative_to(ROOT).parts)
        new = "../" * up + found.relative_to(ROOT).as_posix()
        new = new.replace("../" * up + "docs/", "../" * (up - 1))
        return f"]({new}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\(([^)\s]+)\)", turned, text)


def notebook(page: Path) -> nbformat.NotebookNode:
    """Returns a page as a notebook, with its pictures inside."""
    made = jupytext.reads(page.read_text("utf-8"), fmt="md")
    for cell in made.cells:
        pictures = re.findall(r"!\[[^]]*\]\(([^):]+)\)", cell.source)
        if cell.cell_type == "markdown" and pictures:
            cell.attachments = {
                Path(p).name: {
                    "image/png": base64.b64encode((page.parent / p).read_bytes()).decode()
                }
                for p in pictures
            }
            for p in pictures:
                cell.source = cell.source.replace(f"]({p})", f"](attachment:{Path(p).name})")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made.metadata = nbformat.from_dict({"kernelspec": kernel})
    return made


def write_notebooks(app: Sphinx) -> None:
    """Writes the notebooks of all tutorials, for the pages to link to."""
    folder = Path(app.srcdir) / "_build/notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(NOTEBOOKS):
        path = Path(app.srcdir) / f"{name}.md"
        nbformat.write(notebook(path), folder / f"{path.stem}.ipynb")


def setup(app: Sphinx) -> dict:
    """Connects them."""
    app.connect("builder-inited", write_notebooks)
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
