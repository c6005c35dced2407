"""Settings of the site.

``make docs`` builds it without the network.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

ROOT = Path(__file__).parents[1]
project = "agnet_vision"
author = "The agnet_vision contributors"
copyright = "the agnet_vision contributors"  # Sphinx's name for it
release = re.findall(
    r'^__version__ = "(.*?)"', (ROOT / "agnet_vision" / "__init__.py").read_text(), re.MULTILINE
)[0]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["studies/**", "_build", "jupyter_execute", "benchmarks/*.md"]
source_suffix = {".md": "myst-nb"}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# `#fragment` links and files of the repository are checked; addresses on the web are not fetched.
myst_url_schemes = ("http", "https", "mailto")

nb_execution_mode = "cache"  # a tutorial runs again when it changes
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True  # lines of one cell stay in one box
nb_output_stderr = "remove"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": False}
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_math_renderer = "mathml"  # browsers draw it themselves: no script is fetched
html_theme = "furo"
html_title = f"agnet_vision {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}


def inline_math(translator: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block_math(translator: Any, node: nodes.math_block) -> None:
    """Write a formula on lines of its own."""
    formula = convert(node.astext(), display="block")
    translator.body.append(f'<div class="math">{formula}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Tell Sphinx how formulas are written."""
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
