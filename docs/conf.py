"""Settings of Sphinx: ``make docs`` writes the manual to build/docs."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version as installed
from pathlib import Path

project = "slicegan"
author = "The SliceGAN toolkit authors"
version = release = installed("slicegan")

HERE = Path(__file__).parent
# Sphinx reads what lies below its own folder only; `make docs` has executed the notebooks.
NOTEBOOKS = Path(os.environ.get("SLICEGAN_NOTEBOOKS", HERE.parent / "notebooks"))
shutil.copytree(NOTEBOOKS, HERE / "gallery", dirs_exist_ok=True)

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_nb",
]
exclude_patterns = ["api/generated/*.md"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
autosummary_generate = True
autosummary_imported_members = True
autodoc_typehints = "none"  # numpydoc has them in words
nb_execution_mode = "off"
html_theme = "pydata_sphinx_theme"
html_title = "slicegan"
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}
