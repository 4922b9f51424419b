"""The guide to transports: what it has its reader do works, and what it tells of tables is so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from doc_blocks import ROOT, code_blocks
from walkthrough import Walkthrough

from vumi.tests.cases import model, rows, tables
from vumi.tests.cases.nodes import parse_yaml
from vumi.tests.cases.tables import read_table
from vumi.tests.catalogue import FAMILIES, HEADINGS

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = ROOT / "docs/transports/add-a-transport.rst"


@pytest.mark.integration
def test_what_the_guide_has_its_reader_do(tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    walkthrough = Walkthrough(GUIDE, folder, {})
    walkthrough.walk()
    assert len(walkthrough.commands_run) == 4


def test_the_tables_that_the_guide_shows_can_be_read() -> None:
    shown = [
        block
        for block in code_blocks(GUIDE.read_text("utf-8"))
        if block.language == "yaml" and re.search(r"^(?:in|out)bound:", block.text, re.MULTILINE)
    ]
    assert len(shown) == 3
    for block in shown:
        assert read_table(parse_yaml(block.text, f"{GUIDE.name}, line {block.line}"))


def test_the_guide_tells_of_every_key_and_word() -> None:
    text = GUIDE.read_text("utf-8")
    plurals = set(tables._PLURALS.values())
    keys = {*tables._FILE_KEYS, *tables._CASE_KEYS, *tables._STEP_KEYS} - plurals
    keys |= {*rows._REQUEST_KEYS, *rows._CALL_KEYS, *rows._RESPONSE_KEYS, *model.TROUBLES}
    keys |= {*rows._EVENT_WORDS, *rows._FAILURE_CODES, "absent", "more"}
    untold = [key for key in sorted(keys) if not re.search(rf"\b{key}\b", text)]
    assert not untold
    for name in (*FAMILIES, *HEADINGS, "<any>", "<text>", "<number>", "<raw …>", "<sent id>"):
        assert name in text
