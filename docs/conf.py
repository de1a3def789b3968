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
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
