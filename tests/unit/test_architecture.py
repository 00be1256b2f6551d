"""The house's floors: imports point down, strangers stay strangers, modules stay short."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vae_tf"
FLOORS = {
    **dict.fromkeys(["version", "errors", "checks", "files", "quiet", "registration"], 0),
    **dict.fromkeys(["environment", "locks", "noise", "rounding", "settings", "wiring"], 0),
    **dict.fromkeys(["data", "networks", "distributions", "densities"], 1),
    "objectives": 2,
    "models": 3,
    **dict.fromkeys(["evaluation", "callbacks", "plots", "signatures", "profiling"], 4),
    "formats": 5,
    "exporting": 6,
    **dict.fromkeys(["runs", "codec", "bulk"], 7),
    **dict.fromkeys(["conformance", "recipes", "compare"], 8),
    "cli": 9,
    "__init__": 10,
}
# Neighbours on one floor that may see each other, each with its reason
ALLOWED = {
    ("environment", "version"),  # it tells it
    ("quiet", "errors"),  # our own refusals need no chatter to be understood
    ("checks", "errors"),  # they raise them
    ("wiring", "errors"),  # it raises them
    ("settings", "errors"),  # likewise
    ("data", "distributions"),  # a table names the likelihood that suits its columns
    ("callbacks", "evaluation"),  # the monitor logs, by epoch, the numbers evaluation defines
    ("codec", "cli"),  # its __main__ is the door of `python -m vae_tf.codec`
    ("compare", "recipes"),  # its VAE is trained as train.py would
    ("callbacks", "plots"),  # the TensorBoard pictures are tiled as the figures are
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    if path.name == "__main__.py":  # a door
        return "__init__"
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("vae_tf.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path):
    here = part(path)
    assert here in FLOORS, f"{here} has no floor: give it one here and in docs/architecture.md"
    for there in imported_parts(path) - {here}:
        lower = FLOORS[there] < FLOORS[here]
        assert lower or (here, there) in ALLOWED, f"{path.name} imports {there}, which is not below"


def lines_of_examples(tree: ast.Module) -> int:
    """Returns how many lines the docstrings' examples take, which nobody has to understand."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    docs = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    return sum(
        doc[doc.find("\n\nExample:\n") :].count("\n") for doc in docs if "\nExample:\n" in doc
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_modules_stay_short(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) - lines_of_examples(ast.parse(text)) <= 300


def test_only_the_command_line_prints():
    for path in MODULES:
        if part(path) in ("cli", "exporting", "formats", "quiet"):  # with scripts run as processes
            continue
        if part(path) == "environment":  # show_versions, whose name says that it prints
            continue
        calls = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call))
        names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        assert "print" not in names, path


def test_public_names_exist_and_nothing_heavy_is_imported():
    code = (
        "import sys, vae_tf; "
        "assert not {'tensorflow', 'keras', 'tensorflow_probability', 'apache_beam'} & "
        "set(sys.modules); "
        "[getattr(vae_tf, name) for name in vae_tf.__all__]; "
        "assert set(vae_tf.__all__) <= set(dir(vae_tf))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_help_does_not_import_tensorflow():
    for door in ("train.py", "-m export", "-m vae_tf.codec", "-m vae_tf.bulk"):
        code = (
            "import sys, runpy; sys.argv = ['x', '--help']\n"
            "try:\n"
            f"    {'runpy.run_path' if door.endswith('.py') else 'runpy.run_module'}"
            f"({door.split()[-1]!r}, run_name='__main__')\n"
            "except SystemExit as stop:\n"
            "    assert stop.code in (0, None), stop.code\n"
            "assert not {'tensorflow', 'keras', 'matplotlib', 'apache_beam'} & set(sys.modules)"
        )
        subprocess.run(
            [sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL
        )
