"""The tour of the code names files and functions that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vumi

ROOT = Path(vumi.__file__).parents[1]
WORDS = re.findall(r"``([^`]+)``", (ROOT / "docs/contributing/tour.rst").read_text("utf-8"))
PATHS = sorted({word for word in WORDS if "/" in word})
NAMES = sorted({word for word in WORDS if re.fullmatch(r"[A-Za-z]+(_[a-z]+)+|[A-Z]\w+", word)})


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_defined_in_a_file_of_the_tour(name: str) -> None:
    defined = re.compile(rf"^ *(?:async )?(?:def|class) {name}\b", re.MULTILINE)
    files = [ROOT / path for path in PATHS if path.endswith(".py")]
    assert any(defined.search(file.read_text("utf-8")) for file in files)
