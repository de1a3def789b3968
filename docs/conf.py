"""How Sphinx builds the site: `tox -e docs`."""

from __future__ import annotations

import importlib.metadata

project = "s3ec"
author = "the s3ec authors"
copyright = "the s3ec authors"  # noqa: A001 - Sphinx names it
release = version = importlib.metadata.version("s3ec")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
# Pages that a benchmark writes come and go.
suppress_warnings = ["toc.not_included"]
html_theme = "furo"
html_title = "s3ec"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
# Types stand in the signatures, where a reader looks for them, and beside the parameters that are described.
autodoc_typehints = "both"
python_maximum_signature_line_length = 88
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_static_path = ["_static"]
html_css_files = ["site.css"]
