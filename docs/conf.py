"""How Sphinx builds the site; `scripts/docs` calls it in .venv-docs."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The kernels of executed pages see this clone too
os.environ["PYTHONPATH"] = str(HERE.parent)

from reference import EXTRAS  # noqa: E402

from vae_tf.version import __version__  # noqa: E402

project, author, release = "vae_tf", "the authors of vae_tf", __version__
extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "equations",
    "pages",
    "docstrings",
    "reference",
]
exclude_patterns = ["_build", "_ext", "_static"]
suppress_warnings = ["mystnb.unknown_mime_type", "autosummary.import_cycle"]

# Theme: its fonts are the system's, its scripts its own
html_theme = "furo"
html_title = f"vae_tf {release}"
html_static_path = ["_static"]
# What `explorer.py` writes
html_extra_path = ["_build/extra"] if (HERE / "_build/extra").exists() else []
html_favicon = "../vae_tf/exporting/web/page/icon.svg"
html_css_files = ["quiet.css"]
html_math_renderer = "svg"
html_show_copyright = html_show_sphinx = html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style, pygments_dark_style = "friendly", "native"

# Markdown
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# Pages that `pages.EXECUTED` names are run, and again only when their code has changed
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build/executed")
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
nb_ipywidgets_js = {}  # of other hosts, and nothing here needs them

# Reference
autodoc_default_options = {"member-order": "bysource", "exclude-members": "get_config, from_config"}
autodoc_typehints = "signature"
autodoc_mock_imports = EXTRAS
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_attr_annotations = True
napoleon_use_ivar = True
default_role = "code"
python_use_unqualified_type_names = True
add_module_names = False
INTERNAL = (
    "ImportanceWeighted|Warmup|DIP|Flow|Groups|Counts|Levels|Bits|Table|Alphabet|Header|AfterWarmup"
    "|Watcher|Gaps|Door|NormalMixture|Answers|Settings|Wiring"
)
# Names of other packages have no page here, nor do base classes that are not public
nitpick_ignore_regex = [("py:.*", r"(?!vae_tf).*"), ("py:class", rf"vae_tf\..*\.({INTERNAL})")]
