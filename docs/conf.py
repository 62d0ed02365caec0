"""Sphinx configuration: `make docs`."""

import sys
from pathlib import Path

import actloss_rs

sys.path.insert(0, str(Path(__file__).parent))

project = "actloss_rs"
author = "the actloss_rs developers"
copyright = author
version = release = actloss_rs.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_parser",
    "reference_pages",
]
exclude_patterns = ["_build"]
nitpicky = False

napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "py:obj"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
python_display_short_literal_types = True

html_theme = "pydata_sphinx_theme"
html_title = "actloss_rs"
html_static_path = ["_static"]
html_css_files = ["site.css"]
toc_object_entries = False
html_sidebars = {page.stem: [] for page in Path(__file__).parent.glob("*.md")}
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
    "navigation_with_keys": False,
}
