"""Sphinx's settings: `python -m sphinx -W --keep-going docs build/site` builds the site, and any warning fails it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nodepass import __version__

project = "nodepass"
author = "the nodepass authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "sitegen.directive"]
exclude_patterns = ["_build"]

# Markdown.
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

# What a page shows of the library.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
default_role = "code"
python_use_unqualified_type_names = True

# What it looks like: nothing is loaded from elsewhere.
html_theme = "furo"
html_title = f"nodepass {__version__}"
html_copy_source = False
html_show_sphinx = False
highlight_language = "none"
pygments_style = "default"
pygments_dark_style = "monokai"
