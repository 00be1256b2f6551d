"""What must agree when a version is released, and what the package says of itself."""

import ast
import datetime
import importlib.metadata
import json
import pkgutil
import re
import sys
from pathlib import Path

import pytest
import yaml

import vae_tf
from vae_tf import environment

ROOT = Path(__file__).parents[2]
PACKAGES = [
    name
    for _, name, is_package in pkgutil.walk_packages(vae_tf.__path__, "vae_tf.")
    if is_package and "__all__" in Path(*ROOT.parts, *name.split("."), "__init__.py").read_text()
]


def text(name):
    return (ROOT / name).read_text("utf-8")


def released():
    """Returns version and date of the last release in the changelog."""
    return re.search(r"^## (\d\S+) - (\S+)$", text("CHANGELOG.md"), re.M).groups()


def requirements(lines):
    """Returns what is wanted of each package, by its name."""
    found = (re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", line) for line in lines)
    return {m[1].replace("_", "-"): m[2] for m in found if m}


def test_version_and_date_are_the_changelogs():
    version, date = released()
    citation = yaml.safe_load(text("CITATION.cff"))
    assert version == vae_tf.__version__ == citation["version"]
    assert date == citation["date-released"]
    datetime.date.fromisoformat(date)


def test_citation_has_what_its_format_demands():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")


def test_the_changelog_has_its_form():
    assert re.search(r"\A# Changelog\n", text("CHANGELOG.md"))
    headings = re.findall(r"^##+ .+$", text("CHANGELOG.md"), re.M)
    assert headings[0] == "## Unreleased"
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {h.removeprefix("### ") for h in headings if h.startswith("### ")} <= kinds


def test_pins_are_made_of_the_same_bounds_as_the_wheel():
    call = next(
        n
        for n in ast.walk(ast.parse(text("setup.py")))
        if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "setup"
    )
    wanted = next(ast.literal_eval(k.value) for k in call.keywords if k.arg == "install_requires")
    lines = [line for line in text("requirements/run.in").splitlines() if ";" not in line]
    pinned = requirements(lines)
    for tool in ("setuptools", "wheel"):  # which build the package
        pinned.pop(tool)
    assert requirements(wanted) == pinned


def test_the_description_has_no_link_that_a_package_index_cannot_follow():
    tree = ast.parse(text("setup.py"))
    (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef))
    names = {"re": re}
    exec(compile(ast.Module([function], []), "setup.py", "exec"), names)
    readme = text("README.md")
    shown = names["long_description"](readme)
    targets = re.findall(r"\]\(([^)]*)\)", shown) + re.findall(r"^\[\w+\]: (.*)$", shown, re.M)
    assert targets
    assert all(target.startswith("https://") for target in targets)
    assert "This is what it draws" not in shown  # the caption of a picture that is not there
    assert "\ndocs/results.md has the pictures" in shown
    headings = re.findall(r"^#.*", readme, re.M)
    assert re.findall(r"^#.*", shown, re.M) == headings
    assert "```python\nimport vae_tf" in shown


def test_the_table_of_versions_is_the_measured_one():
    result = ROOT / "benchmarks/results/matrix.json"
    page = text("docs/versions.md")
    for cell in json.loads(result.read_text())["cells"]:
        versions = [cell["packages"][name] for name in ("tensorflow", "keras", "numpy")]
        assert cell["ok"]
        row = f"| {cell['python']} | {cell['resolution']} | {' | '.join(versions)} | works |"
        assert row in page


@pytest.mark.parametrize("name", PACKAGES)
def test_completion_shows_public_names_alone(name):
    if name == "vae_tf.bulk":
        pytest.importorskip("apache_beam")
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    for public in package.__all__:
        getattr(package, public)


def test_type_checkers_see_every_public_name():
    block = next(n for n in ast.parse(text("vae_tf/__init__.py")).body if isinstance(n, ast.If))
    seen = {alias.asname: n for n in block.body for alias in n.names}
    assert {*seen, "__version__"} == set(vae_tf.__all__) == set(dir(vae_tf))
    for name, statement in seen.items():
        home = importlib.import_module(statement.module)
        assert getattr(home, name) is getattr(vae_tf, name)


def test_show_versions(capsys):
    vae_tf.show_versions()
    told = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert told["vae_tf"] == vae_tf.__version__
    assert told["python"] == sys.version.split()[0]
    assert told["tensorflow"] == importlib.metadata.version("tensorflow")
    assert "apache-beam" in told["vae_tf[beam]"]


def test_a_package_of_another_name_is_known_by_its_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "some_package", type(sys)("some_package"))
    assert environment.version_of("some-package") == "unknown"
    sys.modules["some_package"].__version__ = "3.1"
    assert environment.version_of("some-package") == "3.1"


def test_the_files_of_github_can_be_read():
    files = [*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml"]
    assert len(files) > 3
    for path in files:
        assert isinstance(yaml.safe_load(path.read_text("utf-8")), dict)
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    lines = [line for line in text("scripts/lint").splitlines() if line.startswith(".venv")]
    assert [hook["entry"] for hook in hooks] == [line.removesuffix(" .") for line in lines]
