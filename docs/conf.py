"""How Sphinx builds the documentation: ``make docs``, or ``tox -e docs``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
# The tables in the pages are made from the code of this very tree.
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import vumi  # noqa: E402 (found by what stands above)

project = "vumi"
author = "the vumi authors"
copyright = author
version = release = vumi.__version__

extensions = ["vumi_docs", "vumi_sandbox", "vumi_transports"]
# The table is a part of another page.
exclude_patterns = [
    "_build",
    "newsfragments",
    "operations/fault-table.rst",
    "operations/sandbox-escapes.rst",
    "tests",
]
nitpicky = True
default_role = "literal"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["vumi.css"]
html_title = f"vumi {release}"
html_copy_source = False
html_show_copyright = False
