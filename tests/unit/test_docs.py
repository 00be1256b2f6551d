"""The site's sources: every page is in a table of contents, every public module in the reference.

What only a build can tell (links, anchors, each name) docs/_ext/check.py asks in `make docs`.
"""

import importlib
import json
import re
from pathlib import Path

import pytest

import vae_tf

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path
    for folder in (".", "howto", "reference")
    for path in (DOCS / folder).glob("*.md")
}
MARKER = re.compile(r"<!-- public names of ([\w.]+)(?:: ([\w, ]+))? -->")


def listed(name, path):
    """Returns the pages in the tables of contents of one page."""
    folder = name.rpartition("/")[0]
    blocks = re.findall(r"```{toctree}\n(.*?)```", path.read_text("utf-8"), re.S)
    lines = [line for block in blocks for line in block.splitlines() if line and line[0] != ":"]
    return [f"{folder}/{line}" if folder else line for line in lines]


def test_every_page_is_in_one_table_of_contents():
    found = [page for name, path in PAGES.items() for page in listed(name, path)]
    assert sorted(found) == sorted(set(PAGES) - {"index"})


def test_every_public_name_is_in_the_reference():
    described = {}
    for name, path in PAGES.items():
        if name.startswith("reference/"):
            for module, only in MARKER.findall(path.read_text("utf-8")):
                described.setdefault(module, set()).update(only.split(", ") if only else {"*"})
    homes = {getattr(vae_tf, name).__name__: name for name in vae_tf._MODULES}
    # Its names are those of its three packages
    homes.pop("vae_tf.distributions")
    homes |= {f"vae_tf.distributions.{name}": name for name in ("priors", "posteriors")}
    homes |= {"vae_tf.distributions.likelihoods": "likelihoods", "vae_tf.models": "models"}
    for module in homes:
        names = set(getattr(importlib.import_module(module), "__all__", ()))
        assert described.get(module) in ({"*"}, names or {"check"}), module
    for name, home in vae_tf._HOMES.items():
        if name not in ("priors", "posteriors", "likelihoods"):
            assert home in described or name in described["vae_tf"], name


def test_every_page_that_is_executed_or_a_notebook_is_there():
    source = (DOCS / "_ext/pages.py").read_text("utf-8")
    named = re.findall(r'"([a-z_/]+)"', source.partition("HEADER")[0])
    assert len(named) > 15
    assert set(named) - {"tables"} <= set(PAGES)


def test_the_table_of_obtained_numbers_is_that_of_the_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    obtained = importlib.import_module("obtained")
    page = obtained.PAGE.read_text("utf-8")
    begin = obtained.common.BEGIN.format("obtained")
    assert page.partition(begin)[2].partition(obtained.common.END)[0].strip() == (
        obtained.table().strip()
    )
    rows = json.loads((ROOT / "benchmarks/results/lossless.json").read_text())
    assert f"| {obtained.of(rows, codec='vae_tf')['bits_per_dim']:.4f} |" in page


@pytest.mark.parametrize("name", [n for n in PAGES if "/" in n or n in ("start", "theory")])
def test_links_of_the_new_pages_lead_somewhere(name):
    text = PAGES[name].read_text("utf-8")
    for link in re.findall(r"\]\(((?!http)[^)#\s]+)", text):
        assert (PAGES[name].parent / link).exists(), link
