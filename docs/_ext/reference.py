"""The reference: what stands for a marker in `docs/reference/*.md` is made from the package itself.

`<!-- public names of vae_tf.objectives -->` becomes every name of that module's `__all__` (or those
that follow a colon), and
`<!-- help of train --help-all -->` what that command prints.
"""

import importlib
import inspect
import os
import re
import subprocess
import sys
from types import ModuleType

from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import mock

EXTRAS = ["apache_beam", "google_crc32c", "constriction"]  # not in the environment of the docs
NAMES = re.compile(r"^<!-- public names of ([\w.]+)(?:: ([\w, ]+))? -->$", re.M)
OTHERS = ("builtins", "keras", "tensorflow", "tensorflow_probability", "tf_keras")
HELP = re.compile(r"^<!-- help of (\w+) (\S+) -->$", re.M)


def public(module: ModuleType) -> list[str]:
    """Returns the names of a module that its own page describes: modules have pages of theirs."""
    names = getattr(module, "__all__", None)
    if names is None:
        own = inspect.getmembers(module, lambda o: getattr(o, "__module__", "") == module.__name__)
        names = [name for name, _ in own if not name.startswith("_")]
    values = {name: getattr(module, name) for name in names if not name.startswith("__")}
    return [name for name, value in values.items() if not inspect.ismodule(value)]


def described(module_name: str, only: str | None = None) -> str:
    """Returns RST: what a module is, a table of its names, and a description of each."""
    with mock(EXTRAS):
        module = importlib.import_module(module_name)
        names = only.split(", ") if only else public(module)
    lines = [f".. automodule:: {module_name}", "   :no-members:", ""]
    lines += [".. autosummary::", "   :nosignatures:", ""]
    lines += [f"   ~{module_name}.{name}" for name in names]
    for name in names:
        value = getattr(module, name)
        kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
        lines += ["", f".. auto{kind}:: {module_name}.{name}"]
        if kind == "class":
            lines.append("   :members:")
            if any(base.__name__ in names for base in value.__bases__):
                lines.append("   :show-inheritance:")
            # What a VAE can do is spread over its own base classes
            if name == "VAE":
                lines += ["   :inherited-members: Model"]
        elif kind == "data" and isinstance(value, dict):
            lines += ["   :no-value:"]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def printed(command: str, flag: str) -> str:
    """Returns the help of a command, as it prints it."""
    door = f"import sys; from vae_tf.cli.{command} import main; sys.exit(main(['{flag}']))"
    env = {**os.environ, "COLUMNS": "88", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run([sys.executable, "-c", door], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    text = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    return f"```text\n{text.strip()}\n```"


def read(app: Sphinx, name: str, content: list[str]) -> None:
    """Fills the markers of one page."""
    if name.startswith("reference/"):
        text = NAMES.sub(lambda m: described(m[1], m[2]), content[0])
        content[0] = HELP.sub(lambda m: printed(m[1], m[2]), text)


def skip(app, what, name, obj, skipped, options):
    """Leaves out what Keras and Python bring: members of other packages, numbers of fields."""
    function = getattr(obj, "fget", None) or obj
    home = getattr(function, "__module__", None) or ""
    field = (getattr(obj, "__doc__", None) or "").startswith("Alias for field")
    return True if field or home.partition(".")[0] in OTHERS else None


def setup(app: Sphinx) -> dict:
    """Connects it."""
    app.connect("source-read", read)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}
