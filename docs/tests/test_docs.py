"""The documentation is true: its code runs, its configurations check, its commands exist."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import docutils.core
import pytest
from doc_blocks import Page, code_blocks

from vumi.loading import load_class_by_string

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
#: Look like names of modules, but are names of exchanges.
NO_PYTHON_NAMES = {"vumi.health", "vumi.metrics"}
BUILT_PATHS = {"docs/_build/html"}
PAGES = sorted(
    path
    for path in [*ROOT.glob("docs/**/*.rst"), ROOT / "README.rst"]
    if "_build" not in path.parts
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for a page's files: the current one, and the first to import from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    importlib.invalidate_caches()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_what_a_page_shows_works(path: Path, folder: Path) -> None:
    page = Page(path, folder)
    # Other tests have modules of the same names.
    page.forget_modules()
    try:
        page.try_all()
    finally:
        page.forget_modules()
    assert not page.problems, "\n".join(page.problems)


def test_the_tests_shown_in_a_page_are_run(folder: Path) -> None:
    page = Page(ROOT / "docs/testing.rst", folder)
    try:
        page.try_all()
    finally:
        page.forget_modules()
    assert page.tests_run >= 5


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_name_and_path_of_ours_in_a_page_exists(path: Path) -> None:
    literals = set(re.findall(r"``([^`]+)``", path.read_text("utf-8")))
    names = {text for text in literals if re.fullmatch(r"vumi(\.\w+)+", text)} - NO_PYTHON_NAMES
    paths = {text for text in literals if re.match(r"(?:config|docs|vumi)/[\w./-]+$", text)}
    missing = [name for name in names if not exists(name)]
    missing += [text for text in paths - BUILT_PATHS if not (ROOT / text).exists()]
    assert not missing


def exists(dotted_name: str) -> bool:
    try:
        load_class_by_string(dotted_name)
    except (ImportError, AttributeError):
        try:
            importlib.import_module(dotted_name)
        except ImportError:
            return False
    return True


def test_the_readme_is_strict_restructuredtext() -> None:
    # PyPI shows it, and knows none of Sphinx's roles and directives.
    docutils.core.publish_string(
        (ROOT / "README.rst").read_text("utf-8"),
        settings_overrides={"halt_level": 1, "report_level": 5, "_disable_config": True},
    )


@pytest.mark.integration
def test_sphinx_builds_the_documentation_without_a_warning(tmp_path: Path) -> None:
    build = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky"),
            *("--quiet", "--builder", "html", "--doctree-dir", tmp_path / "doctrees"),
            *(ROOT / "docs", tmp_path / "html"),
        ],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert build.returncode == 0, build.stdout + build.stderr

    def shown(page: str) -> str:
        return (tmp_path / "html" / page).read_text("utf-8")

    assert "worker_concurrency" in shown("configuration.html")
    workers = re.sub(r"<[^>]+>", "", shown("workers.html"))
    for words in ("--set-option OPTION", "vumi broker setup", "--rabbitmqctl PATH"):
        assert words in workers
    # Its own options, and a link to those that it shares.
    telnet = shown("transports/telnet.html")
    assert "telnet_port" in telnet
    assert "amqp_prefetch_count" not in telnet
    assert "configuration.html#transport-options" in telnet


# The finder of blocks itself

SOURCE = """\
Title
=====

.. code-block:: python
   :caption: greeter.py
   :emphasize-lines: 1

   def greet():

       return "hello"

Text.

* .. code-block:: yaml

     # greeter.yaml
     # greeter.Greeter
     name: x

>>> 1 + 1
2

.. code-block:: console

   $ vumi --help
"""


def test_blocks_are_found_wherever_they_stand() -> None:
    python, doctest_block, console = code_blocks(SOURCE.replace("* .. code", "  .. ignored"))
    assert python.text == 'def greet():\n\n    return "hello"\n'
    assert (python.language, python.file_name, python.line) == ("python", "greeter.py", 8)
    assert doctest_block.text == ">>> 1 + 1\n2\n"
    assert console.language == "console"


def test_the_first_lines_of_a_block_name_its_file_and_its_worker() -> None:
    blocks = list(code_blocks(SOURCE.replace("* .. code", ".. code")))
    [yaml] = [block for block in blocks if block.language == "yaml"]
    assert (yaml.file_name, yaml.worker_class) == ("greeter.yaml", "greeter.Greeter")


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("console\n\n   $ vumi no-such-command", "No such command"),
        ("console\n\n   $ sudo .venv/bin/vumi broker setup --no-such", "No such option"),
        ("console\n\n   $ twistd -n vumi_worker --no-such-option", "exit status 1"),
        ("console\n\n   $ twistd -n no_such_plugin", "Unknown command"),
        ("console\n\n   $ make no-such-target", "no such target"),
        ("console\n\n   $ supervisord -c none.conf", "no such file"),
        ("console\n\n   $ frobnicate", "nobody knows"),
        ("fortran\n\n   END", "nobody tries"),
        ("yaml\n\n   # vumi.demos.words.EchoWorker\n   transport_nam: x", "transport_name"),
    ],
)
def test_what_can_not_work_is_told(block: str, problem: str, folder: Path) -> None:
    path = folder / "page.rst"
    path.write_text(f".. code-block:: {block}\n")
    page = Page(path, folder)
    page.try_all()
    assert page.problems
    assert problem in page.problems[0]
